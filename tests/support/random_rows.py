"""Random worlds: rows that many documents are asked over, each world odder than the one before.

The first worlds hold what a platform writes; later ones ties, nulls, hostile text, bodies and JSON of any shape, rows
whose parents belong to somebody else. The last ones are for SQLite alone, whose columns take any type, and where a
parent may be missing altogether.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import delete, text

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches, metadata
from gateway.writing.derived import derived_columns, masked_error
from tests.support.rows import OURS, START, THEIRS, Rows, attempt, batch, delivery, identifier, store
from tests.support.strategies import MOMENTS

SOUND_WORLDS = 14  # on both databases
BROKEN_WORLDS = 6  # more on SQLite

DELIVERY_STATUSES = ("delivered", "failed", "retrying", "pending", "Delivered", None)
BATCH_STATUSES = ("succeeded", "failed", "running", "partial_succeeded", "canceled", None)
REASONS = ("timeout", "http_5xx", "http_4xx", "tls_error", "dns_error", "read_timeout", "what_is_this", None)
URLS = (
    "https://a.example/x",
    "https://a.example/x?y=1",
    "https://A.example/x",
    "http://a.example:8080/in/hook",
    "https://b.example/",
    "https://user:secret@c.example/hooks/T0AB12CD3/B4EF56GH7/aBcD1234eFgH5678iJkL9012",
    "https://d.example/x?token=abc123&page=2#access_token=zzz",
    "//no.scheme/x",
    "no URL at all",
    "",
    None,
)
SECRETS = (
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    '{"password": "hunter2", "user": "ada"}',
    "could not reach https://ada:pw@c.example/x?api_key=12345 in time",
)
HOSTILE = (
    "",
    " ",
    "\t\r\n",
    "\x01\x02\x1b[31m\x7f\x9f",
    '"\'`\\ \\" \\u0041 \\n',
    "line\u2028separator\u2029paragraph",
    "😀👩‍👩‍👧‍👦 é e\u0301",
    "\ufeff\ufffd\uffff\U0010ffff",
    "%s %(x)s {0} {x} ${y} :z ?",
    "</script><!--",
    "null",
    "é" * 300,
    "😀" * 200,
)
NUMBERS = (0, 1, 2, 5, 5, 100, 3000, 2**31 - 1, None)
ODD_NUMBERS = (-1, -(2**31))
LONGS = (0, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), None)
COSTS = ("0", "0.1200", "12345678901234567890.12345", "-1", "1E+3", None)
FLOATS = (0.1, 1.0, -0.0, 1e16, 1e-7, 1.7976931348623157e308, 5e-324)
SHAPES: tuple[Any, ...] = (
    None,
    {},
    [],
    "gold",
    0,
    1.0,
    True,
    {"tier": "gold", "a.b": 1},
    {"tier": 1, "customer": {"tier": "gold", "0": True}},
    {"tier": 0.5, "customer": {"tier": None}, "deep": [[[[{"x": [1, "a", None]}]]]]},
    {"é": {"ü": "é"}, "": {"": ""}, "__typename": "Batch", "id": None},
    [None, 1, "a", {"b": [2.5, 10**30]}],
    {"floats": list(FLOATS), "large": [2**53 + 1, 2**63, -(10**40)]},
    {"text": list(HOSTILE[:9])},
)
OBJECTS = [shape for shape in SHAPES if isinstance(shape, dict)]
ITEMS: tuple[Any, ...] = (
    None,
    [],
    [{"id": "i1", "sequence_index": 0, "run_id": "r1", "status_code": "succeeded", "client_ref": "row 1"}],
    [{"id": None, "sequence_index": None}, {}, {"client_ref": "😀", "other": 1}],
)
ODD_ITEMS: tuple[Any, ...] = (
    {"id": "not a list"},
    "text",
    7,
    [None, 1, "x", ["y"], {"id": 5}],
    [{"id": 1.5, "sequence_index": "1"}],
    [{"id": ["a"], "sequence_index": 2**40, "status_code": {"x": 1}, "client_ref": True}],
)
INPUTS: tuple[Any, ...] = (None, [], [{"prompt": "a"}, {"prompt": "b"}], [1, "a", [2], {"x": None}])
ODD_INPUTS: tuple[Any, ...] = ([None], {"a": 1}, "text", 5, [[None], None])
# JSON that other writers may have stored, and Python's own cannot write.
RAW_JSON = (
    '{"a": 1e400, "b": -1e400, "c": 1E2}',
    '{"half": "\\ud800", "nul": "\\u0000"}',
    '{"twice": 1, "twice": 2}',
    "  [1.10, 1e2, 0.0, -0, 12345678901234567890.5]  ",
    '"\\u2028"',
    "[" * 3_000 + "]" * 3_000,
    "1" * 5_000,
)
# Instants that PostgreSQL has and Python has not.
INSTANTS_BEYOND = (
    "infinity",
    "-infinity",
    "20000-01-01 00:00:00Z",
    "294276-12-31 00:00:00Z",
    "0044-03-15 00:00:00Z BC",
)
ODD_INSTANTS = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    datetime(1969, 12, 31, 23, 59, 59, 1, UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
)
# What SQLite takes in any column.
BROKEN_VALUES = {
    "numbers": ("'many'", "4294967296", "9223372036854775807", "1.5", "1e300", "'12'", "x'00ff'", "''", "-3000000000"),
    "times": (
        "'2026-05-06T12:30:00+02:00'",
        "'2026-05-06T10:30:00'",
        "'2026-05-06 10:30:00.5'",
        "'2026-05-06'",
        "'2026-05-06T10:30:00.000000Z'",
        "'soon'",
        "''",
        "1778061600",
        "1778061600.5",
        "x'32303236'",
    ),
    "booleans": ("2", "-1", "'true'", "'yes'", "0.5", "''", "'0'"),
    "texts": (
        "5",
        "1.5",
        "x'ff00'",
        "CAST(x'610062' AS TEXT)",
        "1e20",
        "'a' || char(0) || 'b'",
        "CAST(x'61ff62' AS TEXT)",
    ),
    "json": ("'{'", "''", "'NaN'", "'[Infinity, -Infinity, NaN]'", "5", "1.5", "x'7b7d'", "'nul'"),
}
BROKEN_COLUMNS = {
    "numbers": (
        (batches, ("items_total", "items_failed", "duration_ms", "cost")),
        (deliveries, ("attempt_count", "max_attempts")),
        (attempts, ("attempt_number", "status_code", "response_time_ms")),
    ),
    "times": (
        (batches, ("created_at", "started_at", "completed_at")),
        (deliveries, ("created_at", "updated_at", "next_attempt_at", "completed_at")),
        (attempts, ("created_at",)),
    ),
    "booleans": ((deliveries, ("is_automatic",)),),
    "texts": (
        (batches, ("status_code", "target_type", "failure_message", "callback_url", "created_by")),
        (
            deliveries,
            ("status_code", "failure_reason_code", "failure_detail", "callback_url", "callback_host", "event"),
        ),
        (deliveries, ("payload_bytes", "signing_secret_id")),
        (attempts, ("error_message", "response_body", "error_message_masked")),
    ),
    "json": ((batches, ("metadata", "output", "links", "items", "input")),),
}
IDS = ((batches, "id"), (deliveries, "id"), (deliveries, "batch_id"), (attempts, "id"), (attempts, "delivery_id"))


@dataclass(frozen=True, slots=True)
class World:
    """Rows, and statements that make of them what no insert can."""

    name: str
    rows: Rows
    damage: Sequence[str] = field(default=())

    async def load(self, database: Database) -> None:
        """Put this world in the place of all that is stored; references are not enforced for the damage to SQLite."""
        async with database.connect() as connection:
            await _enforce(connection, database, on=False)
            for table in reversed(metadata.sorted_tables):
                await connection.execute(delete(table))
            await connection.commit()
        await store(database, self.rows)
        async with database.connect() as connection:
            await _enforce(connection, database, on=False)
            for statement in self.damage:
                await connection.exec_driver_sql(statement)
            await connection.commit()
            await _enforce(connection, database, on=True)


def worlds(dialect: str) -> list[World]:
    """All worlds of a database, always the same ones."""
    return [world(number, dialect) for number in range(SOUND_WORLDS + BROKEN_WORLDS * (dialect == "sqlite"))]


def world(number: int, dialect: str) -> World:
    """The `number`th world; the higher, the odder."""
    random = Random(f"world {number}")  # noqa: S311 - it keeps no secret
    rows = _Maker(random, odd=min(1.0, number / SOUND_WORLDS)).rows(0 if number == 0 else random.randint(3, 9))
    if number >= SOUND_WORLDS:
        kind = (*BROKEN_VALUES, "parents")[number - SOUND_WORLDS]
        damage = _orphans(random, rows) if kind == "parents" else _broken(random, rows, kind)
        return World(f"{number}: broken {kind}", rows, damage)
    if number >= SOUND_WORLDS - 3:
        return World(f"{number}: raw values", rows, _raw_values(random, rows, dialect))
    return World(f"{number}: rows", rows)


class _Maker:
    """Makes rows; the share `odd` of their values is drawn from what a platform rarely writes."""

    def __init__(self, random: Random, odd: float) -> None:
        self.random = random
        self.odd = odd

    def rows(self, count: int) -> Rows:
        parents = [self.batch(number) for number in range(count)]
        children: list[dict[str, Any]] = []
        in_flight: set[str] = set()  # one of a batch at the most
        for number in range(count * 2):
            child = self.delivery(self.random.choice(parents), number)
            if child["completed_at"] is None and child["batch_id"] in in_flight:
                child["completed_at"] = child["created_at"]
            if child["completed_at"] is None:
                in_flight.add(child["batch_id"])
            children.append(child)
        tries = [self.attempt(of, n + 1) for of in children for n in range(self.random.choice((0, 1, 2, 2, 3, 5)))]
        return {batches: parents, deliveries: children, attempts: tries}

    def batch(self, number: int) -> dict[str, Any]:
        return batch(
            number,
            self.organization(),
            target_type_code=self.text("model", None),
            target_type=self.text("model", "pipeline", None),
            target_id=self.text("gpt", None),
            status_code=self.text(*BATCH_STATUSES),
            source_code=self.text("api", "ui", None),
            items_total=self.number(),
            items_succeeded=self.number(),
            items_failed=self.number(),
            items_cancelled=self.number(),
            input=self.one_of(INPUTS, ODD_INPUTS),
            resolved_template_id=self.text("t-1", None),
            dispatch_provider_link_id=self.text("l-1", None),
            cost=self.random.choice(COSTS),
            output=self.random.choice((None, {"items": [], "total": 0}, *SHAPES)),
            metadata=self.random.choice((None, {"tier": "gold"}, {"tier": 1}, {"tier": True}, *SHAPES)),
            callback_url=self.random.choice(URLS),
            duration_ms=self.random.choice(LONGS),
            failure_code=self.text(*REASONS),
            failure_message=self.text(*SECRETS, "it failed", None),
            failure_stage_code=self.text("dispatch", None),
            created_by=self.text("ada", None),
            created_at=self.time(),
            started_at=self.maybe_time(),
            completed_at=self.maybe_time(),
            links=self.random.choice((None, {"self": "https://a.example/b/1"}, *SHAPES)),
            items=self.one_of(ITEMS, ODD_ITEMS),
        )

    def delivery(self, of: dict[str, Any], number: int) -> dict[str, Any]:
        url, body = self.random.choice(URLS), self.body(of["id"])
        row = delivery(
            {**of, "created_at": START},
            number,
            callback_url=url,
            signing_secret_id=self.random.choice((None, identifier(0x5E, 1))),
            is_automatic=self.random.choice((True, False, None)),
            status_code=self.text(*DELIVERY_STATUSES),
            failure_reason_code=self.text(*REASONS),
            failure_detail=self.text(*SECRETS, "refused", None),
            attempt_count=self.number(),
            max_attempts=self.number(),
            next_attempt_at=self.maybe_time(),
            created_at=self.time(),
            updated_at=self.maybe_time(),
            completed_at=self.maybe_time(),
            payload_bytes=body,
            **derived_columns(url, body),
        )
        return {**row, "org_id": self.organization(of["org_id"])}

    def attempt(self, of: dict[str, Any], number: int) -> dict[str, Any]:
        message = self.text(*SECRETS, "timed out", "Timed Out", "100% refused", None)
        row = attempt(
            {**of, "created_at": START},
            number,
            status_code=self.random.choice((200, 204, 404, 500, 503, 503, None)),
            response_time_ms=self.number(),
            error_message=message,
            error_message_masked=masked_error(message),
            response_body=self.text(*SECRETS, "ok", "x" * 600, "é" * 600, None),
            created_at=self.time(),
        )
        if self.is_odd():
            row["attempt_number"] = self.random.choice((0, 1, 1, -1, 2**31 - 1))
        return {**row, "org_id": self.organization(of["org_id"])}

    def is_odd(self) -> bool:
        return self.random.random() < self.odd * 0.3

    def one_of(self, plain: Sequence[Any], odd: Sequence[Any]) -> Any:
        return self.random.choice(odd if self.is_odd() else plain)

    def organization(self, parent: str | None = None) -> str:
        if parent is not None and not self.is_odd():
            return parent
        return self.random.choice((OURS, OURS, OURS, THEIRS))

    def text(self, *plain: str | None) -> str | None:
        text: str | None = self.one_of(plain, (None, *HOSTILE))
        return text

    def number(self) -> int | None:
        number: int | None = self.one_of(NUMBERS, ODD_NUMBERS)
        return number

    def time(self) -> datetime:
        if self.is_odd() and self.is_odd():
            return self.random.choice(ODD_INSTANTS)
        return self.random.choice(MOMENTS)

    def maybe_time(self) -> datetime | None:
        return None if self.random.random() < 0.4 else self.time()

    def body(self, batch_id: str) -> bytes | None:
        if self.random.random() < 0.2:
            return self.random.choice((None, b"", b"{", b"not JSON", b"[]", b"null", b'"text"', b"\xff\xfe{}", b"\x00"))
        choose = self.random.choice
        payload: dict[str, Any] = {
            "event": choose(("batch.succeeded", "batch.failed", "batch.cancelled", "batch.partial_succeeded")),
            "batch_id": choose((batch_id, batch_id.upper())),
            "status": choose(("succeeded", "failed", "cancelled", "partial_succeeded")),
            "output": choose((None, {"items": [], "total": 0}, *OBJECTS)),
            "duration_ms": self.one_of((0, 1200, None), (2**63, -1, 10**25, "12", 1.0)),
            "created_at": self.one_of(
                ("2026-05-06T10:00:00+00:00", "2026-05-06T10:00:00.123456Z", None),
                ("2026-05-06T10:00:00", "2026-05-06T10:00:00+02:00", 1778061600, "9999-12-31T23:59:59-05:00", "soon"),
            ),
            "completed_at": self.one_of(
                ("2026-05-06T10:05:00+00:00", None), ("0001-01-01T00:00:00+14:00", "2026-05-06")
            ),
            "metadata": choose((None, {"tier": "gold"}, {"tier": "gold"}, *OBJECTS)),
        }
        if self.is_odd():
            payload.pop(choose(list(payload)))
        if self.is_odd():
            payload["more"] = 1
        # Half of them as the platform signs them, with no space: only such a body is read without being parsed anew.
        compact = {"ensure_ascii": False, "separators": (",", ":")}
        other = {"ensure_ascii": choose((True, False)), "indent": choose((None, 2))}
        written = json.dumps(payload, **choose((compact, other)))
        if self.is_odd():
            spelled = ("1e400", "NaN", "1e16", "-0.0", '"\\ud800"', "123456789012345678901234567890", '{"a":1,"a":2}')
            written = re.sub(r'("tier": ?)"gold"', lambda found: found[1] + choose(spelled), written, count=1)
        encoded = written.encode()
        return encoded + b"\xff" if self.is_odd() else encoded


async def _enforce(connection: Any, database: Database, *, on: bool) -> None:
    if database.dialect == "sqlite":
        await connection.execute(text(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}"))


def _set(random: Random, rows: Rows, table: Any, column: str, value: str) -> list[str]:
    """A statement that sets a column of one row to a value of SQL's."""
    if not rows[table]:
        return []
    return [f"UPDATE {table.name} SET {column} = {value} WHERE id = '{random.choice(rows[table])['id']}'"]


def _raw_values(random: Random, rows: Rows, dialect: str) -> list[str]:
    """JSON as other writers put it; on PostgreSQL instants beyond all others, too."""
    statements = []
    for column in ("metadata", "output", "links"):
        for value in random.sample(RAW_JSON, 2):
            statements += _set(random, rows, batches, column, f"'{value}'")
    if dialect == "postgresql":
        for table, columns in BROKEN_COLUMNS["times"]:
            for column in columns:
                statements += _set(random, rows, table, column, f"'{random.choice(INSTANTS_BEYOND)}'")
    return statements


def _broken(random: Random, rows: Rows, kind: str) -> list[str]:
    """A few values of wrong types, by which some statements fail and others do not."""
    places = [(table, column) for table, columns in BROKEN_COLUMNS[kind] for column in columns]
    chosen = random.sample(places, max(1, len(places) // 2))
    return [
        statement
        for table, column in chosen
        for statement in _set(random, rows, table, column, random.choice(BROKEN_VALUES[kind]))
    ]


def _orphans(random: Random, rows: Rows) -> list[str]:
    """Parents that are gone, and ids that are written in another way."""
    statements = [
        f"DELETE FROM {table.name} WHERE id = '{random.choice(rows[table])['id']}'" for table in (batches, deliveries)
    ]
    for table, column in random.sample(IDS, 3):
        statements += _set(random, rows, table, column, random.choice((f"upper({column})", f"{column} || ' '", "''")))
    return [*statements, f"UPDATE organizations SET name = NULL, created_at = '{START + timedelta(days=1)}'"]
