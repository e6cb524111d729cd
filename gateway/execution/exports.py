"""A whole list as a file: its rows page by page, each field written as GraphQL writes it.

    {"id":"7f3b…","statusCode":"failed"}⏎          id,statusCode⏎
    {"end":{"rows":1,"cursor":"WzEs…"}}⏎           7f3b…,failed⏎
                                                   end of export: 1 rows,⏎

The last line says that all has come, and where a later export may go on: a file without it is cut. What the rows hold
is made by the nodes of plans, so that it is what the pages of the list would show.
"""

import csv
import io
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import isawaitable
from types import NoneType
from typing import Any, cast

import msgspec
from graphql import GraphQLLeafType, GraphQLObjectType, OperationDefinitionNode, get_nullable_type, parse

from gateway.database.statements import ODD
from gateway.errors import ValidationFailed
from gateway.execution.plan.arguments import Arguments
from gateway.execution.plan.batches import ColumnBatch, RowBatch
from gateway.execution.plan.columns import ENCODER, Unplannable, Values
from gateway.execution.plan.compiler import selection_of
from gateway.execution.plan.fields import ColumnField, PlannedField, RequestInfo, Selection
from gateway.reading.pages import Cursors, Order, Position, Slice
from gateway.reading.questions import PageOf
from gateway.schema.connections import Connection, Paginated
from gateway.schema.context import Context
from gateway.schema.exports import CURSOR, ExportedList, ExportFormat, chosen_fields
from gateway.schema.fields import source_of
from gateway.schema.graphql_core_internals import NO_VARIABLES, variable_values
from gateway.schema.query import SCHEMA
from gateway.schema.scalars import format_time
from gateway.schema.strawberry_internals import declared_field

logger = logging.getLogger(__name__)

EXPORTED_LISTS = {each.value: each.field for each in ExportedList}
"""The lists at the root of the graph, by their names in addresses."""

ROWS_IN_STATEMENT = 500  # rows of one statement
WIDE_PAGE = 100  # of those that may be large, of which a page has to fit in memory
WIDE_COLUMNS = frozenset({"input", "output", "metadata", "links", "items", "payload_bytes", "response_body"})
RUN_BY_SPREADSHEETS = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - full-width ones are run, too


async def no_pause(_seconds: float) -> None:
    """Go on at once."""


@dataclass(frozen=True, slots=True)
class CursorField(PlannedField):
    """The place of each row in its list."""

    order: Order
    table: Any
    cursors: Cursors

    async def values(self, batch: ColumnBatch, _request: RequestInfo, /) -> Values:
        places = zip(batch.column(self.order.column), batch.column("id"), strict=True)
        return [self.cursors.encode(self.order.place(self.table.c, value, id_)) for value, id_ in places]


class Export:
    """All rows of a list that a filter keeps, in an order, as a file. `rows` is how many have been written so far.

    `name` is one of `EXPORTED_LISTS`; `filter_` and `order` are the list's own arguments as JSON values, None where
    they are left out; `fields` are names of the rows' fields, see `chosen_fields`; `after` is a cursor of the list.

    Raises `ValidationFailed` and `BadCursor`.
    """

    def __init__(
        self,
        name: str,
        format_: ExportFormat,
        filter_: Any = None,
        order: Any = None,
        fields: Sequence[str] | None = None,
        after: str | None = None,
    ) -> None:
        self.name = name
        self.format = format_
        self.rows = 0
        self._continued = after is not None
        connection = _connection(EXPORTED_LISTS[name], filter_, order, after)
        self._question = connection.question
        self._cursors = connection.cursors
        self._type = cast("GraphQLObjectType", SCHEMA.type_map[connection.of.__name__])
        self._of = connection.of
        self.fields = chosen_fields(connection.of, fields)
        self._selection = self._selected()
        self._end: Position | None = self._question.asked.after

    async def pieces(
        self, context: Context, pause: Callable[[float], Awaitable[None]] = no_pause
    ) -> AsyncGenerator[bytes]:
        """The file, a piece for each page; the first one comes when the first page is read.

        `pause` is called after each page with the seconds that it took.
        """
        request = RequestInfo(context, context.reader, NO_VARIABLES)
        columns = self._selection.columns(request) | {self._question.order.column}
        size = WIDE_PAGE if columns & WIDE_COLUMNS else ROWS_IN_STATEMENT
        table, order = self._question.table, self._question.order
        head = self._head()
        more = True
        while more:
            asked = PageOf(table, columns, self._question.where, order, Slice(size, after=self._end))
            began = time.perf_counter()
            statement, raw = await context.reader.fetch_columns(asked, [context.reader.organization])
            more = len(raw) > size
            piece = head
            if raw:
                try:
                    batch = RowBatch(statement, raw[:size])
                    objects = await self._selection.objects(batch, request)
                    piece += self._written(objects)
                except (Unplannable, UnicodeEncodeError, *ODD):
                    batch = RowBatch(statement, raw[:size], whatever=True)
                    piece += self._written(await self._one_by_one(batch, request))
                self._end = order.place(table.c, batch.column(order.column)[-1], batch.column("id")[-1])
                self.rows += batch.size
            if not more:
                piece += self._last()
            head = b""
            yield piece
            await pause(time.perf_counter() - began)

    def _selected(self) -> Selection:
        """What is written of each row, with the cursor in its place."""
        compiled = selection_of(self._type, [name for name in self.fields if name != CURSOR])
        nodes = iter(compiled.fields)
        order = self._question.order
        cursor = CursorField(order, self._question.table, self._cursors)
        written: dict[str, PlannedField | ColumnField] = {
            name: cursor if name == CURSOR else next(nodes) for name in self.fields
        }
        columns = compiled.columns(cast("RequestInfo", None)) | {order.column, "id"}
        return Selection(self._type.name, written, columns)

    def _head(self) -> bytes:
        return _csv([self.fields]) if self.format is ExportFormat.CSV and not self._continued else b""

    def _last(self) -> bytes:
        if self.format is ExportFormat.CSV:
            return _csv([(f"end of export: {self.rows} rows", *[""] * (len(self.fields) - 1))])
        cursor = None if self._end is None else self._cursors.encode(self._end)
        return ENCODER.encode_lines([{"end": {"rows": self.rows, "cursor": cursor}}])

    def _written(self, objects: Sequence[Any]) -> bytes:
        """Rows as the format has them."""
        if self.format is ExportFormat.NDJSON:
            return ENCODER.encode_lines(objects)
        columns = zip(*map(msgspec.structs.astuple, objects), strict=True)
        return _csv(zip(*map(_cells, columns), strict=True))

    async def _one_by_one(self, batch: RowBatch, request: RequestInfo) -> list[Any]:
        """Rows of which some hold what no field can show: that is null, which the log tells."""
        columns: list[list[Any]] = [[] for _ in self.fields]
        wrong: set[str] = set()
        for row in batch.rows():
            of = self._of.of(row._mapping)
            for name, column in zip(self.fields, columns, strict=True):
                try:
                    column.append(await self._value(name, of, request))
                except Exception:  # noqa: BLE001 - whatever it is, the rest of the row is written
                    wrong.add(name)
                    column.append(None)
        if wrong:
            logger.warning(
                "rows of %s cannot be exported whole: %s", self._question.table.name, ", ".join(sorted(wrong))
            )
        return self._selection.made(columns)

    async def _value(self, name: str, of: Any, request: RequestInfo) -> Any:
        if name == CURSOR:
            return self._cursors.encode(self._question.order.position(self._question.table.c, of.row))
        field = self._type.fields[name]
        source = source_of(field)
        assert source is not None  # noqa: S101
        value = source.value(of, cast("Any", request), {})
        value = await value if isawaitable(value) else value
        if value is None:
            return None
        written = cast("GraphQLLeafType", get_nullable_type(field.type)).serialize(value)
        if isinstance(written, str):
            return written.encode(errors="replace").decode()
        return json.loads(json.dumps(written, allow_nan=False))


def _connection(field: str, filter_: Any, order: Any, after: str | None) -> Connection[Any]:
    """The connection of a field at the root with these arguments. `ValidationFailed` where they do not fit."""
    assert SCHEMA.query_type is not None  # noqa: S101
    definition = SCHEMA.query_type.fields[field]
    types = {name: definition.args[name].type for name in ("filter", "orderBy")}
    document = parse(
        f"query ($filter: {types['filter']}, $orderBy: {types['orderBy']}) "
        f"{{ {field}(filter: $filter, orderBy: $orderBy) {{ __typename }} }}"
    )
    operation = cast("OperationDefinitionNode", document.definitions[0])
    given = {name: value for name, value in (("filter", filter_), ("orderBy", order)) if value is not None}
    variables = variable_values(SCHEMA, operation, given, max_errors=1, hide_suggestions=True)
    if isinstance(variables, list):
        raise ValidationFailed(f"filter or orderBy is not what {field} takes: {variables[0].message}")
    node: Any = operation.selection_set.selections[0]
    arguments = Arguments(definition, declared_field(definition), node).of(variables)
    source = cast("Paginated", source_of(definition))
    return source.connection(frozenset(), **{**arguments, "after": after})


def _cells(column: Sequence[Any]) -> Sequence[Any]:
    """The values of a column as a spreadsheet may read them: texts that it would run begin with an apostrophe."""
    kinds = set(map(type, column)) - {NoneType}
    if str in kinds:
        return [f"'{value}" if value and value[0] in RUN_BY_SPREADSHEETS else value for value in column]
    if datetime in kinds:
        return [None if value is None else format_time(value) for value in column]
    if bool in kinds:
        return [None if value is None else "true" if value else "false" for value in column]
    if msgspec.Raw in kinds:
        return [None if value is None else bytes(value).decode() for value in column]
    return column


def _csv(rows: Any) -> bytes:
    """Records of RFC 4180."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
