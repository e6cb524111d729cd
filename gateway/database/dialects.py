"""What SQLite and PostgreSQL say differently, as constructs that SQLAlchemy compiles for each.

A statement uses these by name and stays one statement; its parameters are few and their number never depends on how
many keys or values there are, so that a prepared statement serves them all.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, assert_never

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Join,
    LargeBinary,
    Numeric,
    String,
    TableValuedAlias,
    Text,
    TypeDecorator,
    bindparam,
    literal,
    literal_column,
    text,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from gateway.database.backends import TRAITS, Backend, Template, backend_of, template, traits_of
from gateway.database.types import AnySelect, Id, UtcDateTime

# Later than any time that is stored: where rows without one stand in an order.
GREATEST_TIME = "9999-12-31T00:00:00.000000Z"
GREATEST_INTEGER = 2**31 - 1
ESCAPED_NUL = r"\u0000"

SLOT = 15 * 60
SLOTS_SINCE = "1980-01-01T00:00:00.000000Z"  # since then hours and days of every zone start with a slot of UTC


class Texts(TypeDecorator[list[str]]):
    """Many texts, or ids as texts, as one parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(traits_of(dialect).texts)

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return value if isinstance(traits_of(dialect).texts, ARRAY) else msgspec.json.encode(value).decode()


class Numbers(TypeDecorator[list[int]]):
    """Many whole numbers as one parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        texts = traits_of(dialect).texts
        return dialect.type_descriptor(ARRAY(BigInteger()) if isinstance(texts, ARRAY) else texts)

    def process_bind_param(self, value: list[int] | None, dialect: Dialect) -> Any:
        return value if isinstance(traits_of(dialect).texts, ARRAY) else msgspec.json.encode(value).decode()


class _Each(Template):
    """The ids of one parameter as rows."""

    type = Id()
    inherit_cache = True
    texts = template(postgresql="(SELECT CAST(unnest({0}) AS UUID) AS value)", sqlite="json_each({0})")


Ids = Iterable[str] | BindParameter[list[str]]


def ids_as_rows(ids: Ids, name: str = "wanted") -> TableValuedAlias:
    """A table of one column, `value`, with a row for each id; the ids may be a parameter that is given later."""
    return _Each(_many(ids)).table_valued("value", name=name)


def _many(values: Ids) -> BindParameter[list[str]]:
    return values if isinstance(values, BindParameter) else bindparam(None, list(values), type_=Texts())


def at_most(number: int) -> ColumnElement[int]:
    """A LIMIT that is part of the statement; where it is a parameter, PostgreSQL plans for a tenth of the table."""
    return literal_column(str(int(number)), Integer())


def limited(rows: AnySelect, most: int | None, *, before_order: bool) -> AnySelect:
    """The statement with a LIMIT, if there is a number: where it stands `before_order`, on databases that sort the rows
    of many parents afterwards; else on the others, which read them in order and can stop anywhere."""
    if most is not None:
        for name, traits in TRAITS.items():
            if traits.sorts_afterwards is before_order:
                rows = rows.suffix_with(text(f"LIMIT {int(most)}"), dialect=name)
    return rows


class _Condition(GenericFunction[bool]):
    """A construct that is a condition as it stands: `= 1` behind it would keep SQLite from using an index."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> "_Condition":  # noqa: ARG002
        return self


class _OneOf(_Condition):
    """Is the first argument one of the values in the second?"""

    inherit_cache = True


@compiles(_OneOf)
def _in_parameter(element: _OneOf, compiler: SQLCompiler, **options: Any) -> str:
    value, values = (compiler.process(clause, **options) for clause in element.clauses)
    match backend_of(compiler.dialect):
        case Backend.POSTGRESQL:
            if isinstance(element.clauses.clauses[0].type, Id):
                values = f"CAST({values} AS UUID[])"
            return f"({value} = ANY ({values}))"
        case Backend.SQLITE:
            return f"({value} IN (SELECT value FROM json_each({values})))"  # noqa: S608
        case other:
            assert_never(other)


def is_one_of(column: ColumnElement[Any], values: Ids) -> ColumnElement[bool]:
    """The column's value is one of `values`, which are one parameter; it may be given later."""
    return _OneOf(column, _many(values))


def is_among(column: ColumnElement[int], numbers: BindParameter[list[int]]) -> ColumnElement[bool]:
    """The column's number is one of `numbers`, a parameter that is given later."""
    return _OneOf(column, numbers)


class _StartsWith(_Condition, Template):
    """Does the first text begin with the second? Upper and lower case differ, nothing is a wildcard."""

    inherit_cache = True
    texts = template(postgresql="starts_with({0}, {1})", sqlite="(substr({0}, 1, length({1})) = {1})")


def _text(value: str | BindParameter[str]) -> BindParameter[str]:
    return value if isinstance(value, BindParameter) else literal(value, Text())


def starts_with(column: ColumnElement[Any], start: str | BindParameter[str]) -> ColumnElement[bool]:
    """The column's text begins with `start`, which may be given later."""
    return _StartsWith(column, _text(start))


class _Position(Template):
    """Where the second text first occurs in the first, from 1; 0 where it does not."""

    type = Integer()
    inherit_cache = True
    texts = template(postgresql="strpos({0}, {1})", sqlite="instr({0}, {1})")


def position(column: ColumnElement[Any], part: str | BindParameter[str]) -> ColumnElement[int]:
    """Where `part`, which may be given later, first occurs in the column's text, from 1; 0 where it does not."""
    return _Position(column, _text(part))


class _OrGreatest(GenericFunction[Any]):
    """The value, or where it is null the greatest of its type: an order without nulls, the same on every database."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(_OrGreatest)
def _coalesce_literal(element: _OrGreatest, compiler: SQLCompiler, **options: Any) -> str:
    # A literal, not a parameter: the expression must be the one that the index is made of.
    greatest = str(GREATEST_INTEGER)
    if isinstance(element.type, UtcDateTime):
        greatest = traits_of(compiler.dialect).time_literal.format(GREATEST_TIME)
    return f"coalesce({compiler.process(element.clauses, **options)}, {greatest})"


def or_greatest(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as an order without nulls: rows without a value stand where the greatest would."""
    return _OrGreatest(column)


class _ByteLength(Template):
    """How many bytes a text (in UTF-8) or a body has."""

    type = Integer()
    inherit_cache = True
    texts = template(postgresql="octet_length({0})", sqlite="length(CAST({0} AS BLOB))")


def byte_length(column: ColumnElement[Any]) -> ColumnElement[int]:
    """How many bytes a text (in UTF-8) or a body has; null where there is none."""
    return _ByteLength(column)


class _FirstBytes(GenericFunction[bytes]):
    """The first bytes of a text (in UTF-8) or of a body."""

    type = LargeBinary()
    inherit_cache = True


@compiles(_FirstBytes)
def _substring(element: _FirstBytes, compiler: SQLCompiler, **options: Any) -> str:
    column, size = (compiler.process(clause, **options) for clause in element.clauses)
    match backend_of(compiler.dialect):
        case Backend.POSTGRESQL:
            if not isinstance(element.clauses.clauses[0].type, LargeBinary):
                column = f"convert_to(left({column}, {size}), 'UTF8')"
            return f"substring({column} FROM 1 FOR {size})"
        case Backend.SQLITE:
            return f"substr(CAST({column} AS BLOB), 1, {size})"
        case other:
            assert_never(other)


def first_bytes(column: ColumnElement[Any], size: int) -> ColumnElement[bytes]:
    """The first `size` bytes of a text (in UTF-8) or of a body; null where there is none."""
    return _FirstBytes(column, literal(size, Integer()))


class _Bytewise(Template):
    """A text that sorts by its bytes, whatever the database's language."""

    type = Text()
    inherit_cache = True
    texts = template(postgresql='({0} COLLATE "C")', sqlite="{0}")


def bytewise(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column's text for an order that is the same on every database: that of Unicode's numbers."""
    return _Bytewise(column)


class _Unindexed(Template):
    """The value, as something that SQLite looks up in no index."""

    inherit_cache = True
    texts = template(postgresql="{0}", sqlite="+{0}")

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


def unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column where an index on it would be the wrong one: to group by, or to compare where another picks the rows.

    SQLite chooses by rules of thumb until it has statistics; PostgreSQL is left to its planner.
    """
    return _Unindexed(column)


class _TimeSlot(GenericFunction[int]):
    """The second since 1970 in which the slot of an instant starts."""

    type = BigInteger()
    inherit_cache = True


@compiles(_TimeSlot)
def _floored_seconds(element: _TimeSlot, compiler: SQLCompiler, **options: Any) -> str:
    # Literals, not parameters: PostgreSQL must see that what is selected is what is grouped by.
    column = compiler.process(element.clauses, **options)
    since = traits_of(compiler.dialect).time_literal.format(SLOTS_SINCE)
    match backend_of(compiler.dialect):
        case Backend.POSTGRESQL:
            second = f"CASE WHEN isfinite({column}) THEN floor(extract(epoch FROM {column}))::bigint END"
        case Backend.SQLITE:  # without the fraction, which strftime would round
            second = f"CAST(strftime('%s', substr({column}, 1, 19)) AS INTEGER)"
        case other:
            assert_never(other)
    return f"(CASE WHEN {column} < {since} THEN {second} ELSE {second} / {SLOT} * {SLOT} END)"


def time_slot(column: ColumnElement[Any]) -> ColumnElement[int]:
    """The second since 1970 in which the quarter of an hour starts that the instant in the column lies in.

    Before 1980, when clocks differed by other amounts than quarters of an hour, it is the second itself. Null for what
    is no instant.
    """
    return _TimeSlot(column)


class _JsonEquals(_Condition):
    """Is the value that keys lead to in a JSON column this one? Arguments: column, value, keys …"""

    inherit_cache = True


class _JsonTextEquals(_JsonEquals):
    """The value is a text."""

    inherit_cache = True


class _JsonNumberEquals(_JsonEquals):
    """The value is a number."""

    inherit_cache = True


class _JsonBooleanEquals(_JsonEquals):
    """The value is a boolean."""

    inherit_cache = True


_JSON_CONDITIONS: dict[type[TypeEngine[Any]], type[_JsonEquals]] = {
    Text: _JsonTextEquals,
    Numeric: _JsonNumberEquals,
    Boolean: _JsonBooleanEquals,
}
_JSON_KINDS: dict[type[_JsonEquals], tuple[str, str, str]] = {
    _JsonTextEquals: ("'string'", "'text'", ""),
    _JsonNumberEquals: ("'number'", "'integer', 'real'", "::numeric"),
    _JsonBooleanEquals: ("'boolean'", "'true', 'false'", "::boolean"),
}


@compiles(_JsonEquals)
def _compared_json(element: _JsonEquals, compiler: SQLCompiler, **options: Any) -> str:
    match backend_of(compiler.dialect):
        case Backend.POSTGRESQL:
            return _json_typeof(element, compiler, **options)
        case Backend.SQLITE:
            return _json_type(element, compiler, **options)
        case other:
            assert_never(other)


def _json_typeof(element: _JsonEquals, compiler: SQLCompiler, **options: Any) -> str:
    kind, _, cast = _JSON_KINDS[type(element)]
    column, wanted, *keys = (compiler.process(clause, **options) for clause in element.clauses)
    parent = " -> ".join([f"{column}::json", *keys[:-1]])
    # CASE keeps PostgreSQL from casting what is not of this kind, and from reading a NUL, at which it would fail.
    return (
        f"(CASE WHEN strpos({column}::text, '{ESCAPED_NUL}') > 0 THEN false "
        f"WHEN json_typeof({parent} -> {keys[-1]}) = {kind} "
        f"THEN ({parent} ->> {keys[-1]}){cast} = {wanted} ELSE false END)"
    )


def _json_type(element: _JsonEquals, compiler: SQLCompiler, **options: Any) -> str:
    _, kinds, _ = _JSON_KINDS[type(element)]
    column, wanted, *keys = element.clauses

    def there(name: str) -> str:
        path = """ || '"."' || """.join(compiler.process(key, **options) for key in keys)
        return f"{name}({compiler.process(column, **options)}, '$.\"' || {path} || '\"')"

    kind, value = there("json_type"), there("json_extract")
    whole = f"instr({compiler.process(column, **options)}, '{ESCAPED_NUL}') = 0"
    return f"coalesce({whole} AND {kind} IN ({kinds}) AND {value} = {compiler.process(wanted, **options)}, 0)"


def json_equals(
    column: ColumnElement[Any], path: Iterable[str], value: str | float | bool | BindParameter[Any]
) -> ColumnElement[bool]:
    """The value that the keys of `path` lead to in a JSON column is `value`, and of its kind. Never null.

    A value that is given later is a parameter of the type Boolean, Text or Numeric.

    Keys are keys of objects, never indexes of arrays; they may not contain quotes, backslashes or control characters.
    JSON that holds a NUL anywhere equals nothing.
    """
    keys = [literal(key, Text()) for key in path]
    if not isinstance(value, BindParameter):
        value = json_scalar(value)
    return _JSON_CONDITIONS[type(value.type)](column, value, *keys)


def json_scalar(value: str | float | bool) -> BindParameter[Any]:
    """A value in JSON as the parameter that `json_equals` compares with."""
    if isinstance(value, bool):
        return literal(value, Boolean())
    if isinstance(value, str):
        return literal(value, Text())
    return literal(Decimal(repr(value)), Numeric())


class _FirstOfEach(Join):
    """Parents joined to the first rows of each: a lateral subquery, and on SQLite, which has none, rows by rowid."""

    inherit_cache = True


@compiles(_FirstOfEach)
def _first_of_each(element: _FirstOfEach, compiler: SQLCompiler, **options: Any) -> str:
    match backend_of(compiler.dialect):
        case Backend.POSTGRESQL:
            return str(compiler.visit_join(element, **options))  # type: ignore[no-untyped-call]
        case Backend.SQLITE:
            return _correlated_rowids(element, compiler, **options)
        case other:
            assert_never(other)


def _correlated_rowids(element: _FirstOfEach, compiler: SQLCompiler, **options: Any) -> str:
    lateral: Any = element.right
    rows: AnySelect = lateral.element.element
    table: Any = rows.columns_clause_froms[0]
    rowids: AnySelect = rows.with_only_columns(literal_column(f"{table.name}.rowid"), maintain_column_froms=True)
    options["asfrom"] = True
    parents = compiler.process(element.left, **options)
    options["asfrom"] = False
    ids = compiler.process(rowids.correlate(element.left).scalar_subquery(), **options)
    name = compiler.preparer.quote(lateral.name)
    rows_by_id = compiler.process(table.alias(lateral.name), asfrom=True)
    return f"{parents} JOIN {rows_by_id} ON {name}.rowid IN {ids}"


def first_of_each(parents: FromClause, rows: AnySelect, name: str) -> tuple[FromClause, FromClause]:
    """Join `parents` to the rows that `rows`, correlated to a parent and limited, selects for each.

    Returns the join and the joined rows, whose columns are those of `rows`.
    """
    joined = rows.correlate(parents).lateral(name)
    return _FirstOfEach(parents, joined, true()), joined
