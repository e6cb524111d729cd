"""Each internal of SQLAlchemy and of aiosqlite that the gateway uses, by its name: what an upgrade moves fails here.

`database/statements` compiles by them, `database/dialects` takes a lateral join apart, `database/optional` has a
compiler of its own, and `database/sqlite` opens connections.
"""

import inspect
from typing import Any

import aiosqlite
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, select
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.util import find_tables

from gateway.database.dialects import first_of_each

DIALECT = sqlite_dialect(paramstyle="qmark")
PARENTS = Table("parents", MetaData(), Column("id", Integer))
ROWS = Table("rows", MetaData(), Column("id", Integer), Column("name", Text), Column("parent", Integer))


def test_binds_and_positiontup_of_a_compiled_statement_tell_its_parameters_in_their_order() -> None:
    statement = select(ROWS.c.id).where(
        ROWS.c.name == bindparam("given"), ROWS.c.id > 3, ROWS.c.name != bindparam("given")
    )
    compiled: Any = statement.compile(dialect=DIALECT)
    binds = [compiled.binds[name] for name in compiled.positiontup]
    assert [(bind.key, bind.required) for bind in binds] == [("given", True), (binds[1].key, False), ("given", True)]
    assert binds[1].value == 3


def test_dialect_impl_of_a_type_has_its_processors() -> None:
    type_: Any = ROWS.c.name.type
    assert callable(type_.dialect_impl(DIALECT).bind_processor)
    assert callable(type_.dialect_impl(DIALECT).result_processor)


def test_selected_columns_and_find_tables_tell_what_a_statement_reads() -> None:
    statement = select(ROWS.c.id, ROWS.c.name)
    assert statement.selected_columns.keys() == ["id", "name"]
    assert find_tables(statement) == [ROWS]


def test_iterator_result_over_simple_result_meta_data_makes_rows() -> None:
    result: Any = IteratorResult(SimpleResultMetaData(("id", "name")), iter([(1, "x")]))
    assert [row._asdict() for row in result.all()] == [{"id": 1, "name": "x"}]


def test_a_lateral_holds_its_select_and_that_the_tables_of_its_columns() -> None:
    _, joined = first_of_each(PARENTS, select(ROWS).where(ROWS.c.parent == PARENTS.c.id).limit(1), "first")
    lateral: Any = joined
    assert lateral.element.element.columns_clause_froms == [ROWS]


def test_statement_compiler_of_a_dialect_visits_tables_and_joins() -> None:
    assert issubclass(DIALECT.statement_compiler, SQLCompiler)
    assert {"asfrom", "iscrud"} <= inspect.signature(SQLCompiler.visit_table).parameters.keys()
    assert callable(SQLCompiler.visit_join)


def test_aiosqlites_connection_takes_what_opens_it() -> None:
    assert list(inspect.signature(aiosqlite.Connection).parameters)[:2] == ["connector", "iter_chunk_size"]
