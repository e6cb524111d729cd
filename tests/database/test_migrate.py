"""Migrations build exactly the tables and indexes that the code declares."""

import asyncio
import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from gateway.database.engine import Database
from gateway.database.migrate import check_schema, migrate, prepare_database
from gateway.database.tables import metadata
from gateway.errors import OperatorError, SchemaBehind

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = :schema AND table_name <> 'alembic_version'
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :schema AND tablename <> 'alembic_version'"
CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = CAST(:schema AS regnamespace)
"""
SQLITE = "SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version' AND sql IS NOT NULL"


def _shape(connection: Connection, schema: str) -> set[str]:
    """What a database says of its tables and indexes, a line each."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text(SQLITE)).all()
        return {re.sub(r"\s+", "", line) for _, sql in rows for line in sql.lower().replace(",", "\n").split("\n")}
    queries = (COLUMNS, INDEXES, CONSTRAINTS)
    rows = [row for query in queries for row in connection.execute(text(query), {"schema": schema})]
    return {" ".join(map(str, row)).replace(f"{schema}.", "") for row in rows} - {""}


def _declared(connection: Connection, folder: Path) -> set[str]:
    """The same of a database that is made from the declared tables."""
    if connection.dialect.name == "sqlite":
        with create_engine(f"sqlite:///{folder}/declared.db").begin() as other:
            metadata.create_all(other)
            return _shape(other, "main")
    connection.execute(text("CREATE SCHEMA declared"))
    connection.execute(text("SET LOCAL search_path TO declared"))
    metadata.create_all(connection)
    return _shape(connection, "declared")


async def test_migrated_schema_is_the_declared_one(database: Database, tmp_path: Path) -> None:
    async with database.connect() as connection:
        migrated = await connection.run_sync(_shape, "public")
        declared = await connection.run_sync(_declared, tmp_path)
    alembic = {line for line in migrated if "alembic_version" in line}
    assert migrated - alembic == declared


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await migrate(database)
    await check_schema(database)


async def test_an_embedded_database_may_be_migrated_by_many_at_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path}/new.db") for _ in range(5)]
    await asyncio.gather(*(migrate(database) for database in databases))
    await check_schema(databases[0])
    for database in databases:
        await database.close()


async def test_a_schema_that_is_behind_names_the_command(database: Database) -> None:
    async with database.transaction() as connection:
        newest = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        await connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    try:
        with pytest.raises(SchemaBehind, match=r"at revision 0000.*run `gateway migrate`"):
            await check_schema(database)
        if database.dialect == "postgresql":
            with pytest.raises(SchemaBehind):
                await prepare_database(database)
    finally:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})


async def test_a_schema_that_is_ahead_is_served_as_it_is(database: Database) -> None:
    async with database.transaction() as connection:
        newest = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        await prepare_database(database)
        with pytest.raises(OperatorError, match="A later version"):
            await migrate(database)
    finally:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})
