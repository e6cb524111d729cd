"""Statistics over deliveries, as a client selects them: every group is read when a field of it wants it, once."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Self

import strawberry

from gateway.reading import stats
from gateway.reading.local_time import MOST_STRETCHES, Stretch
from gateway.reading.masking import mask_host
from gateway.reading.reader import Reader
from gateway.schema.inputs import First, page_size

StatisticsFilter = strawberry.Private[stats.Where]

SUCCESS_RATE = "How many of the completed deliveries were delivered, from 0 to 1. Null, not 0, when none is completed."


@strawberry.enum(description="How long the buckets of a timeline are.")
class TimelineBucketSize(Enum):
    """What a timeline is cut into; the names are the read path's."""

    HOUR = strawberry.enum_value(
        "hour",
        description="Hours of the zone's clock. An hour that the clock shows twice is two buckets, "
        "one that it skips is none; where it moves by half an hour, one bucket is half an hour long.",
    )
    DAY = strawberry.enum_value(
        "day", description="Days of the zone, from midnight to midnight: 23 or 25 hours where the clock moves."
    )


@strawberry.type(description="Percentiles of response times, in milliseconds, by nearest rank: each was measured.")
class CallbackResponseTimes:
    """Null, not 0, where there is nothing to measure."""

    p50: int | None = strawberry.field(
        description="The median: half of the attempts took so long or less. Null where nothing was measured."
    )
    p95: int | None = strawberry.field(
        description="95 of 100 attempts took so long or less. Null where nothing was measured."
    )
    p99: int | None = strawberry.field(
        description="99 of 100 attempts took so long or less. Null where nothing was measured."
    )
    max: int | None = strawberry.field(description="The slowest attempt. Null where nothing was measured.")

    @classmethod
    def of(cls, times: stats.ResponseTimes) -> Self:
        """The same, as the read path gives it."""
        return cls(**times._asdict())


@strawberry.type(description="How many deliveries have one status.")
class CallbackStatusCount:
    """A row of `byStatus`."""

    status_code: str | None = strawberry.field(
        description="How these deliveries stand: an open set, such as `delivered`. Null for those without a status."
    )
    deliveries: int = strawberry.field(description="How many they are.")


@strawberry.type(description="How many deliveries have one failure reason.")
class CallbackFailureReasonCount:
    """A row of `byFailureReason`."""

    failure_reason_code: str | None = strawberry.field(
        description="Why the last attempt of these deliveries failed: an open set, such as `timeout`. "
        "Null for those that no failure is known of."
    )
    deliveries: int = strawberry.field(description="How many they are.")


@strawberry.type(description="How many attempts were answered with one HTTP status.")
class CallbackResponseStatusCount:
    """A row of `byResponseStatus`."""

    status_code: int | None = strawberry.field(
        description="What the receiver answered, such as 200 or 503. Null for attempts without an answer."
    )
    attempts: int = strawberry.field(description="How many attempts they are.")


@strawberry.type(description="The deliveries to one host.")
class CallbackHostStats:
    """A row of `byHost`."""

    real_host: strawberry.Private[str | None]
    host: str | None = strawberry.field(
        description="The host in `callbackUrl`, lower case, with the port where it is not the scheme's own: "
        "the filter's `callbackHost`. Null for deliveries whose URL has no host. A label that is a secret at a known "
        "service is replaced by `[masked]` for viewers without the scope `batches:read_secrets`."
    )
    deliveries: int = strawberry.field(description="How many deliveries go there.")
    delivered: int = strawberry.field(description="How many of them succeeded.")
    failed: int = strawberry.field(description="How many of them were given up.")
    in_flight: int = strawberry.field(description="How many of them neither succeeded nor were given up yet.")
    success_rate: float | None = strawberry.field(description=SUCCESS_RATE)
    reader: strawberry.Private[Reader]
    question: strawberry.Private[stats.ResponseTimesByHost]

    @strawberry.field(
        description="How long attempts at this host took, timeouts included where the platform timed them."
    )
    async def response_time_ms(self) -> CallbackResponseTimes:
        times = await self.reader.load(self.question)
        return CallbackResponseTimes.of(times[self.real_host])


@strawberry.type(description="The deliveries created in one hour or day.")
class CallbackTimelineBucket:
    """A bucket of `timeline`."""

    start: datetime = strawberry.field(description="When the bucket starts: its first instant.")
    end: datetime = strawberry.field(description="When the bucket ends: the first instant after it.")
    deliveries: int = strawberry.field(description="How many deliveries were created in it; 0 where there were none.")
    delivered: int = strawberry.field(description="How many of them succeeded, then or later.")
    failed: int = strawberry.field(description="How many of them were given up, then or later.")
    in_flight: int = strawberry.field(description="How many of them neither succeeded nor were given up yet.")
    success_rate: float | None = strawberry.field(description=SUCCESS_RATE)


@strawberry.type(
    description="Statistics over the deliveries that a filter keeps. Only what is selected is computed. Every delivery "
    "is counted as delivered, as failed or as in flight, so that the three add up to `deliveries`."
)
class CallbackStats:
    """Nothing is read until a field asks for it."""

    reader: strawberry.Private[Reader]
    where: StatisticsFilter

    @strawberry.field(description="How many deliveries the filter keeps.")
    async def deliveries(self) -> int:
        return (await self._totals()).counts.deliveries

    @strawberry.field(description="How many of them succeeded: completed with the status `delivered`.")
    async def delivered(self) -> int:
        return (await self._totals()).counts.delivered

    @strawberry.field(description="How many of them were given up: completed with any other status.")
    async def failed(self) -> int:
        return (await self._totals()).counts.failed

    @strawberry.field(description="How many of them neither succeeded nor were given up yet.")
    async def in_flight(self) -> int:
        return (await self._totals()).counts.in_flight

    @strawberry.field(
        description="How many of those in flight should have been tried again by now: their `nextAttemptAt` has passed."
    )
    async def overdue(self) -> int:
        return (await self._totals()).overdue

    @strawberry.field(description=SUCCESS_RATE)
    async def success_rate(self) -> float | None:
        return (await self._totals()).counts.success_rate

    @strawberry.field(description="How many attempts these deliveries have in all.")
    async def attempts(self) -> int:
        return await self.reader.load(stats.AttemptCount(self.where))

    @strawberry.field(description="How the deliveries stand, most first. The groups add up to `deliveries`.")
    async def by_status(self) -> list[CallbackStatusCount]:
        shares = await self.reader.load(stats.DeliveriesBy("status_code", self.where))
        return [CallbackStatusCount(status_code=value, deliveries=count) for value, count in shares]

    @strawberry.field(
        description="Why their last attempt failed, most first. The groups, null for none, add up to `deliveries`."
    )
    async def by_failure_reason(self) -> list[CallbackFailureReasonCount]:
        shares = await self.reader.load(stats.DeliveriesBy("failure_reason_code", self.where))
        return [CallbackFailureReasonCount(failure_reason_code=value, deliveries=count) for value, count in shares]

    @strawberry.field(description="What the receivers answered to the attempts, most first; adds up to `attempts`.")
    async def by_response_status(self) -> list[CallbackResponseStatusCount]:
        shares = await self.reader.load(stats.AttemptsByStatus(self.where))
        return [CallbackResponseStatusCount(status_code=value, attempts=count) for value, count in shares]

    @strawberry.field(description="The hosts to which most deliveries go, most first, then by name.")
    async def by_host(self, first: First = 100) -> list[CallbackHostStats]:
        hosts = await self.reader.load(stats.DeliveriesByHost(self.where, page_size(first)))
        question = stats.ResponseTimesByHost(self.where, tuple(host for host, _ in hosts))
        return [
            CallbackHostStats(
                real_host=host,
                host=host if self.reader.scope.sees_secrets else mask_host(host),
                deliveries=counts.deliveries,
                delivered=counts.delivered,
                failed=counts.failed,
                in_flight=counts.in_flight,
                success_rate=counts.success_rate,
                reader=self.reader,
                question=question,
            )
            for host, counts in hosts
        ]

    @strawberry.field(description="How long the attempts took, timeouts included where the platform timed them.")
    async def response_time_ms(self) -> CallbackResponseTimes:
        return CallbackResponseTimes.of(await self.reader.load(stats.ResponseTimesOf(self.where)))

    @strawberry.field(
        description="The deliveries by the hour or day in which they were created, oldest first, buckets without any "
        "included. From the start of the filter's `createdAt` to its end, and where that is open, from the first or to "
        f"the last delivery kept; at most {MOST_STRETCHES} buckets."
    )
    async def timeline(
        self,
        bucket: Annotated[TimelineBucketSize, strawberry.argument(description="How long the buckets are.")],
        time_zone: Annotated[
            str,
            strawberry.argument(description="Whose hours and days: an IANA time zone such as `Europe/Berlin`."),
        ] = "UTC",
    ) -> list[CallbackTimelineBucket]:
        return [
            CallbackTimelineBucket(
                start=period.start,
                end=period.end,
                deliveries=period.counts.deliveries,
                delivered=period.counts.delivered,
                failed=period.counts.failed,
                in_flight=period.counts.in_flight,
                success_rate=period.counts.success_rate,
            )
            for period in await stats.timeline(self.reader, self.where, Stretch[bucket.name], time_zone)
        ]

    @strawberry.field(
        description="All that happened before this instant is counted: the present, unless the gateway is told to keep "
        "counts of the past of tables that nothing watches for it. Then new and changed rows are counted at once, but "
        "rows that were deleted, or changed without a new `updatedAt`, may still be counted as they were then."
    )
    async def as_of(self) -> datetime:
        return await self.reader.known_until(self.where)

    async def _totals(self) -> stats.Totals:
        return await self.reader.load(stats.TotalsOf(self.where))
