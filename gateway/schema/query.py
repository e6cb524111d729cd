"""The root of the graph, and the schema."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry
from sqlalchemy import Table

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.reading.filters import BatchFilter, CallbackAttemptFilter
from gateway.reading.questions import NodeById
from gateway.schema.connections import Connection, Cursor, PageArguments, PageSize
from gateway.schema.context import Info
from gateway.schema.inputs import (
    BatchOrder,
    BatchOrderField,
    CallbackAttemptOrder,
    CallbackAttemptOrderField,
    CallbackDeliveryOrder,
    CallbackDeliveryOrderField,
    OrderDirection,
    canonical_ids,
)
from gateway.schema.scalars import CONFIG, canonical_id
from gateway.schema.selection import Lists, asks, columns_of, lists
from gateway.schema.statistics import CallbackStats
from gateway.schema.types import (
    NODES,
    Batch,
    BatchCallbackDelivery,
    BatchCallbackDeliveryAttempt,
    DeliveriesKept,
    DeliveriesOrdered,
    Node,
    Viewer,
    batch_by_id,
    delivery_by_id,
)

NEWEST_BATCHES = BatchOrder(field=BatchOrderField.CREATED_AT, direction=OrderDirection.DESC)
NEWEST_DELIVERIES = CallbackDeliveryOrder(field=CallbackDeliveryOrderField.CREATED_AT, direction=OrderDirection.DESC)
NEWEST_ATTEMPTS = CallbackAttemptOrder(field=CallbackAttemptOrderField.CREATED_AT, direction=OrderDirection.DESC)

ALL_BATCHES = Lists(Batch, batches, NEWEST_BATCHES.order())
ALL_DELIVERIES = Lists(BatchCallbackDelivery, batch_callback_deliveries, NEWEST_DELIVERIES.order())
ALL_ATTEMPTS = Lists(BatchCallbackDeliveryAttempt, batch_callback_delivery_attempts, NEWEST_ATTEMPTS.order())

BatchesKept = Annotated[BatchFilter | None, strawberry.argument(description="Which batches to keep; all if left out.")]
BatchesOrdered = Annotated[BatchOrder | None, strawberry.argument(description="In which order they come.")]
AttemptsKept = Annotated[
    CallbackAttemptFilter | None, strawberry.argument(description="Which attempts to keep; all if left out.")
]
AttemptsOrdered = Annotated[CallbackAttemptOrder | None, strawberry.argument(description="In which order they come.")]
Id = Annotated[strawberry.ID, strawberry.argument(description="The platform's UUID, in any spelling.")]


@strawberry.type(description="Everything that can be asked. Only rows of the credential's organization exist.")
class Query:
    """The root fields."""

    @strawberry.field(
        description="One batch; null when there is none with this id in the organization.", metadata=asks(batch_by_id)
    )
    async def batch(self, info: Info, id: Id) -> Batch | None:  # noqa: A002
        question = batch_by_id(columns_of(info, Batch))
        return Batch.maybe(await info.context.reader.load(question, canonical_id(id)))

    @strawberry.field(
        description="One callback delivery; null when there is none with this id in the organization.",
        metadata=asks(delivery_by_id),
    )
    async def callback_delivery(self, info: Info, id: Id) -> BatchCallbackDelivery | None:  # noqa: A002
        question = delivery_by_id(columns_of(info, BatchCallbackDelivery))
        return BatchCallbackDelivery.maybe(await info.context.reader.load(question, canonical_id(id)))

    @strawberry.field(
        description="The organization's batches, newest first unless `orderBy` says otherwise.",
        metadata=lists(ALL_BATCHES),
    )
    async def batches(
        self,
        info: Info,
        filter: BatchesKept = None,  # noqa: A002
        order_by: BatchesOrdered = NEWEST_BATCHES,
        first: PageSize = None,
        after: Cursor = None,
        last: PageSize = None,
        before: Cursor = None,
    ) -> Connection[Batch]:
        return Connection.ask(info, ALL_BATCHES, filter, order_by, PageArguments(first, after, last, before))

    @strawberry.field(
        description="The organization's deliveries, newest first unless `orderBy` says otherwise.",
        metadata=lists(ALL_DELIVERIES),
    )
    async def callback_deliveries(
        self,
        info: Info,
        filter: DeliveriesKept = None,  # noqa: A002
        order_by: DeliveriesOrdered = NEWEST_DELIVERIES,
        first: PageSize = None,
        after: Cursor = None,
        last: PageSize = None,
        before: Cursor = None,
    ) -> Connection[BatchCallbackDelivery]:
        return Connection.ask(info, ALL_DELIVERIES, filter, order_by, PageArguments(first, after, last, before))

    @strawberry.field(
        description="The organization's attempts, newest first unless `orderBy` says otherwise.",
        metadata=lists(ALL_ATTEMPTS),
    )
    async def callback_attempts(
        self,
        info: Info,
        filter: AttemptsKept = None,  # noqa: A002
        order_by: AttemptsOrdered = NEWEST_ATTEMPTS,
        first: PageSize = None,
        after: Cursor = None,
        last: PageSize = None,
        before: Cursor = None,
    ) -> Connection[BatchCallbackDeliveryAttempt]:
        return Connection.ask(info, ALL_ATTEMPTS, filter, order_by, PageArguments(first, after, last, before))

    @strawberry.field(
        description="Statistics over the organization's deliveries that the filter keeps: the same filter as for lists."
    )
    async def callback_stats(self, info: Info, filter: DeliveriesKept = None) -> CallbackStats:  # noqa: A002
        return CallbackStats(reader=info.context.reader, where=filter)

    @strawberry.field(description="Who asks: the credential's organization and scopes.")
    async def viewer(self, info: Info) -> Viewer:
        return Viewer.of(info.context)

    @strawberry.field(
        description="A batch, a delivery or an attempt by its id; null when there is none.", metadata=asks(NodeById)
    )
    async def node(self, info: Info, id: Id) -> Node | None:  # noqa: A002
        return _node_of(await info.context.reader.load(_node_by_id(info), canonical_id(id)))

    @strawberry.field(
        description="Batches, deliveries and attempts by their ids, in that order; null for each missing.",
        metadata=asks(NodeById),
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="The platform's UUIDs: at most 500.")],
    ) -> list[Node | None]:
        wanted = canonical_ids(ids)
        return [_node_of(found) for found in await info.context.reader.fetch(_node_by_id(info), wanted)]


def _node_by_id(info: Info) -> NodeById:
    return NodeById(tuple((table, columns_of(info, type_)) for table, type_ in NODES.items()))


def _node_of(found: tuple[Table, Mapping[str, Any]] | None) -> Node | None:
    return None if found is None else NODES[found[0]].of(found[1])


schema = strawberry.Schema(query=Query, types=list(NODES.values()), config=CONFIG)


def sdl() -> str:
    """The schema in GraphQL's own language, as `schema.graphql` holds it."""
    return schema.as_str().rstrip() + "\n"
