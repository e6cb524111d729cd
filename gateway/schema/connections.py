"""Relay connections: a page of an ordered list, with cursors, and a count that says how exact it is.

Nothing is read until a field asks for it: `totalCount` alone reads no page, and a page alone counts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Generic, Self, TypeVar

import strawberry
from sqlalchemy import Table

from gateway.database.types import AnyRow
from gateway.errors import ValidationFailed
from gateway.reading.filters import Filter, unless_empty
from gateway.reading.loaders import CountUpTo, PageOf
from gateway.reading.pages import Cursors, Order, Page, Slice
from gateway.schema.context import Info
from gateway.schema.inputs import LARGEST_PAGE, OrderInput, page_size
from gateway.schema.selection import Lists, columns_of
from gateway.schema.types import Node

USUAL_PAGE = 50
HIGHEST_COUNT = 100_000

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

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

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


@strawberry.type(description="One row of a page with its place in the list.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = strawberry.field(description="The row's place: opaque, good for this list, filter and order only.")
    node: T = strawberry.field(description="The row.")


@strawberry.type(description="A page of an ordered list.")
class Connection(Generic[T]):
    """A list that a client asked for; its page is read once, when the first field wants it."""

    of: strawberry.Private[type[T]]
    question: strawberry.Private[PageOf]
    cursors: strawberry.Private[Cursors]

    @classmethod
    def ask(
        cls, info: Info, rows: Lists, where: Filter | None, order_by: OrderInput | None, page: PageArguments
    ) -> "Connection[T]":
        """The connection over the organization's rows that `where` keeps, with the columns that `info` selects."""
        columns = columns_of(info, rows.of, ("nodes",), ("edges", "node"))
        return cls.over(rows, columns, where, order_by, page)

    @classmethod
    def over(
        cls,
        rows: Lists,
        columns: frozenset[str],
        where: Filter | None,
        order_by: OrderInput | None,
        page: PageArguments,
    ) -> "Connection[T]":
        """The same with these columns."""
        where, order = unless_empty(where), rows.usual if order_by is None else order_by.order()
        cursors = Cursors.of(rows.table.name, where, order)
        question = PageOf(rows.table, columns, where, order, page.slice(cursors, rows.table, order))
        return cls(of=rows.of, question=question, cursors=cursors)

    @strawberry.field(description="The rows of this page.")
    async def nodes(self, info: Info) -> list[T]:
        return self.of.all((await self._page(info)).rows)

    @strawberry.field(description="The rows of this page, each with its cursor.")
    async def edges(self, info: Info) -> list[Edge[T]]:
        return [Edge(cursor=self._cursor(row), node=self.of.of(row)) for row in (await self._page(info)).rows]

    @strawberry.field(description="Where this page lies in the list.")
    async def page_info(self, info: Info) -> PageInfo:
        page = await self._page(info)
        return PageInfo.of(page, [self._cursor(row) for row in (*page.rows[:1], *page.rows[-1:])])

    @strawberry.field(description="How many rows the filter keeps in all, counted no further than `limit`.")
    async def total_count(
        self,
        info: Info,
        limit: Annotated[int, strawberry.argument(description=f"Where counting stops: 1 to {HIGHEST_COUNT}.")] = 10_000,
    ) -> TotalCount:
        if not 1 <= limit <= HIGHEST_COUNT:
            raise ValidationFailed(f"limit must be 1 to {HIGHEST_COUNT}, not {limit}.")
        question = CountUpTo(self.question.table, self.question.where, limit)
        counted = await info.context.reader.ask_organization(question)
        precision = CountPrecision.EXACT if counted <= limit else CountPrecision.CAPPED
        return TotalCount(value=min(counted, limit), precision=precision)

    async def _page(self, info: Info) -> Page:
        return await info.context.reader.ask_organization(self.question)

    def _cursor(self, row: AnyRow) -> str:
        return self.cursors.encode(self.question.order.position(self.question.table.c, row))
