"""Column types whose Python values are the same on every database: ids are strings, times are UTC, bodies are bytes."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, DateTime, Numeric, Row, Select, String, Text, Uuid
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]


class Id(TypeDecorator[str]):
    """A UUID as its canonical string (lower case, hyphens): a native `uuid` on PostgreSQL, 36 characters on SQLite."""

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Uuid(as_uuid=False) if dialect.name == "postgresql" else CHAR(36))

    def process_bind_param(self, value: str | UUID | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, UTC, to the microsecond: `timestamptz` on PostgreSQL, `2026-05-06T10:00:00.000000Z` on SQLite.

    SQLite has no type for instants; this text sorts as time does. Naive values are refused.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

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
        if value is None:
            return None
        # asyncpg tells UTC, and for the first and last instant of all no zone at all.
        return value.replace(tzinfo=UTC) if dialect.name == "postgresql" else datetime.fromisoformat(value)


class DecimalString(TypeDecorator[str]):
    """A decimal number as its digits, `0.1200`: `numeric` on PostgreSQL, text on SQLite. Never a float."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return Decimal(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return format(value, "f") if isinstance(value, Decimal) else value
