"""What can be watched: the other root of the graph.

The object of an event is a `Change`, which all who watch it share; its node is read by the same source as everywhere.
"""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any, cast

import strawberry

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts
from gateway.reading.filters import CallbackAttemptFilter, CallbackDeliveryFilter, IdFilter
from gateway.reading.previews import Wanted
from gateway.reading.questions import RowById
from gateway.schema.context import Info
from gateway.schema.fields import loaded
from gateway.schema.inputs import IdArgument
from gateway.schema.scalars import canonical_id
from gateway.schema.types import (
    BatchCallbackDelivery,
    BatchCallbackDeliveryAttempt,
    DeliveriesKept,
    delivery_by_id,
    show_enum,
)
from gateway.watching.change import ChangeKind
from gateway.watching.watch import Watch

AttemptsKept = Annotated[
    CallbackAttemptFilter | None, strawberry.argument(description="Which attempts to keep; all if left out.")
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="The `cursor` of an event of this field, whatever its filter: what changed behind it comes first. "
        "From now on if left out."
    ),
]
CURSOR_DESCRIPTION = "The place behind this event: pass it as `after` to go on from here, on any gateway."
CHANGED_AT_DESCRIPTION = "When it changed, as the row says: an event may come later, and out of order."

show_enum(
    ChangeKind,
    "What happened to a delivery or an attempt, by what its row says; what happened quickly is told as one change.",
    {
        "CREATED": "It is new.",
        "CHANGED": "It changed, for example since an attempt was made.",
        "COMPLETED": "The delivery succeeded or was given up.",
    },
)


def events_of(watch: Watch) -> AsyncGenerator[Any]:
    """What a resolver returns: changes, which are objects of the types below as they are."""
    return cast("AsyncGenerator[Any]", watch)


def attempt_by_id(columns: frozenset[Wanted]) -> RowById:
    """One attempt."""
    return RowById(batch_callback_delivery_attempts, columns)


@strawberry.type(description="A delivery that was created, or has changed.")
class CallbackDeliveryChange:
    """A `Change` of a delivery."""

    cursor: str = strawberry.field(description=CURSOR_DESCRIPTION)
    change: ChangeKind = strawberry.field(description="What happened.")
    changed_at: datetime = strawberry.field(description=CHANGED_AT_DESCRIPTION)
    node: BatchCallbackDelivery | None = loaded(
        delivery_by_id, key="id", description="The delivery as it is now; null when it was deleted since."
    )


@strawberry.type(description="An attempt that was made.")
class CallbackAttemptChange:
    """A `Change` of an attempt."""

    cursor: str = strawberry.field(description=CURSOR_DESCRIPTION)
    change: ChangeKind = strawberry.field(description="What happened: an attempt is created, and never changes.")
    changed_at: datetime = strawberry.field(description=CHANGED_AT_DESCRIPTION)
    node: BatchCallbackDeliveryAttempt | None = loaded(
        attempt_by_id, key="id", description="The attempt; null when it was deleted since."
    )


@strawberry.type(
    description="Everything that can be watched, over server-sent events, multipart answers or a WebSocket. Each event "
    "comes once, however often the stream is taken up again behind its last `cursor`."
)
class Subscription:
    """The root fields."""

    @strawberry.subscription(description="The organization's deliveries that are created or change, from now on.")
    async def callback_deliveries(
        self,
        info: Info,
        filter: DeliveriesKept = None,
        after: After = None,
    ) -> AsyncGenerator[CallbackDeliveryChange]:
        return events_of(await info.context.watch(batch_callback_deliveries, filter, after))

    @strawberry.subscription(description="The organization's attempts that are made, from now on.")
    async def callback_attempts(
        self,
        info: Info,
        filter: AttemptsKept = None,
        after: After = None,
    ) -> AsyncGenerator[CallbackAttemptChange]:
        return events_of(await info.context.watch(batch_callback_delivery_attempts, filter, after))

    @strawberry.subscription(description="One delivery, each time that it changes, from now on.")
    async def callback_delivery(
        self,
        info: Info,
        id: IdArgument,
        after: After = None,
    ) -> AsyncGenerator[CallbackDeliveryChange]:
        one = CallbackDeliveryFilter(id=IdFilter(eq=canonical_id(id)))
        return events_of(await info.context.watch(batch_callback_deliveries, one, after))
