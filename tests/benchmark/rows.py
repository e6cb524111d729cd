"""Many rows, made by the database itself and the same on each: everything follows from a row's number.

The nth attempt of all is made in the nth second, so that a place in a list is known without reading it.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import URL, make_url

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches

ORGANIZATION = "0a000000-0000-4000-8000-000000000001"
BATCH, DELIVERY, ATTEMPT, SECRET = 0xBA, 0xDE, 0xA7, 0x5E
START = datetime(2026, 1, 1, tzinfo=UTC)
PREPARATION = 600  # seconds from a batch's submission to its end
CHUNK = 500_000
TABLES = (batches.name, batch_callback_deliveries.name, batch_callback_delivery_attempts.name)

# Odd factors: numbers in order become ids in none, and no two the same.
FACTORS = ((2654435761, 2**32), (40503, 2**16), (2731, 2**12), (2862933555, 2**48))

Execute = Callable[[str], Awaitable[Any]]
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Group:
    """Batches with as many deliveries each, and each of these with as many attempts; the first number of each."""

    batches: int
    deliveries: int
    attempts: int
    first_batch: int = 0
    first_delivery: int = 0
    first_attempt: int = 0

    def after(self, previous: "Group") -> "Group":
        """The group behind another one."""
        return Group(
            self.batches,
            self.deliveries,
            self.attempts,
            previous.first_batch + previous.batches,
            previous.first_delivery + previous.batches * previous.deliveries,
            previous.first_attempt + previous.all_attempts,
        )

    @property
    def numbers(self) -> range:
        """Of its batches."""
        return range(self.first_batch, self.first_batch + self.batches)

    @property
    def all_attempts(self) -> int:
        """How many attempts its batches have together."""
        return self.batches * self.deliveries * self.attempts

    def submitted(self, batch: int) -> datetime:
        """When the batch of that number was created."""
        second = self.first_attempt + (batch - self.first_batch) * self.deliveries * self.attempts
        return instant(second - PREPARATION)


@dataclass(frozen=True, slots=True)
class Layout:
    """All rows: batches of many deliveries, then, created later, those that most requests ask for."""

    wide: Group
    usual: Group
    varied: bool = False  # status, reason, host, event, answers and times differ, and a few deliveries are in flight

    @classmethod
    def of(cls, wide: tuple[int, int, int], usual: tuple[int, int, int], *, varied: bool = False) -> "Layout":
        """Each as (batches, deliveries of a batch, attempts of a delivery)."""
        first = Group(*wide)
        return cls(first, Group(*usual).after(first), varied)


def identifier(kind: int, number: int) -> str:
    """The id of the nth thing of a kind: it looks random."""
    a, b, c, d = (number * factor % size for factor, size in FACTORS)
    return str(UUID(f"{a:08x}-{b:04x}-4{c:03x}-8{kind:03x}-{d:012x}"))


def instant(second: int) -> datetime:
    """The time of a second since the start, with a fraction, as real ones have."""
    return START + timedelta(seconds=second, microseconds=_fraction(second))


def _fraction(second: int) -> int:
    return (second + PREPARATION) * 7919 % 1_000_000


class Sqlite:
    """How SQLite says it."""

    settle = "ANALYZE"
    flush = "PRAGMA wal_checkpoint"

    def id(self, kind: int, number: str) -> str:
        """The id of a number."""
        parts = ", ".join(f"({number}) * {factor} % {size}" for factor, size in FACTORS)
        return f"printf('%08x-%04x-4%03x-8{kind:03x}-%012x', {parts})"

    def time(self, second: str) -> str:
        """The time of a second."""
        return self._text(second, "Z")

    def signed_time(self, second: str) -> str:
        """The same as text, as a body has it."""
        return self._text(second, "+00:00")

    def body(self, text: str) -> str:
        """A text as bytes."""
        return f"CAST({text} AS BLOB)"

    def series(self, low: int, high: int) -> str:
        """Rows with the numbers from `low` to below `high` in the column `n`."""
        return (
            f"(WITH RECURSIVE s(n) AS (SELECT {low} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {high}) "
            "SELECT n FROM s)"
        )

    def _text(self, second: str, zone: str) -> str:
        whole = f"strftime('%Y-%m-%dT%H:%M:%S', {int(START.timestamp())} + ({second}), 'unixepoch')"
        return f"{whole} || printf('.%06d{zone}', ({second} + {PREPARATION}) * 7919 % 1000000)"


class Postgresql:
    """How PostgreSQL says it."""

    settle = "VACUUM ANALYZE"
    flush = "CHECKPOINT"

    def id(self, kind: int, number: str) -> str:
        """The id of a number."""
        a, b, c, d = (
            f"lpad(to_hex(({number}) * {factor} % {size}), {digits}, '0')"
            for (factor, size), digits in zip(FACTORS, (8, 4, 3, 12), strict=True)
        )
        return f"CAST({a} || {b} || '4' || {c} || '8{kind:03x}' || {d} AS uuid)"

    def time(self, second: str) -> str:
        """The time of a second."""
        fraction = f"({second} + {PREPARATION}) * 7919 % 1000000"
        return f"to_timestamp({int(START.timestamp())} + ({second})) + {fraction} * interval '1 microsecond'"

    def signed_time(self, second: str) -> str:
        """The same as text, as a body has it."""
        return f"""to_char(({self.time(second)}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""

    def body(self, text: str) -> str:
        """A text as bytes."""
        return f"convert_to({text}, 'UTF8')"

    def series(self, low: int, high: int) -> str:
        """Rows with the numbers from `low` to below `high` in the column `n`."""
        return f"(SELECT generate_series(CAST({low} AS bigint), {high - 1}) AS n)"


Dialect = Sqlite | Postgresql
DIALECTS: dict[str, Dialect] = {"sqlite": Sqlite(), "postgresql": Postgresql()}


async def fill(url: str, layout: Layout, report: Report = lambda *_: None, *, many: bool = False) -> None:
    """Insert all rows into an empty, migrated database. `many` makes indexes and references afterwards.

    `report` is told what is done, how much of it, and of how much.
    """
    parsed = make_url(url)
    say = DIALECTS[parsed.get_backend_name()]
    async with _opened(parsed) as (execute, describe):
        aside = await describe() if many else []
        for drop, _ in aside:
            await execute(drop)
        await execute(
            f"INSERT INTO organizations (id, name, created_at) VALUES ('{ORGANIZATION}', 'benchmark', {say.time('0')})"
        )
        for group in (layout.wide, layout.usual):
            for name, count, statement in _statements(group, VARIED if layout.varied else ALIKE):
                for low in range(0, count, CHUNK):
                    await execute(statement(say, say.series(low, min(low + CHUNK, count))))
                    report(name, min(low + CHUNK, count), count)
        restored = [create for _, create in reversed(aside) if create]
        for done, create in enumerate(restored, 1):
            await execute(create)
            report("indexes", done, len(restored))
        await execute(say.settle)
        if many:
            await execute(say.flush)  # now, not while it is measured


def _chance(number: str, salt: int, of: int) -> str:
    """A number below `of` that looks random, the same for the same number and salt."""
    return f"(({number} + {salt}) * 2654435761 % 4294967296 / 65536 * 40503 % 65536 * {of} / 65536)"


def _one_of(number: str, salt: int, *texts: str) -> str:
    choices = " ".join(f"WHEN {place} THEN '{text}'" for place, text in enumerate(texts))
    return f"CASE {_chance(number, salt, len(texts))} {choices} END"


class Alike:
    """Rows that differ in nothing that filters look for."""

    def batch_status(self) -> str:
        """Of the batch `n` of its group."""
        return "'succeeded'"

    def in_flight(self, group: Group) -> str:  # noqa: ARG002
        """Whether the delivery `n` of its group is: a condition."""
        return "1 = 0"

    def delivery_status(self, group: Group) -> str:  # noqa: ARG002
        """How the delivery `n` stands."""
        return "'delivered'"

    def reason(self, group: Group) -> str:  # noqa: ARG002
        """Why the delivery `n` failed."""
        return "NULL"

    def host(self) -> str:
        """A number in the host's name of the delivery `n`."""
        return "n % 97"

    def event(self) -> str:
        """What the delivery `n` tells."""
        return "'batch.succeeded'"

    def answer(self, group: Group) -> tuple[str, str, str, str]:
        """HTTP status, milliseconds, error message and body of the attempt `n`."""
        last = f"n % {group.attempts} = {group.attempts - 1}"
        late = f"NOT {last} AND n % 5 = 0"
        return (
            f"CASE WHEN {last} THEN 200 WHEN {late} THEN NULL ELSE 503 END",
            "40 + n * 37 % 2900",
            f"CASE WHEN {late} THEN 'connection timed out' END",
            f"""CASE WHEN {last} THEN '{{"ok":true}}' WHEN {late} THEN NULL ELSE 'upstream is not available' END""",
        )


class Varied(Alike):
    """Rows as a platform has them: 50 hosts, 7 of 100 failed, the newest in flight, and a few stuck for long."""

    def batch_status(self) -> str:
        return _one_of("n", 1, *["succeeded"] * 8, "failed", "partial_succeeded")

    def in_flight(self, group: Group) -> str:
        last = f"n % {group.deliveries} = {group.deliveries - 1}"  # of a batch, which may have one in flight
        return f"({last} AND (n >= {group.batches * group.deliveries - 400} OR {_chance('n', 2, 65536)} = 7))"

    def delivery_status(self, group: Group) -> str:
        failed = f"WHEN {_chance('n', 3, 100)} < 7 THEN 'failed'"
        return f"CASE WHEN {self.in_flight(group)} THEN 'retrying' {failed} ELSE 'delivered' END"

    def reason(self, group: Group) -> str:
        some = _one_of("n", 4, "timeout", "http_5xx", "http_5xx", "http_4xx", "connection_refused", "tls_error")
        return f"CASE WHEN {_chance('n', 3, 100)} < 7 OR {self.in_flight(group)} THEN {some} END"

    def host(self) -> str:
        return f"({_chance('n', 5, 50)} * {_chance('n', 6, 50)} / 50)"  # some have many more than others

    def event(self) -> str:
        return _one_of("n", 7, *["batch.succeeded"] * 8, "batch.failed", "batch.partial_succeeded")

    def answer(self, group: Group) -> tuple[str, str, str, str]:
        last = f"n % {group.attempts} = {group.attempts - 1} AND {_chance(f'n / {group.attempts}', 3, 100)} >= 7"
        code = (
            f"CASE {_chance('n', 8, 8)} WHEN 0 THEN NULL WHEN 1 THEN 404 WHEN 2 THEN 429 WHEN 3 THEN 500 ELSE 503 END"
        )
        time = f"30 + {_chance('n', 9, 400)} * {_chance('n', 10, 400)} * {_chance('n', 11, 100)} / 500"
        message = _one_of("n", 12, "connection timed out", "upstream is not available", "TLS handshake failed")
        return (
            f"CASE WHEN {last} THEN 200 + 4 * ({_chance('n', 13, 10)} / 9) ELSE {code} END",
            f"CASE WHEN {_chance('n', 8, 8)} = 0 AND NOT ({last}) THEN 30000 ELSE {time} END",
            f"CASE WHEN NOT ({last}) THEN {message} END",
            f"""CASE WHEN {last} THEN '{{"ok":true}}' ELSE 'upstream is not available' END""",
        )


ALIKE, VARIED = Alike(), Varied()


def _statements(group: Group, shape: Alike) -> Iterator[tuple[str, int, Callable[[Dialect, str], str]]]:
    """What is inserted: its name, how many rows, and the statement for a series of numbers from 0."""
    deliveries, attempts = group.deliveries, group.attempts
    count = group.batches
    yield "batches", count, lambda say, series: _batches(say, series, group, shape)
    yield "deliveries", count * deliveries, lambda say, series: _deliveries(say, series, group, shape)
    yield "attempts", count * deliveries * attempts, lambda say, series: _attempts(say, series, group, shape)


def _batches(say: Dialect, series: str, group: Group, shape: Alike) -> str:
    ended = f"{group.first_attempt} + n * {group.deliveries * group.attempts}"
    return f"""
    INSERT INTO batches (id, org_id, target_type, status_code, source_code, items_total, items_succeeded, metadata,
      cost, callback_url, duration_ms, created_by, created_at, started_at, completed_at)
    SELECT {say.id(BATCH, f"{group.first_batch} + n")}, '{ORGANIZATION}', 'model', {shape.batch_status()}, 'api', 1, 1,
      '{{"customer":{{"tier":"gold"}}}}', 0.25, {_url("n % 97")}, {PREPARATION * 1000}, 'ada@customer.example',
      {say.time(f"{ended} - {PREPARATION}")}, {say.time(f"{ended} - {PREPARATION - 1}")}, {say.time(ended)}
    FROM {series} numbers"""


def _deliveries(say: Dialect, series: str, group: Group, shape: Alike) -> str:
    created = f"{group.first_attempt} + n * {group.attempts}"
    in_flight, changed = shape.in_flight(group), say.time(f"{created} + {group.attempts}")
    batch = f"{group.first_batch} + n / {group.deliveries}"
    ended = f"{group.first_attempt} + n / {group.deliveries} * {group.deliveries * group.attempts}"
    item = (
        f"""'{{"id":"' || {say.id(1, batch)} || '","sequence_index":0,"client_ref":"row-0","run_id":"'"""
        f""" || {say.id(2, batch)} || '","status_code":"succeeded","input":{{"prompt":"Name a colour."}},"""
        """"output":{"text":"Blue is a colour that many people like."}}'"""
    )
    body = (
        f"""'{{"event":"batch.succeeded","batch_id":"' || {say.id(BATCH, batch)} || '","status":"succeeded","""
        f""""output":{{"items":[' || {item} || '],"succeeded":1,"failed":0,"cancelled":0,"total":1}},"""
        f""""duration_ms":{PREPARATION * 1000},"created_at":"' || {say.signed_time(f"{ended} - {PREPARATION}")}"""
        f""" || '","completed_at":"' || {say.signed_time(ended)} || '","metadata":{{"customer":{{"tier":"gold"}}}}}}'"""
    )
    return f"""
    INSERT INTO batch_callback_deliveries (id, org_id, batch_id, callback_url, signing_secret_id, is_automatic,
      status_code, failure_reason_code, attempt_count, max_attempts, next_attempt_at, created_at, updated_at,
      completed_at, callback_host, event, payload_bytes)
    SELECT {say.id(DELIVERY, f"{group.first_delivery} + n")}, '{ORGANIZATION}', {say.id(BATCH, batch)},
      {_url(shape.host())}, {say.id(SECRET, "n % 7")}, n % {group.deliveries} = 0,
      {shape.delivery_status(group)}, {shape.reason(group)},
      {group.attempts}, {max(8, group.attempts)}, CASE WHEN {in_flight} THEN {say.time(f"{created} + 3600")} END,
      {say.time(created)}, {changed}, CASE WHEN NOT ({in_flight}) THEN {changed} END,
      'hooks.customer-' || ({shape.host()}) || '.example', {shape.event()}, {say.body(body)}
    FROM {series} numbers"""


def _attempts(say: Dialect, series: str, group: Group, shape: Alike) -> str:
    code, milliseconds, message, body = shape.answer(group)
    return f"""
    INSERT INTO batch_callback_delivery_attempts (id, org_id, delivery_id, attempt_number, status_code,
      response_time_ms, error_message, created_at, response_body)
    SELECT {say.id(ATTEMPT, f"{group.first_attempt} + n")}, '{ORGANIZATION}',
      {say.id(DELIVERY, f"{group.first_delivery} + n / {group.attempts}")}, 1 + n % {group.attempts},
      {code}, {milliseconds}, {message}, {say.time(f"{group.first_attempt} + n")}, {body}
    FROM {series} numbers"""


def _url(number: str) -> str:
    return f"'https://hooks.customer-' || ({number}) || '.example/callbacks/batches'"


@asynccontextmanager
async def _opened(url: URL) -> AsyncIterator[tuple[Execute, Callable[[], Awaitable[list[tuple[str, str]]]]]]:
    """How to run a statement, and how to learn what may be dropped: pairs of statements that drop and create."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database or "", isolation_level=None)) as file:
            for pragma in ("synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
                file.execute(f"PRAGMA {pragma}")

            async def run(statement: str) -> None:
                file.execute(statement)

            async def indexes() -> list[tuple[str, str]]:
                found = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
                return [("PRAGMA journal_mode = OFF", ""), *((f"DROP INDEX {name}", sql) for name, sql in found)]

            yield run, indexes
        return
    connection: Any = await asyncpg.connect(
        url.set(drivername="postgresql").render_as_string(hide_password=False),
        server_settings={"synchronous_commit": "off", "maintenance_work_mem": "512MB"},
    )

    async def constraints() -> list[tuple[str, str]]:
        return await _postgresql_constraints(connection)

    try:
        yield connection.execute, constraints
    finally:
        await connection.close()


async def _postgresql_constraints(connection: Any) -> list[tuple[str, str]]:
    """References first, then indexes, then keys, which the others need; the tables write no log meanwhile."""
    tables = list(TABLES)
    constraints = await connection.fetch(
        """SELECT contype::text AS kind, conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE conrelid = ANY ($1::text[]::regclass[])""",
        tables,
    )
    indexes = await connection.fetch(
        """SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY ($1)
        AND indexname NOT IN (SELECT conname FROM pg_constraint)""",
        tables,
    )
    references, keys = (
        [
            (f"ALTER TABLE {of} DROP CONSTRAINT {name}", f"ALTER TABLE {of} ADD CONSTRAINT {name} {definition}")
            for kind, of, name, definition in constraints
            if kind == wanted
        ]
        for wanted in ("f", "p")
    )
    unlogged = [(f"ALTER TABLE {table} SET UNLOGGED", "") for table in tables]
    dropped = [(f"DROP INDEX {name}", definition) for name, definition in indexes]
    return [*references, *unlogged, *dropped, *keys]
