"""Rows that wait to be compared with the stored ones and inserted, a few statements for thousands of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Table, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database.dialects import ids_as_rows
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.database.types import AnyRow
from gateway.reading.payload import BatchCallbackPayload, body_payload
from gateway.writing.derived import derived_columns, masked_error
from gateway.writing.documents import BatchInFile, DeliveryInFile, field_path
from gateway.writing.json_text import Malformed

MOST_ROWS = 4000
MOST_CHARACTERS = 4_000_000
# How these follow from other columns may change, the content does not.
DERIVED = {column.name for table in (deliveries, attempts) for column in table.c if column.info.get("derived")}
# What drivers and types raise for a value that is none of its column, or that Python has not.
UNREADABLE_STORED = (ValueError, ArithmeticError)
DELIVERY_COLUMNS = [column.name for column in deliveries.c if column.name in DeliveryInFile.model_fields]


@dataclass(slots=True)
class ImportResult:
    """How many rows a file added, and how many of its rows were there before."""

    batches: int = 0
    deliveries: int = 0
    attempts: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file a value stands: its line, and the keys that lead to it."""

    line: int
    keys: tuple[str | int, ...] = ()

    def refuse(self, problem: str, *keys: str | int) -> Malformed:
        """The exception that says what is wrong here, or further inside."""
        return Malformed(self.line, problem, field_path((*self.keys, *keys)))


@dataclass(slots=True)
class _Entry:
    """A row of a file and its place."""

    row: dict[str, Any]
    place: Place


@dataclass(slots=True)
class _BatchEntry:
    """A batch. `first` is what a delivery tells of it, `rest` what the file says, as soon as that is known."""

    first: dict[str, Any]
    place: Place
    rest: dict[str, Any] | None = None
    whole: bool = False  # whether `rest` is the whole row, which a stored one must then equal


class Chunk:
    """A part of a file, for one organization. Everything raises `Malformed` where rows contradict each other."""

    def __init__(self, connection: AsyncConnection, organization_id: str) -> None:
        self.result = ImportResult()
        self._connection = connection
        self._organization_id = organization_id
        self._unfinished: set[str] = set()  # batches that were inserted before their `rest` was known
        self._forget()

    def _forget(self) -> None:
        self._characters = 0
        self._batches: dict[str, _BatchEntry] = {}
        self._deliveries: dict[str, _Entry] = {}
        self._attempts: dict[str, _Entry] = {}

    def is_full(self, characters: int) -> bool:
        """Count so many more characters of the file; whether the chunk is to be written now."""
        self._characters += characters
        rows = len(self._batches) + len(self._deliveries) + len(self._attempts)
        return rows >= MOST_ROWS or self._characters >= MOST_CHARACTERS

    def add_delivery(self, delivery: DeliveryInFile, place: Place) -> BatchCallbackPayload | None:
        """Add a delivery with its attempts; its body parsed, where it can be read."""
        body = None if delivery.payload_bytes is None else delivery.payload_bytes.encode()
        payload = body_payload(body)
        row = {name: getattr(delivery, name) for name in DELIVERY_COLUMNS} | {
            "id": str(delivery.id),
            "org_id": self._organization_id,
            "batch_id": str(delivery.batch_id),
            "payload_bytes": body,
            "signing_secret_id": delivery.signing_secret_id and str(delivery.signing_secret_id),
            **derived_columns(delivery.callback_url, body),
        }
        self._add(deliveries, self._deliveries, row, place)
        for index, attempt in enumerate(delivery.attempts or ()):
            inner = Place(place.line, (*place.keys, "attempts", index))
            if attempt.delivery_id not in {None, delivery.id}:
                raise inner.refuse(f"{attempt.delivery_id} is not the delivery around it, {delivery.id}", "delivery_id")
            row = dict(attempt) | {
                "id": str(attempt.id),
                "org_id": self._organization_id,
                "delivery_id": str(delivery.id),
                "error_message_masked": masked_error(attempt.error_message),
            }
            self._add(attempts, self._attempts, row, inner)
        return payload

    def open_batch(self, delivery: DeliveryInFile, place: Place) -> None:
        """Make sure that the batch of a delivery is inserted before it, though little may be known of it yet."""
        id_ = str(delivery.batch_id)
        if id_ not in self._batches:
            first = {"id": id_, "callback_url": delivery.callback_url, "created_at": delivery.created_at}
            self._batches[id_] = _BatchEntry(first, place)

    def describe_batch(self, payload: BatchCallbackPayload, delivery: DeliveryInFile) -> None:
        """Fill in what the body of a delivery tells of its batch, which is open."""
        self._batches[str(delivery.batch_id)].rest = _told_by(payload)

    def add_batch(self, batch: BatchInFile, earliest: datetime | None, place: Place) -> None:
        """Add a whole batch, created when it says or else with the earliest of its deliveries."""
        id_ = str(batch.id)
        if batch.org_id is not None and str(batch.org_id) != self._organization_id:
            raise place.refuse(f"{batch.org_id} is another organization, expected {self._organization_id}", "org_id")
        created_at = batch.created_at or earliest
        if created_at is None:
            raise place.refuse("is missing, and there is no delivery to take it from", "created_at")
        row = dict(batch) | {"id": id_, "org_id": self._organization_id, "created_at": created_at}
        entry = self._batches.setdefault(id_, _BatchEntry({}, place))
        if entry.rest is not None:
            _compare(batches, entry.rest, row, place)
            self.result.unchanged += 1
        entry.rest, entry.whole = row, True

    async def write(self) -> None:
        """Insert what is new, count what is there already, and be empty again."""
        await self._write_batches()
        await self._write_rows(deliveries, self._deliveries)
        await self._write_rows(attempts, self._attempts)
        self._forget()

    def _add(self, table: Table, entries: dict[str, _Entry], row: dict[str, Any], place: Place) -> None:
        known = entries.setdefault(row["id"], _Entry(row, place))
        if known.row is not row:
            _compare(table, known.row, row, place)
            self.result.unchanged += 1

    async def _write_batches(self) -> None:
        stored = await self._stored(batches, self._batches)
        new: list[dict[str, Any]] = []
        completed: list[dict[str, Any]] = []
        for id_, entry in self._batches.items():
            if id_ not in stored:
                new.append(
                    dict.fromkeys(batches.c.keys())
                    | entry.first
                    | (entry.rest or {})
                    | {"org_id": self._organization_id}
                )
                if entry.rest is None:
                    self._unfinished.add(id_)
                continue
            self._refuse_foreign(stored[id_], entry.place, "id" if entry.whole else "batch_id")
            if id_ in self._unfinished:
                if entry.rest is not None:
                    completed.append({"row_id": id_} | entry.rest)
                    self._unfinished.remove(id_)
            elif entry.whole and entry.rest is not None:
                _compare(batches, stored[id_]._mapping, entry.rest, entry.place)
                self.result.unchanged += 1
        await self._insert(batches, new)
        if completed:
            await self._connection.execute(update(batches).where(batches.c.id == bindparam("row_id")), completed)
        self.result.batches += len(new)

    async def _write_rows(self, table: Table, entries: dict[str, _Entry]) -> None:
        stored = await self._stored(table, entries)
        new: list[_Entry] = []
        for id_, entry in entries.items():
            if id_ in stored:
                self._refuse_foreign(stored[id_], entry.place, "id")
                _compare(table, stored[id_]._mapping, entry.row, entry.place)
            else:
                new.append(entry)
        self.result.unchanged += len(entries) - len(new)
        if table is deliveries:
            await self._refuse_second_in_flight(new)
            self.result.deliveries += len(new)
        else:
            self.result.attempts += len(new)
        await self._insert(table, [entry.row for entry in new])

    async def _refuse_second_in_flight(self, new: Iterable[_Entry]) -> None:
        """The database refuses it too, but could not say in which line."""
        in_flight: dict[str, _Entry] = {}
        for entry in new:
            if entry.row["completed_at"] is None:
                other = in_flight.setdefault(entry.row["batch_id"], entry)
                if other is not entry:
                    raise _second_in_flight(entry, other.row["id"])
        wanted = ids_as_rows(in_flight)
        statement = (
            select(deliveries.c.batch_id, deliveries.c.id)
            .join_from(wanted, deliveries, deliveries.c.batch_id == wanted.c.value)
            .where(deliveries.c.completed_at.is_(None))
        )
        for batch_id, id_ in await self._connection.execute(statement) if in_flight else ():
            raise _second_in_flight(in_flight[batch_id], id_)

    async def _stored(self, table: Table, entries: Mapping[str, _Entry | _BatchEntry]) -> dict[str, AnyRow]:
        """The rows with the ids of these entries, whoever they belong to."""
        wanted = ids_as_rows(entries)
        statement = select(table).join_from(wanted, table, table.c.id == wanted.c.value)
        try:
            return {row.id: row for row in await self._connection.execute(statement)}
        except UNREADABLE_STORED:
            for id_, entry in entries.items():
                await self._refuse_unreadable(table, id_, entry.place)
            raise

    async def _refuse_unreadable(self, table: Table, id_: str, place: Place) -> None:
        """Refuse a row where the stored one has a value that cannot be read, so that they cannot be compared."""
        for column in table.c:
            try:
                (await self._connection.execute(select(column).where(table.c.id == id_))).all()
            except UNREADABLE_STORED as odd:
                problem = f"what {table.name} holds of {id_} cannot be read: `gateway doctor` says what is odd"
                raise place.refuse(problem, column.name) from odd

    async def _insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            await self._connection.execute(insert(table), rows)

    def _refuse_foreign(self, stored: AnyRow, place: Place, key: str) -> None:
        if stored.org_id != self._organization_id:
            raise place.refuse(f"{stored.id} belongs to another organization", key)


def _told_by(payload: BatchCallbackPayload) -> dict[str, Any]:
    """The columns of a batch that its callback's body tells; what no database could store is left out."""
    completed_at, duration_ms = payload.completed_at, payload.duration_ms
    return {
        "status_code": payload.status.value,
        "completed_at": completed_at if completed_at is not None and completed_at.tzinfo is not None else None,
        "duration_ms": duration_ms if duration_ms is not None and abs(duration_ms) < 2**63 else None,
        "metadata": payload.metadata if _is_storable(payload.metadata) else None,
        "output": payload.output if _is_storable(payload.output) else None,
    }


def _is_storable(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _compare(table: Table, known: Mapping[Any, Any], row: Mapping[str, Any], place: Place) -> None:
    """Refuse the row where it says something else than the known one with its id."""
    for name, value in row.items():
        if name not in DERIVED and not _same(table.c[name], known[name], value):
            raise place.refuse(f"differs from what is known of {row['id']}: expected the same content", name)


def _same(column: Column[Any], one: Any, other: Any) -> bool:
    """Equality that tells `true` from `1`, which Python's does not."""
    if isinstance(column.type, JSON):
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    return bool(one == other)


def _second_in_flight(entry: _Entry, other: str) -> Malformed:
    problem = f"is null, but {other} of the same batch is in flight: expected at most one delivery without completed_at"
    return entry.place.refuse(problem, "completed_at")
