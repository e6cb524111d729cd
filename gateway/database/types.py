"""Column types whose Python values are the same on every database: ids are strings, times are UTC, bodies are bytes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, ClassVar

from sqlalchemy import CHAR, BindParameter, ColumnElement, DateTime, Numeric, Row, Select, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]


class _AsUuid(GenericFunction[str]):
    """A text parameter as the `uuid` that it spells."""

    inherit_cache = True


@compiles(_AsUuid, "postgresql")
def _cast_to_uuid(element: _AsUuid, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(CAST({compiler.process(element.clauses, **options)} AS TEXT) AS UUID)"


@compiles(_AsUuid, "sqlite")
def _text_as_it_is(element: _AsUuid, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class _AsText(GenericFunction[str]):
    """A `uuid` as its canonical text."""

    inherit_cache = True


@compiles(_AsText, "postgresql")
def _cast_to_text(element: _AsText, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(_AsText, "sqlite")
def _column_as_it_is(element: _AsText, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class _Uuid(UserDefinedType[str]):
    """PostgreSQL's `uuid`, with nothing done to its values on the way."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "UUID"


class Id(TypeDecorator[str]):
    """A UUID as its canonical string (lower case, hyphens): a native `uuid` on PostgreSQL, 36 characters on SQLite.

    It crosses the wire as text, which PostgreSQL makes and reads faster than Python makes objects of its bytes.
    """

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Uuid() if dialect.name == "postgresql" else CHAR(36))

    def bind_expression(self, bindvalue: BindParameter[str]) -> ColumnElement[str]:
        return _AsUuid(bindvalue, type_=self)

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return _AsText(column, type_=self)


zone_of = attrgetter("tzinfo")


def _in_utc(value: datetime) -> datetime:
    """asyncpg tells UTC, and for the first and last instant of all no zone at all."""
    return value if value.tzinfo is UTC else value.replace(tzinfo=UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, UTC, to the microsecond: `timestamptz` on PostgreSQL, `2026-05-06T10:00:00.000000Z` on SQLite.

    SQLite has no type for instants; this text sorts as time does. Naive values are refused.
    """

    impl = DateTime(timezone=True)
    cache_ok = True
    readers: ClassVar[Mapping[str, Callable[[Any], datetime]]] = {
        "postgresql": _in_utc,
        "sqlite": datetime.fromisoformat,
    }

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone: {value.isoformat()}")
        value = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return value
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else self.readers[dialect.name](value)

    def read_column(self, values: Sequence[Any], dialect: Dialect) -> list[datetime | None]:
        """What the driver returned for many rows, at once."""
        read = self.readers[dialect.name]
        try:
            if dialect.name == "postgresql" and set(map(zone_of, values)) == {UTC}:
                return list(values)
            return list(map(read, values))
        except (TypeError, AttributeError):
            return [None if value is None else read(value) for value in values]


class DecimalString(TypeDecorator[str]):
    """A decimal number as its digits, `0.1200`: `numeric` on PostgreSQL, text on SQLite. Never a float."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return Decimal(value) if value is not None and dialect.name == "postgresql" else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return _digits


def _digits(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
