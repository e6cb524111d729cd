"""Column types whose Python values are the same on every database: ids are strings, times are UTC, bodies are bytes.

What a database holds may be none of them: SQLite takes any value in any column, PostgreSQL has years and numbers that
Python or GraphQL has not. `gateway.database.odd` says what stands for those.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from sqlalchemy import CHAR, BigInteger, BindParameter, ColumnElement, DateTime, Row, Select, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from gateway.database.backends import TRAITS, Template, traits_of
from gateway.database.odd import LAST, LAST_NUMBER, OddTime

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]


class _AsUuid(Template):
    """A text parameter as the `uuid` that it spells."""

    inherit_cache = True
    texts = MappingProxyType({name: traits.uuid_of_text for name, traits in TRAITS.items()})


class _AsText(Template):
    """A `uuid` as its canonical text."""

    inherit_cache = True
    texts = MappingProxyType({name: traits.text_of_uuid for name, traits in TRAITS.items()})


class Id(TypeDecorator[str]):
    """A UUID as its canonical string (lower case, hyphens): a native `uuid` on PostgreSQL, 36 characters on SQLite.

    It crosses the wire as text, which PostgreSQL makes and reads faster than Python makes objects of its bytes.
    """

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(traits_of(dialect).uuid)

    def bind_expression(self, bindvalue: BindParameter[str]) -> ColumnElement[str]:
        return _AsUuid(bindvalue, type_=self)

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return _AsText(column, type_=self)


zone_of = attrgetter("tzinfo")
WRITTEN = 27  # characters of a time on SQLite
MARKS = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":", 19: ".", 26: "Z"}


def _in_utc(value: datetime) -> datetime:
    """asyncpg tells UTC, and for the first and last instant of all no zone at all."""
    return value if value.tzinfo is UTC else value.replace(tzinfo=UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, UTC, to the microsecond: `timestamptz` on PostgreSQL, `2026-05-06T10:00:00.000000Z` on SQLite.

    SQLite has no type for instants; this text sorts as time does. Naive values are refused.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(traits_of(dialect).instant)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if isinstance(value, OddTime):
            if not traits_of(dialect).keeps_types:
                return value.stored
            return value if isinstance(value.stored, int) else LAST  # which no row of PostgreSQL's has
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone: {value.isoformat()}")
        value = value.astimezone(UTC)
        if traits_of(dialect).keeps_types:
            return value
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return _in_utc(value) if traits_of(dialect).keeps_types else datetime.fromisoformat(value)

    def read_column(self, values: Sequence[Any], dialect: Dialect) -> Sequence[datetime | None]:
        """What the gateway's own driver returned for many rows, at once. `ValueError` or `TypeError` where one of them
        is not in the form that is written."""
        texts = [value for value in values if value is not None] if None in values else values
        if not texts:
            return values
        if traits_of(dialect).keeps_types:
            if set(map(zone_of, texts)) != {UTC}:
                raise ValueError("a time without a time zone")
            return values
        joined = "".join(texts)
        if len(joined) != WRITTEN * len(texts) or any(
            joined[place::WRITTEN] != mark * len(texts) for place, mark in MARKS.items()
        ):
            raise ValueError("a time in another form")  # which is ordered differently
        read = datetime.fromisoformat
        return list(map(read, values)) if texts is values else [None if text is None else read(text) for text in values]


class AnyNumber(TypeDecorator[int]):
    """A whole number of 64 bits as a parameter; on SQLite whatever stands in its place."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if isinstance(value, int) or not traits_of(dialect).keeps_types else LAST_NUMBER


PLAIN_DIGITS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class DecimalString(TypeDecorator[str]):
    """A decimal number as its digits, `0.1200`: `numeric` on PostgreSQL, text on SQLite. Never a float."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(traits_of(dialect).decimal)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return Decimal(value) if value is not None and traits_of(dialect).keeps_types else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return lambda value: None if value is None else digits(value)


def digits(value: Decimal | str) -> str:
    """The decimal digits of a number; one of Python's errors where it is none, or infinite."""
    if isinstance(value, str) and PLAIN_DIGITS.fullmatch(value):
        return value
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return format(number, "f")
