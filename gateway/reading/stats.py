"""Statistics over the deliveries that a filter keeps, and over the attempts of these: a statement for each group.

A delivery is delivered when it is completed with the status `delivered`, failed when it is completed with any other,
and in flight until then: every delivery is exactly one of the three. Percentiles are by nearest rank: values that were
measured, never between two of them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Label, and_, bindparam, func, or_, select

from gateway.database.dialects import Ids, Texts, at_most, bytewise, is_one_of, time_slot, unindexed
from gateway.database.odd import ONE_MICROSECOND
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts
from gateway.database.types import AnyRow, AnySelect
from gateway.errors import ValidationFailed
from gateway.reading.filters import CallbackDeliveryFilter, FilterValues, TimeFilter, overdue
from gateway.reading.health import DELIVERED
from gateway.reading.local_time import Stretch, edges, instant, zone_named
from gateway.reading.questions import FilteredQuestion, Question, parameterised
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility

PERCENTILES = (50, 95, 99)
EARLIEST, LATEST = (int(datetime(year, 1, 2, tzinfo=UTC).timestamp()) for year in (2, 9998))
HOSTS: BindParameter[list[str]] = bindparam("hosts", type_=Texts())

# By another name: a filter's own subquery over attempts must not be taken for these.
attempts = batch_callback_delivery_attempts.alias("attempt")

Where = CallbackDeliveryFilter | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries there are, and how they ended."""

    deliveries: int = 0
    completed: int = 0
    delivered: int = 0

    @property
    def failed(self) -> int:
        """Those given up."""
        return self.completed - self.delivered

    @property
    def in_flight(self) -> int:
        """Those that neither succeeded nor were given up."""
        return self.deliveries - self.completed

    @property
    def success_rate(self) -> float | None:
        """The delivered among the completed; None where none is completed."""
        return self.delivered / self.completed if self.completed else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.deliveries + other.deliveries, self.completed + other.completed, self.delivered + other.delivered
        )


class Totals(NamedTuple):
    """All deliveries that a filter keeps."""

    counts: Counts
    overdue: int


class Share(NamedTuple):
    """How many rows have one value."""

    value: Any
    rows: int


class ResponseTimes(NamedTuple):
    """Milliseconds until an answer; None where nothing was measured."""

    p50: int | None = None
    p95: int | None = None
    p99: int | None = None
    max: int | None = None


class SlotCounts:
    """Counts by the second in which a slot of time starts, added up so that a stretch is told by its two ends.

    The slots are in order; beside them how many deliveries each has, and of these completed and delivered ones.
    """

    def __init__(self, slots: Sequence[int], *counts: Sequence[int]) -> None:
        self.slots = slots
        self.counts = counts
        self._sums = [list(accumulate(count, initial=0)) for count in counts]

    def rows(self) -> Iterator[tuple[int, ...]]:
        """Each slot with its counts."""
        return zip(self.slots, *self.counts, strict=True)

    def __bool__(self) -> bool:
        return bool(self.slots)

    def within(self, start: int, end: int) -> "SlotCounts":
        """Those that start from one second on and before another."""
        first, last = bisect_left(self.slots, start), bisect_left(self.slots, end)
        if (first, last) == (0, len(self.slots)):
            return self
        return SlotCounts(self.slots[first:last], *(count[first:last] for count in self.counts))

    def between(self, bounds: Sequence[int]) -> list[Counts]:
        """The counts from each bound to the next; all slots lie between the first and the last bound."""
        ends = [bisect_left(self.slots, bound) for bound in bounds]
        columns = ([sums[end] for end in ends] for sums in self._sums)
        deltas = ([after - before for before, after in pairwise(told)] for told in columns)
        return [Counts(*counts) for counts in zip(*deltas, strict=True)]


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a timeline, its end excluded, and the deliveries created in it."""

    start: datetime
    end: datetime
    counts: Counts


def totals(scope: Visibility, where: Where) -> AnySelect:
    """One row: how many deliveries, completed, delivered and overdue."""
    return select(*_counts(), func.count().filter(overdue(scope)).label("overdue")).where(*_kept(scope, where))


def attempt_count(scope: Visibility, where: Where) -> AnySelect:
    """One row: how many attempts the deliveries have."""
    return _of_attempts(scope, where, func.count().label("count"))


def deliveries_by(scope: Visibility, where: Where, column: str) -> AnySelect:
    """How many deliveries there are with each text of a column, most first."""
    value, count = unindexed(deliveries.c[column]), func.count().label("count")
    counted = select(value.label("value"), count).where(*_kept(scope, where)).group_by(value)
    return counted.order_by(count.desc(), value.is_(None), bytewise(value))


def deliveries_by_host(scope: Visibility, where: Where, first: int) -> AnySelect:
    """Counts of the `first` hosts with the most deliveries."""
    host, counts = unindexed(deliveries.c.callback_host), _counts()
    counted = select(host.label("host"), *counts).where(*_kept(scope, where)).group_by(host)
    return counted.order_by(counts[0].desc(), host.is_(None), bytewise(host)).limit(at_most(first))


def deliveries_by_slot(scope: Visibility, where: Where) -> AnySelect:
    """Counts by the quarter of an hour in which the deliveries were created; quarters without any are left out."""
    slot = time_slot(deliveries.c.created_at)
    return select(slot.label("slot"), *_counts()).where(*_kept(scope, where)).group_by(slot)


def attempts_by_status(scope: Visibility, where: Where) -> AnySelect:
    """How many attempts there are with each HTTP status, most first."""
    status, count = unindexed(attempts.c.status_code), func.count().label("count")
    counted = _of_attempts(scope, where, status.label("value"), count).group_by(status)
    return counted.order_by(count.desc(), status.is_(None), status)


def response_times(scope: Visibility, where: Where) -> AnySelect:
    """One row: percentiles and the maximum over all attempts that were answered."""
    return _percentiles(scope, where)


def response_times_by_host(scope: Visibility, where: Where, named: Ids, *, nameless: bool) -> AnySelect:
    """The same for each of these hosts, and for URLs without one; hosts where nothing was measured are left out."""
    host = deliveries.c.callback_host
    among: ColumnElement[bool] = is_one_of(host, named)
    return _percentiles(
        scope, where, unindexed(host).label("host"), among=or_(among, host.is_(None)) if nameless else among
    )


def response_time_counts(scope: Visibility, where: Where, *, by_host: bool = False) -> AnySelect:
    """How many attempts were answered after so many milliseconds, for all hosts together or for each."""
    host = unindexed(deliveries.c.callback_host).label("host")
    measured = attempts.c.response_time_ms
    groups: tuple[ColumnElement[Any], ...] = (host,) if by_host else ()
    counted = _of_attempts(scope, where, *groups, measured.label("ms"), func.count().label("count"))
    return counted.where(measured.is_not(None)).group_by(*groups, measured)


@dataclass(frozen=True, slots=True)
class TotalsOf(FilteredQuestion[Totals]):
    """The totals of the organization's deliveries that `where` keeps; the id that is asked is the organization's."""

    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return totals(scope, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[Totals]:
        return [Totals(_counts_in(rows[0]), rows[0].overdue)] * len(ids)


@dataclass(frozen=True, slots=True)
class AttemptCount(FilteredQuestion[int]):
    """How many attempts these deliveries have."""

    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return attempt_count(scope, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        return [rows[0][0]] * len(ids)


@dataclass(frozen=True, slots=True)
class DeliveriesBy(FilteredQuestion[list[Share]]):
    """How many of these deliveries have each text of a column, most first."""

    column: str
    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return deliveries_by(scope, self.where, self.column)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[Share]]:
        return [[Share(*row) for row in rows]] * len(ids)


@dataclass(frozen=True, slots=True)
class AttemptsByStatus(FilteredQuestion[list[Share]]):
    """How many attempts of these deliveries got each HTTP status, most first; None is no answer."""

    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return attempts_by_status(scope, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[Share]]:
        return [[Share(*row) for row in rows]] * len(ids)


@dataclass(frozen=True, slots=True)
class DeliveriesByHost(FilteredQuestion[list[tuple[str | None, Counts]]]):
    """The hosts to which most of these deliveries go, with their counts; None is a URL without a host."""

    where: Where
    first: int

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return deliveries_by_host(scope, self.where, self.first)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[tuple[str | None, Counts]]]:
        return [[(row.host, _counts_in(row)) for row in rows]] * len(ids)


@dataclass(frozen=True, slots=True)
class DeliveriesBySlot(FilteredQuestion[SlotCounts]):
    """Counts of these deliveries by the second in which their slot of time starts; without what is no time."""

    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return deliveries_by_slot(scope, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[SlotCounts]:
        timed = sorted(tuple(row) for row in rows if row.slot is not None)
        slots, *counts = zip(*timed, strict=True) if timed else ((), (), (), ())
        return [SlotCounts(slots, *counts)] * len(ids)


@dataclass(frozen=True, slots=True)
class ResponseTimesOf(FilteredQuestion[ResponseTimes]):
    """The response times of the attempts of these deliveries."""

    where: Where

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return response_times(scope, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[ResponseTimes]:
        return [ResponseTimes(*rows[0])] * len(ids)


@dataclass(frozen=True, slots=True)
class ResponseTimesByHost(Question[dict[str | None, ResponseTimes]]):
    """The response times of the attempts of these deliveries, for each of these hosts."""

    where: Where
    hosts: tuple[str | None, ...]
    named: BindParameter[list[str]] | None = None  # the hosts that have a name, in a shape

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        named = _named(self.hosts) if self.named is None else self.named
        return response_times_by_host(scope, self.where, named, nameless=None in self.hosts)

    def parameterised(self, scope: Visibility) -> tuple["ResponseTimesByHost", FilterValues]:
        where, values = parameterised(self.where, scope)
        nameless = (None,) if None in self.hosts else ()
        return ResponseTimesByHost(where, nameless, HOSTS), {**values, "hosts": _named(self.hosts)}

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[dict[str | None, ResponseTimes]]:
        measured = {host: ResponseTimes(*times) for host, *times in rows}
        return [{host: measured.get(host, ResponseTimes()) for host in self.hosts}] * len(ids)


@dataclass(frozen=True, slots=True)
class ResponseTimeCounts(FilteredQuestion[dict[str | None, dict[int, int]]]):
    """How many attempts of these deliveries were answered after so many milliseconds, by host or all under None."""

    where: Where
    by_host: bool = False

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return response_time_counts(scope, self.where, by_host=self.by_host)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[dict[str | None, dict[int, int]]]:
        if not self.by_host:
            return [{None: dict(map(tuple, rows))}] * len(ids)
        times: dict[str | None, dict[int, int]] = {}
        for host, ms, count in rows:
            times.setdefault(host, {})[ms] = count
        return [times] * len(ids)


def times_of(counts: Mapping[int, int]) -> ResponseTimes:
    """Percentiles and the maximum of times that were counted, as the statements have them."""
    if not counts:
        return ResponseTimes()
    times = sorted(counts)
    ranks = list(accumulate(counts[ms] for ms in times))
    p50, p95, p99 = (times[bisect_left(ranks, -(-ranks[-1] * p // 100))] for p in PERCENTILES)
    return ResponseTimes(p50, p95, p99, times[-1])


async def timeline(reader: Reader, where: Where, stretch: Stretch, time_zone: str) -> list[Period]:
    """The deliveries that `where` keeps by the local hour or day in which they were created, none left out.

    It runs over what `where.created_at` spans, and on a side where that is open, to the first or last delivery kept.
    Empty where that is no time at all. A delivery that was created beyond the years 2 to 9998 is in none of them.
    """
    zone = zone_named(time_zone)
    try:
        first, last = span(where.created_at if where else None)
        bounds: list[int] = []
        if first is not None and last is not None:
            if first > last:
                return []
            bounds = edges(zone, stretch, first, last)
        # What is stored may be a time that no zone has a calendar for.
        slots = (await reader.load(DeliveriesBySlot(where))).within(EARLIEST, LATEST)
        if not bounds:
            if not slots:
                return []
            first = first or instant(slots.slots[0])
            bounds = edges(zone, stretch, first, max(first, last or instant(slots.slots[-1])))
    except OverflowError:
        raise ValidationFailed("createdAt in the filter must lie in the years 2 to 9998 for a timeline.") from None
    times = [instant(bound) for bound in bounds]
    return [Period(*period) for period in zip(times[:-1], times[1:], slots.between(bounds), strict=True)]


def span(created_at: TimeFilter | None) -> tuple[datetime | None, datetime | None]:
    """The first and last instant that a filter keeps, where it says so."""
    if created_at is None:
        return None, None
    eq, gte, gt, lte, lt = created_at.eq, created_at.gte, created_at.gt, created_at.lte, created_at.lt
    lowest = [eq, gte, None if gt is None else gt + ONE_MICROSECOND]
    highest = [eq, lte, None if lt is None else lt - ONE_MICROSECOND]
    return (
        max((time for time in lowest if time is not None), default=None),
        min((time for time in highest if time is not None), default=None),
    )


def _kept(scope: Visibility, where: Where) -> Iterator[ColumnElement[bool]]:
    organization = deliveries.c.org_id
    yield (unindexed(organization) if where is not None and where.names_rows else organization) == scope.organization
    if where is not None:
        yield from where.conditions(scope)


def _of_attempts(scope: Visibility, where: Where, *columns: ColumnElement[Any]) -> AnySelect:
    """A SELECT over the attempts of the deliveries kept."""
    return (
        select(*columns)
        .join_from(attempts, deliveries, attempts.c.delivery_id == deliveries.c.id)
        .where(unindexed(attempts.c.org_id) == scope.organization, *_kept(scope, where))
    )


def _named(hosts: Sequence[str | None]) -> list[str]:
    return [host for host in hosts if host is not None]


def _counts() -> tuple[ColumnElement[int], ...]:
    completed = deliveries.c.completed_at
    delivered = and_(completed.is_not(None), deliveries.c.status_code == DELIVERED)
    return (
        func.count().label("deliveries"),
        func.count(completed).label("completed"),
        func.count().filter(delivered).label("delivered"),
    )


def _counts_in(row: AnyRow) -> Counts:
    return Counts(row.deliveries, row.completed, row.delivered)


def _percentiles(
    scope: Visibility, where: Where, *groups: Label[Any], among: ColumnElement[bool] | None = None
) -> AnySelect:
    """The least response times whose rank, a hundredfold, reaches p times as many as there are; and the greatest.

    Equal times are counted before they are ranked, so that what is sorted is as short as times are few.
    """
    measured = attempts.c.response_time_ms
    times = _of_attempts(scope, where, *groups, measured.label("ms"), func.count().label("count"))
    times = times.where(measured.is_not(None)) if among is None else times.where(measured.is_not(None), among)
    counted = times.group_by(*groups, measured).subquery("counted")
    group = [counted.c[label.name] for label in groups]
    count = func.sum(counted.c.count)
    reached = select(
        *group,
        counted.c.ms,
        count.over(partition_by=group, order_by=counted.c.ms).label("rank"),
        count.over(partition_by=group).label("count"),
    ).subquery("reached")
    group = [reached.c[label.name] for label in groups]
    return select(
        *group,
        *(func.min(reached.c.ms).filter(reached.c.rank * 100 >= reached.c.count * p) for p in PERCENTILES),
        func.max(reached.c.ms),
    ).group_by(*group)
