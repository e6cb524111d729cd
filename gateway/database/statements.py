"""Statements that SQLAlchemy compiles once and the driver's own connection runs many times.

What differs from one run to the next are parameters with a name, `bindparam("ids", …)`; everything else is part of the
statement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from sqlalchemy import ClauseElement, Select, TextClause
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.util import find_tables
from sqlalchemy.types import TypeEngine

from gateway.database.types import AnyRow, AnySelect, UtcDateTime

Convert = Callable[[Any], Any]
ReadColumn = Callable[[Sequence[Any]], Sequence[Any]]


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
        readers = ((name, _reader(column.type, dialect)) for name, column in columns.items())
        self._readers = tuple((name, read) for name, read in readers if read is not None)
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
        """The driver's rows as columns by their names, in Python's values."""
        columns: dict[str, Sequence[Any]]
        columns = dict(zip(self.names, zip(*raw, strict=True), strict=True)) if raw else dict.fromkeys(self.names, ())
        for name, read in self._readers:
            columns[name] = read(columns[name])
        return columns

    def rows(self, raw: Sequence[Sequence[Any]]) -> Sequence[AnyRow]:
        """The driver's rows as SQLAlchemy's, with the columns by their names; those of plain text as they are."""
        if not self.names:
            return cast("Sequence[AnyRow]", raw)
        return IteratorResult(self._metadata, zip(*self.columns(raw).values(), strict=True)).all()


def _summary(statement: ClauseElement) -> str:
    """What a statement reads, in words that hold no value: `SELECT batches`."""
    tables = (getattr(table, "name", "") for table in find_tables(statement))
    return " ".join(("SELECT", *dict.fromkeys(tables)))


def _parameter(bind: Any, dialect: Dialect) -> Parameter:
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:
        return Parameter(bind.key, None, convert)
    return Parameter(None, bind.value if convert is None else convert(bind.value), None)


def _reader(type_: TypeEngine[Any], dialect: Dialect) -> ReadColumn | None:
    if isinstance(type_, UtcDateTime):
        return partial(type_.read_column, dialect=dialect)
    convert = type_.dialect_impl(dialect).result_processor(dialect, None)
    return None if convert is None else lambda values: list(map(convert, values))
