"""What may be changed: the platform is asked to deliver callbacks again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

import strawberry

from gateway.errors import ValidationFailed
from gateway.platform.bulk import HIGHEST_COUNT, Batches
from gateway.platform.outcomes import Made, Outcome, Planned, Refusal, Refused, Unknown
from gateway.reading.filters import CallbackDeliveryFilter
from gateway.schema.connections import CountPrecision, TotalCount
from gateway.schema.context import Info
from gateway.schema.fields import resolved
from gateway.schema.scalars import canonical_id
from gateway.schema.strawberry_internals import enum_definition
from gateway.schema.types import BatchCallbackDelivery

COST = 100  # a request to the platform and the statements beside it
USUAL_BATCHES = 100

strawberry.enum(
    Refusal, name="RedeliveryRefusalReason", description="Why a callback was not delivered again; nothing was done."
)
for _value in enum_definition(Refusal).values:
    _value.description = Refusal[_value.name].value


@strawberry.type(description="The platform made a new delivery of the batch's callback.")
class RedeliveryMade:
    """What the platform took."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    delivery: BatchCallbackDelivery = strawberry.field(
        description="The delivery that was made. Its attempts follow as the platform makes them."
    )
    found_in_rows: bool = strawberry.field(
        description="True where the platform's answer was lost: this is the delivery made by hand that the batch has "
        "got since."
    )


@strawberry.type(description="Nothing was done: the platform was not asked, or took nothing.")
class RedeliveryRefused:
    """What was not done, and why."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    reason: Refusal = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="Why, for people.")


@strawberry.type(
    description="The platform was asked once, its answer was lost, and no new delivery is to be found yet. It may have "
    "taken the request: look at the batch's deliveries before you ask again."
)
class RedeliveryUnknown:
    """What nobody knows."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    message: str = strawberry.field(description="What is known, for people.")


@strawberry.type(description="What a run would do; nothing was sent.")
class RedeliveryPlanned:
    """What a dry run found."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    delivery: BatchCallbackDelivery = strawberry.field(
        description="The latest delivery of the batch. A run refuses a batch that has another one by then."
    )


CallbackRedelivery = Annotated[
    RedeliveryMade | RedeliveryRefused | RedeliveryUnknown | RedeliveryPlanned,
    strawberry.union("CallbackRedelivery", description="What came of asking for one callback again."),
]


def _shown(outcome: Outcome) -> RedeliveryMade | RedeliveryRefused | RedeliveryUnknown | RedeliveryPlanned:
    id_ = strawberry.ID(outcome.batch_id)
    match outcome:
        case Made():
            delivery = BatchCallbackDelivery.of(outcome.delivery)
            return RedeliveryMade(batch_id=id_, delivery=delivery, found_in_rows=outcome.found_in_rows)
        case Planned():
            return RedeliveryPlanned(batch_id=id_, delivery=BatchCallbackDelivery.of(outcome.delivery))
        case Refused():
            return RedeliveryRefused(batch_id=id_, reason=outcome.reason, message=outcome.message)
        case Unknown():
            return RedeliveryUnknown(batch_id=id_, message=outcome.message)


@strawberry.input(description="Which callback to deliver again.")
class RedeliverCallbackInput:
    """The argument of `redeliverCallback`."""

    batch_id: strawberry.ID = strawberry.field(description="The batch whose callback it is, in any spelling.")


@strawberry.input(description="Which callbacks to deliver again.")
class RedeliverCallbacksInput:
    """The argument of `redeliverCallbacks`."""

    filter: CallbackDeliveryFilter | None = strawberry.field(
        default=None, description="The batches whose latest delivery this keeps; all if left out."
    )
    first: int = strawberry.field(
        default=USUAL_BATCHES,
        description="How many of them a dry run plans at the most, those whose latest delivery is the oldest first. A "
        "run does what the dry run planned.",
    )
    dry_run: bool = strawberry.field(default=True, description="True plans, false does what was planned.")
    token: str | None = strawberry.field(
        default=None, description="The token of the dry run with the same filter; a run needs it."
    )


@strawberry.type(description="What came of asking for many callbacks again, or what would.")
class CallbackRedeliveries:
    """The answer of `redeliverCallbacks`."""

    dry_run: bool = strawberry.field(description="True where nothing was sent.")
    total_count: TotalCount | None = strawberry.field(
        description="How many batches the filter keeps in all; null where it is no dry run."
    )
    results: list[CallbackRedelivery] = strawberry.field(
        description="One for each batch, in the order of the plan: planned or refused by a dry run, made, refused or "
        "unknown after a run."
    )
    token: str | None = strawberry.field(
        description="What a run needs to do what is planned here, or what was not begun. Null where nothing is left to "
        "do."
    )
    expires_at: datetime | None = strawberry.field(
        description="Until when the token is good; null where there is none."
    )

    @classmethod
    def of(cls, batches: Batches, dry_run: bool) -> Self:
        """A plan or a run as it is shown."""
        count = None
        if batches.count is not None:
            precision = CountPrecision.EXACT if batches.count <= HIGHEST_COUNT else CountPrecision.CAPPED
            count = TotalCount(value=min(batches.count, HIGHEST_COUNT), precision=precision)
        return cls(
            dry_run=dry_run,
            total_count=count,
            results=[_shown(outcome) for outcome in batches.outcomes],
            token=batches.token,
            expires_at=batches.expires_at,
        )


@strawberry.type(
    description="What may be changed. The platform is asked on behalf of the viewer, whose credential needs a scope "
    "for it, `batches:redeliver` unless the gateway's settings name another."
)
class Mutation:
    """The root fields that change something."""

    @resolved(
        cost=COST,
        description="Have the platform deliver the callback of a batch again. It is asked once: where its answer is "
        "lost, the rows are looked at, and nothing is sent again.",
    )
    async def redeliver_callback(
        self,
        info: Info,
        input: Annotated[RedeliverCallbackInput, strawberry.argument(description="Which callback.")],
    ) -> CallbackRedelivery:
        one = info.context.redeliveries.one
        return _shown(await one.one(info.context.reader, canonical_id(input.batch_id, "batchId")))

    @resolved(
        cost=COST * USUAL_BATCHES,
        description="Have the platform deliver the callbacks of many batches again: first a dry run, whose token a run "
        "then needs. A run goes on at the pace of the gateway's settings, sends nothing for a batch whose latest "
        "delivery is not the planned one any more, and says what it did not begin.",
    )
    async def redeliver_callbacks(
        self,
        info: Info,
        input: Annotated[RedeliverCallbacksInput, strawberry.argument(description="Which callbacks.")],
    ) -> CallbackRedeliveries:
        acting = info.context.redeliveries
        many, most = acting.many, acting.one.platform.most
        where = input.filter or CallbackDeliveryFilter()
        if not input.dry_run:
            if input.token is None:
                raise ValidationFailed("token is missing: pass that of a dry run with the same filter.")
            return CallbackRedeliveries.of(await many.run(info.context.reader, where, input.token), dry_run=False)
        if not 1 <= input.first <= most:
            raise ValidationFailed(f"first must be 1 to {most}, not {input.first}.")
        return CallbackRedeliveries.of(await many.plan(info.context.reader, where, input.first), dry_run=True)
