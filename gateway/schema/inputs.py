"""What a client may pass: filters, orders and page sizes.

The filters are those of the read path, shown to GraphQL as they are: their fields, names and descriptions are declared
there and nowhere else.
"""

import dataclasses
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.scalars import JSON
from strawberry.types import get_object_definition

from gateway.errors import ValidationFailed
from gateway.reading import filters
from gateway.reading.pages import Order
from gateway.schema.scalars import canonical_id

LARGEST_PAGE = 500

IdArgument = Annotated[strawberry.ID, strawberry.argument(description="The platform's UUID, in any spelling.")]
IdsArgument = Annotated[
    list[strawberry.ID], strawberry.argument(description=f"The platform's UUIDs: at most {LARGEST_PAGE}.")
]
First = Annotated[int, strawberry.argument(description=f"How many rows to return at the most: 1 to {LARGEST_PAGE}.")]

LARGEST_PREVIEW = 65_536

MaxBytes = Annotated[
    int, strawberry.argument(description=f"Where to cut: after so many bytes of UTF-8, 1 to {LARGEST_PREVIEW}.")
]


def page_size(first: int, argument: str = "first") -> int:
    """The number of rows asked for; `ValidationFailed` outside 1 to 500."""
    if not 1 <= first <= LARGEST_PAGE:
        raise ValidationFailed(f"{argument} must be 1 to {LARGEST_PAGE}, not {first}.")
    return first


def canonical_ids(ids: Sequence[str]) -> list[str]:
    """Ids as the database writes them; `ValidationFailed` for more than 500, or one that is no UUID."""
    if len(ids) > LARGEST_PAGE:
        raise ValidationFailed(f"ids must be at most {LARGEST_PAGE}, not {len(ids)}.")
    return [canonical_id(id_, "ids") for id_ in ids]


def preview_size(max_bytes: int) -> int:
    """The size of a preview asked for; `ValidationFailed` outside 1 to 65,536."""
    if not 1 <= max_bytes <= LARGEST_PREVIEW:
        raise ValidationFailed(f"maxBytes must be 1 to {LARGEST_PREVIEW}, not {max_bytes}.")
    return max_bytes


def _show_filter(filter_: type[Any]) -> None:
    """Let GraphQL know one of the read path's filters as an input of the same name; what may be anything is JSON."""
    declared = dataclasses.fields(filter_)
    strawberry.input(filter_, description=filter_.__doc__)
    for shown, field in zip(get_object_definition(filter_, strict=True).fields, declared, strict=True):
        shown.description = field.metadata["description"]
        shown.graphql_name = field.metadata["name"]
        if field.type is Any:
            shown.type_annotation = StrawberryAnnotation(JSON)
        if field.default is None:
            shown.default_value = strawberry.UNSET


for _filter in (
    filters.IdFilter,
    filters.TextFilter,
    filters.IntFilter,
    filters.TimeFilter,
    filters.UrlFilter,
    filters.ContainsFilter,
    filters.MetadataFilter,
    filters.CallbackAttemptFilter,
    filters.CallbackAttemptsFilter,
    filters.CallbackDeliveryFilter,
    filters.CallbackDeliveriesFilter,
    filters.BatchFilter,
):
    _show_filter(_filter)


@strawberry.enum(description="Which way a list runs.")
class OrderDirection(Enum):
    """Which way a list runs."""

    ASC = strawberry.enum_value("asc", description="Smallest or oldest first; rows without a value come last.")
    DESC = strawberry.enum_value("desc", description="Largest or newest first; rows without a value come first.")


@strawberry.enum(description="What a list of batches can be ordered by.")
class BatchOrderField(Enum):
    """What a list of batches can be ordered by; the value is the column."""

    CREATED_AT = strawberry.enum_value("created_at", description="When the batch was submitted.")
    COMPLETED_AT = strawberry.enum_value("completed_at", description="When the batch ended.")


@strawberry.enum(description="What a list of deliveries can be ordered by.")
class CallbackDeliveryOrderField(Enum):
    """What a list of deliveries can be ordered by; the value is the column."""

    CREATED_AT = strawberry.enum_value("created_at", description="When the delivery was created.")
    COMPLETED_AT = strawberry.enum_value("completed_at", description="When the delivery succeeded or was given up.")
    NEXT_ATTEMPT_AT = strawberry.enum_value("next_attempt_at", description="When the next attempt is due.")


@strawberry.enum(description="What a list of attempts can be ordered by.")
class CallbackAttemptOrderField(Enum):
    """What a list of attempts can be ordered by; the value is the column."""

    CREATED_AT = strawberry.enum_value("created_at", description="When the attempt was made.")
    RESPONSE_TIME_MS = strawberry.enum_value("response_time_ms", description="How long the receiver took to answer.")


class OrderInput:
    """An order that a client asks for."""

    field: Enum
    direction: OrderDirection

    def order(self) -> Order:
        """The same, as the read path takes it."""
        return Order(str(self.field.value), descending=self.direction is OrderDirection.DESC)


@strawberry.input(description="The order of a list of batches. Ties are ordered by `id`, the same way.")
class BatchOrder(OrderInput):
    """The order of a list of batches."""

    field: BatchOrderField = strawberry.field(description="What the batches are ordered by.")
    direction: OrderDirection = strawberry.field(description="Which way the list runs.")


@strawberry.input(description="The order of a list of deliveries. Ties are ordered by `id`, the same way.")
class CallbackDeliveryOrder(OrderInput):
    """The order of a list of deliveries."""

    field: CallbackDeliveryOrderField = strawberry.field(description="What the deliveries are ordered by.")
    direction: OrderDirection = strawberry.field(description="Which way the list runs.")


@strawberry.input(description="The order of a list of attempts. Ties are ordered by `id`, the same way.")
class CallbackAttemptOrder(OrderInput):
    """The order of a list of attempts."""

    field: CallbackAttemptOrderField = strawberry.field(description="What the attempts are ordered by.")
    direction: OrderDirection = strawberry.field(description="Which way the list runs.")
