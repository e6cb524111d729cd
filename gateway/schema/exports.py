"""What of a list can be exported, and the link to an export.

An export has leaves only, by their names in GraphQL: a link or an address names them, with the list's own filter and
order as JSON.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlencode

import strawberry
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import ValidationFailed
from gateway.reading.filters import Filter, Parameterised
from gateway.reading.pages import Order
from gateway.schema.context import Context
from gateway.schema.fields import Column, Derived, Masked, SourcedField
from gateway.schema.scalars import format_time
from gateway.schema.strawberry_internals import is_leaf
from gateway.viewer import READ, READ_SECRETS

EXPORTS = "/exports"
CURSOR = "cursor"  # beside the fields of the rows: the place of each, to go on after
PURPOSE = "export"
SEEN_SCOPES = frozenset({READ, READ_SECRETS})  # what an export depends on


def in_camel_case(name: str) -> str:
    """A name as GraphQL has it, such as `createdAt` for `created_at`."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


class ExportedList(StrEnum):
    """The lists at the root of the graph, by their names in addresses; `field` is the one in GraphQL."""

    BATCHES = "batches"
    DELIVERIES = "callback-deliveries"
    ATTEMPTS = "callback-attempts"

    @property
    def field(self) -> str:
        """Such as `callbackDeliveries`."""
        return in_camel_case(self.value.replace("-", "_"))


LIST_OF_TABLE = {
    batches.name: ExportedList.BATCHES,
    batch_callback_deliveries.name: ExportedList.DELIVERIES,
    batch_callback_delivery_attempts.name: ExportedList.ATTEMPTS,
}


@strawberry.enum(description="What an export is written as.")
class ExportFormat(Enum):
    """The form of an export; the value ends its address."""

    NDJSON = strawberry.enum_value("ndjson", description="A JSON object a line, and a last line that says `end`.")
    CSV = strawberry.enum_value("csv", description="RFC 4180 in UTF-8, for spreadsheets: no cell is run as a formula.")


FormatArgument = Annotated[ExportFormat, strawberry.argument(description="What it is written as.")]
FieldsArgument = Annotated[
    list[str] | None,
    strawberry.argument(
        description="The names of the rows' fields, in this order: scalars and enums without arguments, and `cursor`. "
        "All but `cursor` if left out."
    ),
]


@strawberry.type(description="Where a browser gets all rows of a list that the filter keeps, without a credential.")
class ExportLink:
    """A signed address for one viewer."""

    url: str = strawberry.field(
        description="The address, from the root of the gateway: signed, for this viewer and these rows. Whoever has it "
        "sees what the viewer sees."
    )
    expires_at: datetime = strawberry.field(description="Until when a download may be begun; it may take longer.")

    @classmethod
    def of(cls, context: Context, name: ExportedList, format: ExportFormat, content: Mapping[str, Any]) -> Self:
        """The link of a viewer to a list of that name; `content` is its filter, order and fields as JSON."""
        links, viewer = context.known_links, context.known_viewer
        whose = {
            "list": name,
            "organization": viewer.organization_id,
            "credential": viewer.credential,
            "scopes": sorted(viewer.scopes & SEEN_SCOPES),
        }
        token = links.signer.sign(PURPOSE, {**content, **whose}, links.seconds)
        url = f"{EXPORTS}/{name}.{format.value}?{urlencode({'link': token})}"
        return cls(url=url, expires_at=datetime.now(UTC) + timedelta(seconds=links.seconds))


def exportable(of: type[Any]) -> dict[str, SourcedField]:
    """The fields of a type of rows that an export may have, by their names: leaves without arguments."""
    fields = get_object_definition(of, strict=True).fields
    return {
        _name(field): field
        for field in fields
        if isinstance(field, SourcedField) and isinstance(field.source, Column | Masked | Derived) and is_leaf(field)
    }


def chosen_fields(of: type[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    """The fields that an export has; `ValidationFailed` where one cannot be exported, or is named twice."""
    known = exportable(of)
    if names is None:
        return tuple(known)
    wrong = [name for name in names if name not in known and name != CURSOR]
    if wrong:
        can = ", ".join((*known, CURSOR))
        raise ValidationFailed(f"fields: {wrong[0][:100]!r} cannot be exported; these can: {can}.")
    if not names or len(set(names)) < len(names):
        raise ValidationFailed("fields must name at least one field, and each once.")
    return tuple(names)


def filter_json(filter_: Filter | Parameterised | None) -> dict[str, Any] | None:
    """A filter as a client would write it in JSON."""
    if filter_ is None:
        return None
    written: dict[str, Any] = {}
    for field in get_object_definition(filter_, strict=True).fields:
        value = getattr(filter_, field.python_name)
        if value is not None and value is not strawberry.UNSET:
            written[_name(field)] = filter_json(value) if isinstance(value, Parameterised) else _plain(value)
    return written


def order_json(order: Order) -> dict[str, str]:
    """An order as a client would write it in JSON."""
    return {"field": order.column.upper(), "direction": "DESC" if order.descending else "ASC"}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    return list(value) if isinstance(value, tuple) else value


def _name(field: StrawberryField) -> str:
    """The name of a field or an argument in GraphQL."""
    return field.graphql_name or in_camel_case(field.python_name)
