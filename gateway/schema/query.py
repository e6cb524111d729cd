"""The root of the graph, and the schema."""

from typing import Annotated

import strawberry

from gateway.reading.filters import BatchFilter
from gateway.schema.connections import Connection, paginated
from gateway.schema.context import Info
from gateway.schema.fields import loaded_by_id, resolved
from gateway.schema.inputs import (
    BatchOrder,
    BatchOrderField,
    CallbackAttemptOrder,
    CallbackAttemptOrderField,
    CallbackDeliveryOrder,
    CallbackDeliveryOrderField,
    OrderDirection,
)
from gateway.schema.mutation import Mutation
from gateway.schema.nodes import NODES, Node, loaded_node, loaded_nodes
from gateway.schema.scalars import CONFIG
from gateway.schema.statistics import CallbackStats
from gateway.schema.strawberry_internals import core_schema
from gateway.schema.subscription import AttemptsKept, Subscription
from gateway.schema.types import (
    Batch,
    BatchCallbackDelivery,
    BatchCallbackDeliveryAttempt,
    DeliveriesKept,
    ViewerType,
    batch_by_id,
    delivery_by_id,
)

BatchesKept = Annotated[BatchFilter | None, strawberry.argument(description="Which batches to keep; all if left out.")]


@strawberry.type(description="Everything that can be asked. Only rows of the credential's organization exist.")
class Query:
    """The root fields."""

    batch: Batch | None = loaded_by_id(
        batch_by_id, description="One batch; null when there is none with this id in the organization."
    )
    callback_delivery: BatchCallbackDelivery | None = loaded_by_id(
        delivery_by_id, description="One callback delivery; null when there is none with this id in the organization."
    )
    batches: Connection[Batch] = paginated(
        Batch,
        keep=BatchesKept,
        order=BatchOrder(field=BatchOrderField.CREATED_AT, direction=OrderDirection.DESC),
        description="The organization's batches, newest first unless `orderBy` says otherwise.",
    )
    callback_deliveries: Connection[BatchCallbackDelivery] = paginated(
        BatchCallbackDelivery,
        keep=DeliveriesKept,
        order=CallbackDeliveryOrder(field=CallbackDeliveryOrderField.CREATED_AT, direction=OrderDirection.DESC),
        description="The organization's deliveries, newest first unless `orderBy` says otherwise.",
    )
    callback_attempts: Connection[BatchCallbackDeliveryAttempt] = paginated(
        BatchCallbackDeliveryAttempt,
        keep=AttemptsKept,
        order=CallbackAttemptOrder(field=CallbackAttemptOrderField.CREATED_AT, direction=OrderDirection.DESC),
        description="The organization's attempts, newest first unless `orderBy` says otherwise.",
    )

    # Resolvers of objects with fields that may fail while they are waited for are asynchronous, although they wait for
    # nothing: below one that is not, graphql-core 3.3 forgets a task whose error makes a parent null.
    async def _statistics(self, info: Info, filter: DeliveriesKept = None) -> CallbackStats:
        return CallbackStats(reader=info.context.reader, where=filter)

    async def _who_asks(self, info: Info) -> ViewerType:
        return ViewerType.of(info.context)

    callback_stats: CallbackStats = resolved(
        cost=1_000,  # statements that count rows
        description="Statistics over the organization's deliveries that the filter keeps: the same filter as for "
        "lists.",
    )(_statistics)
    viewer: ViewerType = resolved(description="Who asks: the credential's organization and scopes.")(_who_asks)
    node: Node | None = loaded_node(description="A batch, a delivery or an attempt by its id; null when there is none.")
    nodes: list[Node | None] = loaded_nodes(
        description="Batches, deliveries and attempts by their ids, in that order; null for each missing."
    )


schema = strawberry.Schema(
    query=Query, mutation=Mutation, subscription=Subscription, types=list(NODES.values()), config=CONFIG
)
SCHEMA = core_schema(schema)


def sdl() -> str:
    """The schema in GraphQL's own language, as `schema.graphql` holds it."""
    return schema.as_str().rstrip() + "\n"
