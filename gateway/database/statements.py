"""Statements that SQLAlchemy compiles once and the driver's own connection runs many times.

What differs from one run to the next are parameters with a name, `bindparam("ids", …)`; everything else is part of the
statement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from types import NoneType
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ClauseElement,
    Integer,
    LargeBinary,
    Select,
    String,
    TextClause,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.util import find_tables

from gateway.database.backends import traits_of
from gateway.database.odd import LARGEST, UnreadableText, read_json, read_number, read_time
from gateway.database.types import AnyRow, AnySelect, DecimalString, Id, UtcDateTime, digits

Convert = Callable[[Any], Any]
ReadColumn = Callable[[Sequence[Any]], Sequence[Any]]

ODD = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One place in a statement: the value's name where it is given at each run, else the value itself."""

    name: str | None
    value: Any
    convert: Convert | None


class CompiledStatement:
    """A compiled statement: its text in the driver's form, its parameters in their order, its columns' conversions."""

    def __init__(self, statement: AnySelect | TextClause, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        columns: Any = statement.selected_columns if isinstance(statement, Select) else {}
        self.text: str = compiled.string
        self.summary = _summary(statement)
        self.names: tuple[str, ...] = tuple(columns.keys())
        readers = ((name, _reader(column, dialect)) for name, column in columns.items())
        self._readers = tuple((name, read) for name, read in readers if read is not None)
        self._whatever = tuple((name, _forgiving(column, dialect)) for name, column in columns.items())
        self._parameters = tuple(_parameter(compiled.binds[name], dialect) for name in compiled.positiontup or ())
        self._metadata = SimpleResultMetaData(self.names)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """What the driver is given, in its order; `values` holds the parameters that have a name."""
        given: dict[str, Any] = {}
        arguments = []
        for parameter in self._parameters:
            name = parameter.name
            if name is None:
                arguments.append(parameter.value)
                continue
            if name not in given:
                value = values[name]
                given[name] = value if parameter.convert is None else parameter.convert(value)
            arguments.append(given[name])
        return arguments

    def columns(self, raw: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The driver's rows as columns by their names, in Python's values. One of `ODD` where a value is not what its
        column says; where that costs time to find out, it is left as it is."""
        columns = self._by_name(raw)
        for name, read in self._readers:
            columns[name] = read(columns[name])
        return columns

    def whatever(self, raw: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The same of rows that may hold any value: what is not what its column says is something of `odd`."""
        columns = self._by_name(raw)
        strict = dict(self._readers)
        for name, (kinds, read_one) in self._whatever:
            values = columns[name]
            if kinds is None or set(map(type, values)) <= kinds:
                try:
                    columns[name] = strict[name](values) if name in strict else values
                    continue
                except ODD:
                    pass
            columns[name] = [None if value is None else read_one(value) for value in values]
        return columns

    def rows(self, raw: Sequence[Sequence[Any]]) -> Sequence[AnyRow]:
        """The driver's rows as SQLAlchemy's, with `whatever` they hold by name; those of plain text as they are."""
        if not self.names:
            return cast("Sequence[AnyRow]", raw)
        return IteratorResult(self._metadata, zip(*self.whatever(raw).values(), strict=True)).all()

    def _by_name(self, raw: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        if not raw:
            return dict.fromkeys(self.names, ())
        return dict(zip(self.names, zip(*raw, strict=True), strict=True))


def _summary(statement: ClauseElement) -> str:
    """What a statement reads, in words that hold no value: `SELECT batches`."""
    tables = (getattr(table, "name", "") for table in find_tables(statement))
    return " ".join(("SELECT", *dict.fromkeys(tables)))


def _parameter(bind: Any, dialect: Dialect) -> Parameter:
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:
        return Parameter(bind.key, None, convert)
    return Parameter(None, bind.value if convert is None else convert(bind.value), None)


def _reader(column: Any, dialect: Dialect) -> ReadColumn | None:
    type_ = column.type
    if isinstance(type_, UtcDateTime):
        return partial(type_.read_column, dialect=dialect)
    if isinstance(type_, LargeBinary):
        return None  # bytes, or what whoever reads bytes does not take
    if isinstance(type_, Boolean):
        return None if traits_of(dialect).keeps_types else _booleans
    if _is_own_number(column):
        return None
    if isinstance(type_, Integer):
        return _of_32_bits if _is_never_null(column) else None
    convert = type_.dialect_impl(dialect).result_processor(dialect, None)
    return None if convert is None else lambda values: list(map(convert, values))


def _booleans(values: Sequence[Any]) -> Sequence[bool | None]:
    if not set(map(type, values)) <= {int, NoneType}:
        raise TypeError("no boolean")
    return [None if value is None else value != 0 for value in values]


def _of_32_bits(values: Sequence[Any]) -> Sequence[Any]:
    if values and not (set(map(type, values)) == {int} and min(values) >= -LARGEST and max(values) <= LARGEST):
        raise ValueError("a number beyond its column")
    return values


def _is_never_null(column: Any) -> bool:
    return getattr(getattr(column, "element", column), "nullable", True) is False


def _is_own_number(column: Any) -> bool:
    """Whether it is a number of 64 bits that the gateway has counted itself: none of the platform's is never null."""
    return isinstance(column.type, BigInteger) and _is_never_null(column)


def _forgiving(column: Any, dialect: Dialect) -> tuple[frozenset[type] | None, Convert]:
    """The types that the driver returns for values that may be what their column says, None for any, and how a value is
    read where that column's own way fails."""
    nullable = not _is_never_null(column)
    read_any_time = _as_it_is if traits_of(dialect).keeps_types else partial(read_time, nullable=nullable)
    ways: tuple[tuple[Any, frozenset[type] | None, Convert], ...] = (
        (UtcDateTime, None, read_any_time),
        (Boolean, None, lambda value: value != 0 if isinstance(value, int) else UnreadableText(value)),
        (BigInteger if _is_own_number(column) else (), None, _as_it_is),
        (Integer, frozenset({int, NoneType}), partial(read_number, nullable=nullable)),
        (JSON, None, read_json),
        (LargeBinary, frozenset({bytes, NoneType}), _to_bytes),
        (DecimalString, None, _to_digits),
        ((String, Id), frozenset({str, NoneType}), _to_text),
        (object, None, _as_it_is),
    )
    return next((kinds, read) for of, kinds, read in ways if isinstance(column.type, of))


def _as_it_is(value: Any) -> Any:
    return value


def _to_text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _to_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def _to_digits(value: Any) -> str | UnreadableText:
    try:
        return digits(value if isinstance(value, Decimal) else _to_text(value))
    except (ValueError, ArithmeticError):
        return UnreadableText(value)
