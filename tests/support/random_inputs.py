"""Random values for arguments, taken from the rows that there are, so that most of them find something."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    is_required_input_field,
)
from sqlalchemy import Table

from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from tests.support.random_rows import HOSTILE
from tests.support.rows import OURS, START, Rows, identifier
from tests.support.strategies import METADATA_VALUES, PATHS

FILTERED: dict[str, Table] = {
    "BatchFilter": batches,
    "CallbackDeliveryFilter": deliveries,
    "CallbackAttemptFilter": attempts,
}
COLUMNS = {
    "id": "id",
    "batchId": "batch_id",
    "deliveryId": "delivery_id",
    "statusCode": "status_code",
    "failureReasonCode": "failure_reason_code",
    "failureCode": "failure_code",
    "createdAt": "created_at",
    "completedAt": "completed_at",
    "nextAttemptAt": "next_attempt_at",
    "attemptCount": "attempt_count",
    "attemptNumber": "attempt_number",
    "responseTimeMs": "response_time_ms",
    "callbackUrl": "callback_url",
    "callbackHost": "callback_host",
    "event": "event",
    "errorMessage": "error_message",
}
STARTS = ("https://a.example/", "https://A.example/", "http://a.example:8080/in/", "https://b.example/", "//", "")
PARTS = ("imed", "%", "_", "out", "", "\\", "token")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Etc/GMT+12")
WRONG_ZONES = ("Mars/Olympus", "", "europe/berlin", "../../etc/passwd", "UTC\n")
WRONG_IDS = ("", "x", "7f3b0a52", "7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f1g", "null", "😀")
WRONG_CURSORS = ("", "x", "WzFd", "WzEsIiIsMSwyXQ", "eyJhIjoxfQ", "%%%", "WzEsInh4eHh4eCIsbnVsbCxudWxsXQ", "é")
WRONG_TIMES = ("2026-05-06", "2026-05-06T10:00:00", "soon", "", 1778061600, "2026-13-01T00:00:00Z", None)
NUMBERS = (0, 1, 200, 2**31 - 1, -1)
WRONG_METADATA: tuple[Any, ...] = ({}, [1], {"a": None}, 2**60)
WRONG_VALUES: tuple[Any, ...] = (None, True, "x", 3.7, -1, 2**31, 10**30, [], ["x"], [[1]], {}, {"x": 1}, {"eq": []})
RANGES: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {  # right ones and wrong ones
    "first": ((1, 2, 3, 5, 10, 50, 500), (0, -1, 501, 2**31 - 1)),
    "last": ((1, 2, 3, 5, 10, 50, 500), (0, -1, 501)),
    "limit": ((1, 2, 5, 10_000, 100_000), (0, -1, 100_001)),
    "maxBytes": ((1, 2, 3, 5, 16, 511, 512, 65_536), (0, -5, 65_537)),
    "timeZone": (ZONES, WRONG_ZONES),
}
SPELLINGS: tuple[Callable[[str], str], ...] = (str.upper, lambda id_: id_.replace("-", ""), "urn:uuid:{}".format)


class Name(str):
    """A value of an enum: written without quotes in a document."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a document. `make` gives it a value; a `strict` one must not be null where it stands, and one that
    is `needed` must have a default."""

    name: str
    type: GraphQLInputType
    needed: bool
    strict: bool
    make: Callable[[], Any] = field(compare=False)

    def is_like(self, other: "Variable") -> bool:
        """Whether the other one could stand here, too. What a text or an id is good for, no type tells."""
        alike = (str(self.type), self.needed, self.strict) == (str(other.type), other.needed, other.strict)
        return alike and str(self.type).strip("[]!") not in {"String", "ID"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A list at the root that a cursor belongs to: its field, filter and order, and a cursor of it."""

    field: str
    filter: Any
    order: Any
    cursor: str


class Pools:
    """What the rows of a world hold: the values of each column that is filtered by, and cursors of its lists."""

    def __init__(self, rows: Rows) -> None:
        self.columns: Mapping[tuple[str, str], Sequence[Any]] = {
            (name, shown): sorted({row[column] for row in rows.get(table, ()) if row.get(column) is not None})
            for name, table in FILTERED.items()
            for shown, column in COLUMNS.items()
            if column in table.c
        }
        self.ids = {name: [row["id"] for row in rows.get(table, ())] for name, table in FILTERED.items()}
        self.listed: list[Listed] = []


VariableFor = Callable[[GraphQLInputType, bool, Callable[[], Any]], Variable]


class Inputs:
    """Values for one document. `faulty` ones are wrong now and then; `variable` puts variables inside of them."""

    def __init__(self, random: Random, pools: Pools, variable: VariableFor, *, faulty: bool) -> None:
        self.random = random
        self.pools = pools
        self.variable = variable
        self.faulty = faulty

    def slips(self, chance: float = 0.3) -> bool:
        """Whether this one is to be wrong."""
        return self.faulty and self.random.random() < chance

    def sound(self, variable: Variable) -> Any:
        """A value for a variable that is never wrong, since a document that holds it must be valid."""
        faulty, self.faulty = self.faulty, False
        try:
            return variable.make()
        finally:
            self.faulty = faulty

    def argument(self, on: str, name: str, type_: GraphQLInputType) -> Callable[[bool], Any]:
        """What makes values for the argument of a field: with variables inside of them, or without."""
        if name in RANGES:
            right, wrong = RANGES[name]
            return lambda _: self.random.choice(wrong if self.slips() else right)
        if name in {"after", "before"}:
            return lambda _: self.cursor()
        if name == "ids" and self.slips(0.1):
            return lambda _: [OURS] * 501
        kind = {"batch": "BatchFilter", "callbackDelivery": "CallbackDeliveryFilter"}.get(on)
        every = [id_ for pool in self.pools.ids.values() for id_ in pool]
        pool = self.pools.ids[kind] if kind is not None and self.random.random() < 0.95 else every
        return lambda open_: self.value(type_, pool, open_=open_)

    def cursor(self) -> str:
        """A cursor of some list or of none."""
        if self.slips() or not self.pools.listed:
            return self.random.choice(WRONG_CURSORS)
        return self.random.choice(self.pools.listed).cursor

    def id(self, pool: Sequence[str]) -> Any:
        """An id, in some spelling; a few are nobody's."""
        roll = self.random.random()
        if self.slips(0.15):
            return self.random.choice(WRONG_IDS)
        if roll < 0.05 or not pool:
            return self.random.choice((identifier(0xBA, 999), OURS, identifier(0xBA, 1)))
        id_ = self.random.choice(pool)
        return self.random.choice(SPELLINGS)(id_) if roll < 0.12 else id_

    def value(self, type_: GraphQLInputType, pool: Sequence[Any] = (), *, open_: bool, key: str = "") -> Any:
        """A value of a type; `open_` to variables inside. The values of `pool` belong here; `key` is the field's."""
        if isinstance(type_, GraphQLNonNull):
            return self.value(type_.of_type, pool, open_=open_, key=key)
        if isinstance(type_, GraphQLList):
            return self.list(type_.of_type, pool, open_, key)
        if isinstance(type_, GraphQLInputObjectType):
            return self.object(type_, pool, open_)
        if isinstance(type_, GraphQLEnumType):
            return Name(self.random.choice([*type_.values]))
        return self.scalar(type_.name, pool, key, open_)

    def list(self, type_: GraphQLInputType, pool: Sequence[Any], open_: bool, key: str) -> Any:
        """A list of some values, or one value that stands for a list of it."""
        if self.random.random() < 0.1:
            return self.value(type_, pool, open_=False, key=key)
        if key == "path":
            return [*self.random.choice(PATHS)]
        return [self.inner(type_, pool, open_, key) for _ in range(self.random.choice((0, 1, 1, 2, 3)))]

    def inner(self, type_: GraphQLInputType, pool: Sequence[Any], open_: bool, key: str = "") -> Any:
        """A value inside another one; it may be a variable, or null where that is allowed."""
        if open_ and self.random.random() < 0.1:
            return self.variable(type_, False, lambda: self.value(type_, pool, open_=False, key=key))
        if not isinstance(type_, GraphQLNonNull) and self.random.random() < 0.05:
            return None
        return self.value(type_, pool, open_=open_, key=key)

    def object(self, type_: GraphQLInputObjectType, pool: Sequence[Any], open_: bool) -> dict[str, Any]:
        """An input object with a few of its fields."""
        needed = [name for name, field_ in type_.fields.items() if is_required_input_field(field_)]
        others = [name for name in type_.fields if name not in needed]
        if type_.name in FILTERED and self.random.random() < 0.5:
            others = [name for name in others if name not in {"callbackDeliveries", "attempts", "metadata"}]
        count = min(self.random.choice((0, 1, 1, 1, 1, 2, 2, 3)), len(others))
        chosen = [*needed, *self.random.sample(others, count)]
        pools = self.pools.columns
        return {
            name: self.inner(type_.fields[name].type, pools.get((type_.name, name), pool), open_, name)
            for name in chosen
        }

    def scalar(self, type_: str, pool: Sequence[Any], key: str, open_: bool) -> Any:
        """A value of a scalar. A time is wrong in variables only: a document that holds such a one is not valid."""
        random = self.random
        if type_ == "Boolean":
            return random.random() < 0.5
        if type_ == "JSON":
            return random.choice(WRONG_METADATA if self.slips() else METADATA_VALUES)
        if type_ == "Int":
            return random.choice(pool if pool and random.random() < 0.8 else NUMBERS)
        if type_ == "DateTime":
            is_wrong = not open_ and self.slips()
            return random.choice(WRONG_TIMES) if is_wrong else self.time(random.choice(pool or (START,)))
        return self.text(type_, pool, key)

    def text(self, type_: str, pool: Sequence[str], key: str) -> Any:
        """A text or an id."""
        random = self.random
        if key == "startsWith":
            return random.choice(STARTS if self.faulty else STARTS[:4])
        if key == "contains":
            return random.choice(PARTS)
        if type_ == "ID" or (pool and len(pool[0]) == 36 and key in {"eq", "in", "notIn"}):
            return self.id(pool)
        if self.slips(0.05):
            return "with \0 inside"
        return random.choice(pool) if pool and random.random() < 0.85 else random.choice(HOSTILE)

    def time(self, value: datetime) -> str:
        """An instant in some spelling of RFC 3339."""
        roll = self.random.random()
        if roll < 0.2 and 1 < value.year < 9999:
            offset = timedelta(minutes=self.random.choice((120, -345, 1439)))
            return value.astimezone(timezone(offset)).isoformat()
        text = value.astimezone(UTC).isoformat()
        return text if roll < 0.5 else text.replace("+00:00", "Z")


def literal(value: Any, random: Random) -> str:
    """A value as a document writes it."""
    if isinstance(value, Name | Variable):
        return value if isinstance(value, Name) else f"${value.name}"
    if isinstance(value, str):
        return _quoted(value, random)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(inner, random)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(inner, random) for inner in value) + "]"
    return json.dumps(value)


def _quoted(text: str, random: Random) -> str:
    is_plain = text.isprintable() and not {'"', "\\"} & {*text} and text == text.strip() != ""
    if is_plain and random.random() < 0.1:
        return f'"""{text}"""'
    return json.dumps(text, ensure_ascii=random.random() < 0.5)
