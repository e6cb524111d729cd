"""The kinds of databases that rows may live in: the table to which another one is added.

`TRAITS` says in one row what a kind has that others have not. What is said differently in SQL stands side by side: a
short construct is a `Template` with a text for each kind, a longer choice is a `match` that ends in `assert_never`. So
a kind that is added to `Backend` is one that mypy misses everywhere, and none falls into another's branch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeVar, assert_never

from sqlalchemy import ARRAY, CHAR, DateTime, Numeric, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine, UserDefinedType

T = TypeVar("T")

ADVISORY_LOCK = 0x6761746577617901  # any constant: two migrations of one PostgreSQL database take turns


class Backend(StrEnum):
    """A kind of database, by SQLAlchemy's name of its dialect."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class NativeUuid(UserDefinedType[str]):
    """PostgreSQL's `uuid`, with nothing done to its values on the way."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "UUID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What one kind of database has of its own. `keeps_types` where its driver takes and returns Python's own booleans,
    times and decimals, and a column holds nothing but its type's values."""

    driver: str
    alive: str  # a statement that finds out whether it answers
    lock: str  # what makes two migrations take turns, in a transaction that has begun
    migrates_itself: bool  # when a gateway starts: it is a file of the gateway's own
    has_schemas: bool
    keeps_types: bool
    uuid: TypeEngine[Any]
    uuid_of_text: str  # `{0}` is a parameter
    text_of_uuid: str  # `{0}` is a column
    instant: TypeEngine[Any]
    decimal: TypeEngine[Any]
    texts: TypeEngine[Any]  # many of them, as one parameter
    time_literal: str
    row_address: str | None  # the hidden column by which a row is found, where there is one
    sorts_afterwards: bool  # the rows of many parents, which are not read in order
    insert: Callable[[Table], postgresql.Insert | sqlite.Insert]


TRAITS: Mapping[str, Traits] = {
    Backend.POSTGRESQL: Traits(
        driver="asyncpg",
        alive="SELECT 1",
        lock=f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})",
        migrates_itself=False,
        has_schemas=True,
        keeps_types=True,
        uuid=NativeUuid(),
        uuid_of_text="CAST(CAST({0} AS TEXT) AS UUID)",
        text_of_uuid="CAST({0} AS TEXT)",
        instant=DateTime(timezone=True),
        decimal=Numeric(),
        texts=ARRAY(Text()),
        time_literal="TIMESTAMPTZ '{}'",
        row_address=None,
        sorts_afterwards=True,
        insert=postgresql.insert,
    ),
    Backend.SQLITE: Traits(
        driver="aiosqlite",
        alive="SELECT count(*) FROM sqlite_master",  # it looks into a file when it is asked for something in there
        lock="BEGIN IMMEDIATE",
        migrates_itself=True,
        has_schemas=False,
        keeps_types=False,
        uuid=CHAR(36),
        uuid_of_text="{0}",
        text_of_uuid="{0}",
        instant=String(27),
        decimal=Text(),
        texts=String(),
        time_literal="'{}'",
        row_address="rowid",
        sorts_afterwards=False,
        insert=sqlite.insert,
    ),
}


def backend_of(dialect: Dialect) -> Backend:
    """The kind of a dialect; `ValueError` for one that is not in the table."""
    return Backend(dialect.name)


def traits_of(dialect: Dialect) -> Traits:
    """What the kind of a dialect has of its own; `KeyError` for one that is not in the table."""
    return TRAITS[dialect.name]


class Template(GenericFunction[Any]):
    """A short construct that each kind of database writes in its own words; `{0}` is the first argument.

    >>> class Length(Template):
    ...     texts = template(postgresql="octet_length({0})", sqlite="length(CAST({0} AS BLOB))")
    """

    inherit_cache = True
    texts: ClassVar[Mapping[str, str]]


def template(*, postgresql: str, sqlite: str) -> Mapping[str, str]:
    """The texts of a `Template`."""
    return {Backend.POSTGRESQL: postgresql, Backend.SQLITE: sqlite}


@compiles(Template)
def _filled_in(element: Template, compiler: SQLCompiler, **options: Any) -> str:
    arguments = [compiler.process(clause, **options) for clause in element.clauses]
    return element.texts[compiler.dialect.name].format(*arguments)


def choose(backend: Backend, *, postgresql: T, sqlite: T) -> T:
    """What holds for this kind of database."""
    match backend:
        case Backend.POSTGRESQL:
            return postgresql
        case Backend.SQLITE:
            return sqlite
        case other:
            assert_never(other)
