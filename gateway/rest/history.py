"""The frozen endpoint's answer, written by the column as plans are.

What is not plainly what the contract says, anywhere on a page, is answered by the contract's own classes instead: they
are the reference.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Boolean, Integer, Table, Text
from sqlalchemy.types import TypeEngine

from gateway.database.statements import ODD, CompiledStatement
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.types import AnyRow, Id, UtcDateTime
from gateway.execution.plan.batches import RowBatch
from gateway.execution.plan.columns import ENCODER, Unplannable, Values, Write, are_utc, checked
from gateway.reading.contract import AttemptDocument, DeliveryDocument, delivery_document
from gateway.reading.history import HISTORY_PAGE, IN_SEQUENCE, OLDEST_FIRST, WHOLE_ATTEMPT, deliveries_of
from gateway.reading.pages import Position
from gateway.reading.payload import body_text, payload_json
from gateway.reading.questions import RowsOf
from gateway.reading.reader import Reader

DELIVERY_DOCUMENTS = TypeAdapter(list[DeliveryDocument])
ATTEMPTS_IN_SEQUENCE = RowsOf(attempts.c.delivery_id, WHOLE_ATTEMPT, IN_SEQUENCE)
ID_LENGTH = 36
HYPHENS = (8, 13, 18, 23)
NO_VALUES: Mapping[str, Values] = MappingProxyType({})


class HistoryPage(NamedTuple):
    """Some deliveries of a batch as a JSON array; `end` is where the next page goes on, None after the last page."""

    size: int
    content: bytes
    end: Position | None


async def read_page(
    reader: Reader, batch_id: str, after: Position | None = None, *, by_column: bool = True
) -> HistoryPage:
    """The next `HISTORY_PAGE` deliveries of a batch with their attempts, oldest first; empty where there is none."""
    statement, raw = await reader.fetch_columns(deliveries_of(HISTORY_PAGE, after), [batch_id])
    if not raw:
        return HistoryPage(0, b"[]", None)
    try:
        rows = RowBatch(statement, raw)
    except ODD:
        rows = RowBatch(statement, raw, whatever=True)
    ids = rows.column("id")
    tries = await reader.fetch_columns(ATTEMPTS_IN_SEQUENCE, ids)
    try:
        content = _by_column(rows, RowBatch(*tries)) if by_column else _by_contract(rows, *tries)
    except (Unplannable, *ODD):
        content = _by_contract(rows, *tries)
    end = None
    if rows.size == HISTORY_PAGE:
        end = OLDEST_FIRST.place(deliveries.c, rows.column("created_at")[-1], ids[-1])
    return HistoryPage(rows.size, content, end)


def _by_contract(rows: RowBatch, prepared: CompiledStatement, tries: Sequence[Sequence[Any]]) -> bytes:
    """The contract's classes: every value checked, one by one."""
    made: dict[str, list[AnyRow]] = {id_: [] for id_ in rows.column("id")}
    for attempt in prepared.rows(tries):
        made[attempt.delivery_id].append(attempt)
    return DELIVERY_DOCUMENTS.dump_json([delivery_document(row, made[row.id]) for row in rows.rows()])


def _by_column(rows: RowBatch, tries: RowBatch) -> bytes:
    """The same bytes, from columns of exactly the contract's types."""
    ids = rows.column("id")
    made: dict[str, list[Any]] = {id_: [] for id_ in ids}
    for id_, attempt in zip(tries.column("delivery_id"), _objects(ATTEMPT, tries), strict=True):
        made[id_].append(attempt)
    bodies = rows.column("payload_bytes")
    payloads = [None if payload is None else Raw(payload) for payload in map(payload_json, bodies)]
    texts = list(map(body_text, bodies))
    beside: dict[str, Values] = {"payload_bytes": texts, "payload": payloads, "attempts": [made[id_] for id_ in ids]}
    return ENCODER.encode(_objects(DELIVERY, rows, beside))


def _objects(shape: "Shape", rows: RowBatch, beside: Mapping[str, Values] = NO_VALUES) -> list[Any]:
    columns = [beside[name] if name in beside else shape.writers[name](rows.column(name)) for name in shape.fields]
    return list(map(shape.make, *columns))


def _ids(values: Values) -> Values:
    """Ids in their canonical form, which is all that the contract's classes would make of them."""
    joined = "".join(values)
    hyphens = all(joined[place::ID_LENGTH] == "-" * len(values) for place in HYPHENS)
    if not hyphens or len(joined) != ID_LENGTH * len(values) or joined != joined.lower():
        raise Unplannable("no canonical UUID")
    if len(bytes.fromhex(joined.replace("-", ""))) != 16 * len(values):
        raise Unplannable("no UUID")
    return values


def _times(values: Values) -> Values:
    if not are_utc(values):
        raise Unplannable("a time that is not UTC")
    return values


COLUMN_KINDS: dict[type[TypeEngine[Any]], tuple[type, Write | None]] = {
    Id: (str, _ids),
    UtcDateTime: (datetime, _times),
    Text: (str, None),
    Integer: (int, None),
    Boolean: (bool, None),
}


class Shape:
    """One of the contract's classes over the columns of a table."""

    def __init__(self, of: type[BaseModel], table: Table) -> None:
        self.fields = tuple(of.model_fields)
        self.make = msgspec.defstruct(of.__name__, self.fields, gc=False)
        self.writers: dict[str, Write] = {}
        for name in self.fields:
            if name in table.c and type(table.c[name].type) in COLUMN_KINDS:
                kind, write = COLUMN_KINDS[type(table.c[name].type)]
                self.writers[name] = checked(kind, True, write)


DELIVERY = Shape(DeliveryDocument, deliveries)
ATTEMPT = Shape(AttemptDocument, attempts)
