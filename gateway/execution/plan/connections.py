"""The nodes of a plan that are connections, and what these show of their page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

from gateway.database.types import AnyRow
from gateway.execution.plan.arguments import Arguments
from gateway.execution.plan.batches import Batch, EdgeBatch, ObjectBatch, PageBatch, RowBatch
from gateway.execution.plan.columns import Values
from gateway.execution.plan.fields import PlannedField, RequestInfo, Selection
from gateway.reading.pages import Page
from gateway.schema.connections import PageInfo, Paginated


@dataclass(frozen=True, slots=True)
class ConnectionField(PlannedField):
    """A connection at the root. Its page is read where a field shows it, with the columns of all that show it."""

    source: Paginated
    arguments: Arguments
    selection: Selection

    @property
    def does_io(self) -> bool:
        return True

    async def values(self, _batch: Batch, request: RequestInfo, /) -> Values:
        shown = [field for field in self.selection.fields if isinstance(field, OfPageField)]
        columns = frozenset(chain.from_iterable(rows.columns(request) for field in shown for rows in field.of_rows))
        connection = self.source.connection(columns, **self.arguments.of(request.variables))
        if not shown:
            return await self.selection.objects(ObjectBatch([connection]), request)
        question = connection.question
        prepared, raw = await request.reader.fetch_columns(question, [request.reader.organization])
        page = Page.of(question.asked, cast("Sequence[AnyRow]", raw))
        prepared.columns(raw[question.asked.size :])  # the row beyond the page must be readable, too
        rows = RowBatch(prepared, page.rows)
        return await self.selection.objects(PageBatch(connection, rows, page), request)


@dataclass(frozen=True, slots=True)
class OfPageField(PlannedField):
    """A field of a connection that shows its page."""

    selection: Selection

    @property
    def of_rows(self) -> Sequence[Selection]:
        """What it selects of the rows of the page."""
        return ()

    @property
    def does_io(self) -> bool:
        return self.selection.does_io


@dataclass(frozen=True, slots=True)
class PageNodesField(OfPageField):
    """`nodes`."""

    @property
    def of_rows(self) -> Sequence[Selection]:
        return (self.selection,)

    async def values(self, batch: Batch, request: RequestInfo, /) -> Values:
        return [await self.selection.objects(cast("PageBatch", batch).rows, request)]


@dataclass(frozen=True, slots=True)
class PageEdgesField(OfPageField):
    """`edges`."""

    @property
    def of_rows(self) -> Sequence[Selection]:
        return [field.selection for field in self.selection.fields if isinstance(field, EdgeNodeField)]

    async def values(self, batch: Batch, request: RequestInfo, /) -> Values:
        return [await self.selection.objects(EdgeBatch(cast("PageBatch", batch)), request)]


@dataclass(frozen=True, slots=True)
class EdgeNodeField(PlannedField):
    """`node` of each edge."""

    selection: Selection

    @property
    def does_io(self) -> bool:
        return self.selection.does_io

    async def values(self, batch: Batch, request: RequestInfo, /) -> Values:
        return await self.selection.objects(cast("EdgeBatch", batch).page.rows, request)


@dataclass(frozen=True, slots=True)
class PageInfoField(OfPageField):
    """`pageInfo`."""

    async def values(self, batch: Batch, request: RequestInfo, /) -> Values:
        page = cast("PageBatch", batch)
        size = page.rows.size
        info = PageInfo.of(page.page, page.cursors_of((0, size - 1)) if size else ())
        return await self.selection.objects(ObjectBatch([info]), request)
