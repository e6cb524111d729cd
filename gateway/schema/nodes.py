"""The types whose objects are rows of a table: their interface, their registry, and the check of their fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, ClassVar, Self, TypeVar

import strawberry
from sqlalchemy import Table
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from gateway.reading.previews import Preview, Wanted
from gateway.reading.questions import NodeById
from gateway.schema.context import Info
from gateway.schema.fields import ID, IDS_ARGUMENT, Source, SourcedField, column, columns_of
from gateway.schema.inputs import canonical_ids
from gateway.schema.scalars import canonical_id
from gateway.schema.strawberry_internals import core_info

N = TypeVar("N", bound="Node")


@strawberry.interface(description="Anything that has an id of its own, and can be asked for again by it.")
class Node:
    """An object that is one row of `table`; `row` holds the columns that are selected, by their names."""

    table: ClassVar[Table]
    row: strawberry.Private[Mapping[str, Any]]
    id: strawberry.ID = column(
        description="The platform's UUID: the same string here, in the REST endpoint and in the database."
    )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The object of one row."""
        make: Callable[..., Self] = cls
        return make(row=row)


NODES: dict[Table, type[Node]] = {}


def row_type(table: Table, *, description: str) -> Callable[[type[N]], type[N]]:
    """Decorates a type whose objects are rows of a table: shows it to GraphQL, and adds it to `NODES`.

    Raises `TypeError` for a field without a source, and for one that names a column which the table has not.
    """

    def decorate(of: type[N]) -> type[N]:
        shown = strawberry.type(of, description=description)
        for field in get_object_definition(shown, strict=True).fields:
            _check(field, table, f"{of.__name__}.{field.python_name}")
        shown.table = table
        NODES[table] = shown
        return shown

    return decorate


def _check(field: StrawberryField, table: Table, place: str) -> None:
    """Raise `TypeError` where a field does not say what it reads of a table."""
    if not isinstance(field, SourcedField) or field.source is None:
        raise TypeError(f"{place} has no source: declare it by column, derived, or another of gateway.schema.fields")
    given = {argument.python_name: argument.default for argument in field.arguments} if field.source.varies else {}
    for wanted in field.source.columns(given):
        name = wanted.column if isinstance(wanted, Preview) else wanted
        if name not in table.c:
            raise TypeError(f"{place} reads the column {name!r}, which the table {table.name} does not have")


@dataclass(frozen=True)
class LoadedNodes(Source):
    """The rows of any table: that with the argument `id`, or with `many` one for each of the argument `ids`."""

    many: bool

    @property
    def parameters(self) -> Sequence[Parameter]:
        return (IDS_ARGUMENT,) if self.many else (ID,)

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return ()

    async def value(self, _parent: Any, info: Info, given: dict[str, Any], /) -> Any:
        if self.many:
            ids = canonical_ids(given["ids"])
            return [_object(found) for found in await info.context.reader.fetch(_asked(info), ids)]
        return _object(await info.context.reader.load(_asked(info), canonical_id(given["id"])))


def loaded_node(*, description: str) -> Any:
    """A field at the root that is the row with its argument `id`, of whichever table."""
    return SourcedField(source=LoadedNodes(many=False), description=description)


def loaded_nodes(*, description: str) -> Any:
    """A field at the root that is a list: for each of its argument `ids` the row of whichever table."""
    return SourcedField(source=LoadedNodes(many=True), description=description)


def _asked(info: Info) -> NodeById:
    types: Any = core_info(info).schema.type_map
    return NodeById(tuple((table, columns_of(info, of=types[of.__name__])) for table, of in NODES.items()))


def _object(found: tuple[Table, Mapping[str, Any]] | None) -> Node | None:
    return None if found is None else NODES[found[0]].of(found[1])
