"""Paging by keyset: an order, a position in it, and the cursor that a client carries between pages.

A position is a row's value in the order and its id. Rows are compared with it as pairs, so that ties and nulls have one
place each, and rows that come or go elsewhere neither repeat nor hide any.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Integer, and_, bindparam, tuple_

from gateway.base64url import from_base64url, to_base64url
from gateway.database.dialects import GREATEST_INTEGER, GREATEST_TIME, or_greatest
from gateway.database.odd import BEYOND_64_BITS, LAST, OddTime, Unreadable, UnreadableNumber, UnreadableTime
from gateway.database.types import AnyNumber, AnyRow, Id, UtcDateTime
from gateway.errors import BadCursor, UnreadableValue

VERSION = 1
Position = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class Order:
    """Rows by one column, ties by `id`. A row without a value stands where the greatest value would."""

    column: str
    descending: bool = False

    def keys(self, columns: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """What is compared, from the columns of a table or subquery."""
        column = columns[self.column]
        return or_greatest(column) if column.nullable else column, columns["id"]

    def by(self, columns: Any, *, backwards: bool = False) -> tuple[ColumnElement[Any], ...]:
        """The ORDER BY clause."""
        keys = self.keys(columns)
        return tuple(key.desc() for key in keys) if self.descending != backwards else keys

    def beyond(self, columns: Any, position: Position, *, backwards: bool = False) -> ColumnElement[bool]:
        """The rows that come after a position, or before it."""
        keys = self.keys(columns)
        value, id_ = binds(position, keys)
        here, there, down = tuple_(*keys), tuple_(value, id_), self.descending != backwards
        pair = here < there if down else here > there
        if keys[0] is columns[self.column]:
            return pair
        # SQLite walks an index over an expression for a plain comparison only.
        return and_(keys[0] <= value if down else keys[0] >= value, pair)

    def position(self, columns: Any, row: AnyRow) -> Position:
        """Where a row of the table with these columns stands."""
        return self.place(columns, row._mapping[self.column], row._mapping["id"])

    def place(self, columns: Any, value: Any, id_: str) -> Position:
        """The position of a value, which may be None, and an id."""
        if value is None:
            value = datetime.fromisoformat(GREATEST_TIME) if _is_time(columns[self.column]) else GREATEST_INTEGER
        elif not isinstance(value, int | datetime):
            value = UnreadableNumber(value)
        return value, id_


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows of an ordered list: `size` of them from the start or the end, beyond a position on either side."""

    size: int
    backwards: bool = False
    after: Position | None = None
    before: Position | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one slice, in the order of the list, and whether there are more on either side."""

    rows: Sequence[AnyRow]
    has_next: bool
    has_previous: bool

    @classmethod
    def of(cls, asked: Slice, rows: Sequence[AnyRow]) -> "Page":
        """The page in the rows that were read for a slice, up to one more than it has, in reading order."""
        more = len(rows) > asked.size
        rows = rows[: asked.size]
        if asked.backwards:
            return cls(rows[::-1], has_next=asked.before is not None, has_previous=more)
        return cls(rows, has_next=more, has_previous=asked.after is not None)


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one list: opaque, versioned, bound to the list's filter and order."""

    binding: str

    @classmethod
    def of(cls, *bound: Any) -> "Cursors":
        """The cursors of the list that these values, which print what they hold, describe."""
        return cls(_binding(bound))

    def encode(self, position: Position) -> str:
        """The cursor of a position."""
        value, id_ = position
        if isinstance(value, OddTime | Unreadable):
            plain: Any = _written(value.stored)
        else:
            plain = value.isoformat() if isinstance(value, datetime) else value
        text = json.dumps([VERSION, self.binding, plain, id_], separators=(",", ":"))
        return to_base64url(text.encode())

    def decode(self, cursor: str, argument: str, column: ColumnElement[Any]) -> Position:
        """The position of a cursor that this list, ordered by `column`, gave; `BadCursor` for any other."""
        try:
            version, binding, value, id_ = json.loads(from_base64url(cursor))
        except (ValueError, TypeError, RecursionError):
            raise BadCursor(f"{argument} is not a cursor: pass an `endCursor` or `startCursor` as it came.") from None
        if version != VERSION:
            raise BadCursor(f"{argument} is a cursor of another version: start again from the first page.")
        if binding != self.binding:
            raise BadCursor(f"{argument} belongs to another list, filter or order: start again from the first page.")
        try:
            if isinstance(value, list):
                return (UnreadableTime.at(LAST, _read(value)) if _is_time(column) else _read(value)), str(UUID(id_))
            if _is_time(column):
                time = datetime.fromisoformat(value)
                if time.tzinfo is None:
                    raise ValueError(value)
                return time.astimezone(UTC), str(UUID(id_))
            if type(value) is not int or abs(value) >= BEYOND_64_BITS:
                raise ValueError(value)
            return value, str(UUID(id_))
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise BadCursor(f"{argument} is not a cursor: pass an `endCursor` or `startCursor` as it came.") from None


def _written(stored: Any) -> list[Any]:
    """What a database holds in the place of a value, as JSON that tells it from all values.

    `UnreadableValue` for a text that is no UTF-8, whose place among others cannot be told to SQLite.
    """
    if isinstance(stored, str) and "\ufffd" in stored:
        raise UnreadableValue
    return ["bytes", stored.hex()] if isinstance(stored, bytes) else ["stored", stored]


def _read(written: list[Any]) -> Any:
    """The same back; `ValueError` for anything else."""
    kind, stored = written
    if kind == "bytes":
        return bytes.fromhex(stored)
    is_number = isinstance(stored, float) or (type(stored) is int and -BEYOND_64_BITS <= stored < BEYOND_64_BITS)
    if kind != "stored" or not (is_number or isinstance(stored, str)):
        raise ValueError(written)
    return stored


@lru_cache(maxsize=1_000)
def _binding(bound: tuple[Any, ...]) -> str:
    return hashlib.blake2s(repr(bound).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def parameters(
    name: str, position: Position | None, column: ColumnElement[Any]
) -> tuple[Position | None, dict[str, Any]]:
    """Parameters in the place of a position in an order by `column`, and their values."""
    if position is None:
        return None, {}
    value, id_ = position
    return _places(name, _is_time(column)), {f"{name}_value": value, f"{name}_id": id_}


def binds(position: Position, keys: Sequence[ColumnElement[Any]]) -> list[BindParameter[Any]]:
    """A position's two values as parameters, which they may be already."""
    return [
        value
        if isinstance(value, BindParameter)
        else bindparam(None, value, type_=AnyNumber() if isinstance(key.type, Integer) else key.type)
        for value, key in zip(position, keys, strict=True)
    ]


@cache
def _places(name: str, is_time: bool) -> Position:
    value: Any = bindparam(f"{name}_value", type_=UtcDateTime() if is_time else AnyNumber())
    id_: Any = bindparam(f"{name}_id", type_=Id())
    return value, id_


def _is_time(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, UtcDateTime)
