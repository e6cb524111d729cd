"""Relay connections: a page of an ordered list, with cursors, and a count that says how exact it is.

Nothing is read until a field asks for it: `totalCount` alone reads no page, and a page alone counts nothing. A list at
the root is one `paginated` field, whose source is the type of its rows, the filter and the usual order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter, signature
from typing import Annotated, Any, Generic, Self, TypeVar

import strawberry
from sqlalchemy import Table

from gateway.database.types import AnyRow
from gateway.errors import ValidationFailed
from gateway.reading.filters import Filter, unless_empty
from gateway.reading.pages import Cursors, Order, Page, Slice
from gateway.reading.previews import Wanted
from gateway.reading.questions import CountUpTo, PageOf
from gateway.schema.context import Info
from gateway.schema.exports import (
    LIST_OF_TABLE,
    ExportFormat,
    ExportLink,
    FieldsArgument,
    FormatArgument,
    chosen_fields,
    filter_json,
    order_json,
)
from gateway.schema.fields import Source, SourcedField, columns_of, resolved
from gateway.schema.inputs import LARGEST_PAGE, OrderInput, page_size
from gateway.schema.nodes import Node

USUAL_PAGE = 50
HIGHEST_TOTAL = 100_000

PageSize = Annotated[
    int | None,
    strawberry.argument(
        description=f"A page of so many rows: 1 to {LARGEST_PAGE}. {USUAL_PAGE} from the start if left out."
    ),
]
Cursor = Annotated[str | None, strawberry.argument(description="A cursor of this list, filter and order.")]

T = TypeVar("T", bound=Node)


@dataclass(frozen=True, slots=True)
class PageArguments:
    """`first` and `after`, or `last` and `before`, as a client gave them."""

    first: PageSize = None
    after: Cursor = None
    last: PageSize = None
    before: Cursor = None

    def slice(self, cursors: Cursors, table: Table, order: Order) -> Slice:
        """Which rows they ask for; `ValidationFailed` or `BadCursor` where they ask for none."""
        if self.first is not None and self.last is not None:
            raise ValidationFailed("first and last cannot be used together.")
        backwards = self.last is not None
        asked = self.last if backwards else self.first
        size = USUAL_PAGE if asked is None else page_size(asked, "last" if backwards else "first")
        column = table.c[order.column]
        after, before = (
            None if cursor is None else cursors.decode(cursor, argument, column)
            for argument, cursor in (("after", self.after), ("before", self.before))
        )
        return Slice(size, backwards, after, before)


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's `PageInfo`."""

    has_next_page: bool = strawberry.field(description="True if rows follow this page.")
    has_previous_page: bool = strawberry.field(description="True if rows precede this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first row: pass it as `before` for the page before. Null for an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last row: pass it as `after` for the next page. Null for an empty page."
    )

    @classmethod
    def of(cls, page: Page, ends: Sequence[str]) -> Self:
        """Where a page lies; `ends` are the cursors of its first and last row."""
        start, end = ends or (None, None)
        return cls(has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end)


@strawberry.enum(description="How exact a count is.")
class CountPrecision(Enum):
    """How exact a count is."""

    EXACT = strawberry.enum_value("exact", description="There are exactly so many.")
    CAPPED = strawberry.enum_value("capped", description="There are more: counting stopped here.")


@strawberry.type(description="How many rows a list has, and how exact that is.")
class TotalCount:
    """A count that stops at a limit."""

    value: int = strawberry.field(description="How many rows were counted.")
    precision: CountPrecision = strawberry.field(description="Whether that is all of them.")


def of_page(source: Source, *, description: str) -> Any:
    """A field of a page, or of one of its edges."""
    return SourcedField(source=source, description=description)


@dataclass(frozen=True)
class EdgeNode(Source):
    """The row of an edge."""

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return ()

    def value(self, edge: Any, _info: Info, _given: dict[str, Any], /) -> Any:
        return edge.row


@strawberry.type(description="One row of a page with its place in the list.")
class Edge(Generic[T]):
    """Relay's edge."""

    row: strawberry.Private[T]
    cursor: str = strawberry.field(description="The row's place: opaque, good for this list, filter and order only.")
    node: T = of_page(EdgeNode(), description="The row.")


@dataclass(frozen=True)
class OfPage(Source):
    """A field of a connection that shows its page, which all of these read together."""

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return ()

    async def value(self, connection: Any, info: Info, _given: dict[str, Any], /) -> Any:
        page = await info.context.reader.load(connection.question)
        return self.shown(connection, page)

    def shown(self, connection: "Connection[Any]", page: Page, /) -> Any:
        """What the field shows of the page."""
        raise NotImplementedError


class PageNodes(OfPage):
    """The rows."""

    def shown(self, connection: "Connection[Any]", page: Page, /) -> list[Any]:
        return [connection.of.of(row._mapping) for row in page.rows]


class PageEdges(OfPage):
    """The rows with their cursors."""

    def shown(self, connection: "Connection[Any]", page: Page, /) -> list[Edge[Any]]:
        return [Edge(cursor=connection.cursor(row), row=connection.of.of(row._mapping)) for row in page.rows]


class PagePlace(OfPage):
    """Where the page lies in its list."""

    def shown(self, connection: "Connection[Any]", page: Page, /) -> PageInfo:
        return PageInfo.of(page, [connection.cursor(row) for row in (*page.rows[:1], *page.rows[-1:])])


@strawberry.type(description="A page of an ordered list.")
class Connection(Generic[T]):
    """A list that a client asked for; its page is read once, when the first field wants it."""

    of: strawberry.Private[type[T]]
    question: strawberry.Private[PageOf]
    cursors: strawberry.Private[Cursors]
    nodes: list[T] = of_page(PageNodes(), description="The rows of this page.")
    edges: list[Edge[T]] = of_page(PageEdges(), description="The rows of this page, each with its cursor.")
    page_info: PageInfo = of_page(PagePlace(), description="Where this page lies in the list.")

    @resolved(
        cost=10,  # a statement that counts rows
        description="How many rows the filter keeps in all, counted no further than `limit`.",
    )
    async def total_count(
        self,
        info: Info,
        limit: Annotated[int, strawberry.argument(description=f"Where counting stops: 1 to {HIGHEST_TOTAL}.")] = 10_000,
    ) -> TotalCount:
        if not 1 <= limit <= HIGHEST_TOTAL:
            raise ValidationFailed(f"limit must be 1 to {HIGHEST_TOTAL}, not {limit}.")
        question = CountUpTo(self.question.table, self.question.where, limit)
        counted = await info.context.reader.load(question)
        precision = CountPrecision.EXACT if counted <= limit else CountPrecision.CAPPED
        return TotalCount(value=min(counted, limit), precision=precision)

    @resolved(
        description="A link for a browser to all rows that the filter keeps, in this order, as a file. It needs no "
        "credential, and is good for a short while."
    )
    async def export_link(
        self,
        info: Info,
        format: FormatArgument = ExportFormat.CSV,
        fields: FieldsArgument = None,
    ) -> ExportLink:
        asked = self.question
        content = {
            "filter": filter_json(asked.where),
            "orderBy": order_json(asked.order),
            "fields": chosen_fields(self.of, fields),
        }
        return ExportLink.of(info.context, LIST_OF_TABLE[asked.table.name], format, content)

    def cursor(self, row: AnyRow) -> str:
        """The cursor of a row of the list."""
        return self.cursors.encode(self.question.order.position(self.question.table.c, row))


@dataclass(frozen=True)
class Paginated(Source):
    """A connection over the organization's rows of a type: those that the argument `filter` keeps, in `order` unless
    the argument `orderBy` names another. `keep` is the annotation of `filter`: its type and its description."""

    of: type[Node]
    keep: Any
    order: OrderInput

    @property
    def parameters(self) -> Sequence[Parameter]:
        described = strawberry.argument(description="In which order they come.")
        ordered: Any = Annotated[type(self.order) | None, described]
        return (
            Parameter("filter", Parameter.KEYWORD_ONLY, default=None, annotation=self.keep),
            Parameter("order_by", Parameter.KEYWORD_ONLY, default=self.order, annotation=ordered),
            *signature(PageArguments).parameters.values(),
        )

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return ()

    async def value(self, _parent: Any, info: Info, given: dict[str, Any], /) -> Connection[Any]:
        # It waits for nothing, but has fields that may fail: see `Query`.
        return self.connection(columns_of(info, "nodes") | columns_of(info, "edges", "node"), **given)

    def connection(
        self,
        columns: frozenset[Wanted],
        filter: Filter | None,
        order_by: OrderInput | None,
        **page: Any,
    ) -> Connection[Any]:
        """The connection that the field's arguments ask for, with these columns of its rows."""
        table, where, order = self.of.table, unless_empty(filter), (order_by or self.order).order()
        cursors = Cursors.of(table.name, where, order)
        asked = PageArguments(**page).slice(cursors, table, order)
        return Connection(of=self.of, question=PageOf(table, columns, where, order, asked), cursors=cursors)


def paginated(of: type[Node], *, keep: Any, order: OrderInput, description: str) -> Any:
    """A field at the root that is a connection over the organization's rows of a type."""
    return SourcedField(source=Paginated(of, keep, order), description=description)
