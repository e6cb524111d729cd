"""Bringing a database's schema to the one this version needs: Alembic, configured in code."""

import asyncio
from contextlib import suppress
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.database.engine import Database
from gateway.errors import DatabaseUnavailable, SchemaBehind

ADVISORY_LOCK = 0x6761746577617901  # any constant: two migrations of one PostgreSQL database take turns
REVISION = text("SELECT version_num FROM alembic_version")
SECONDS_TO_ANSWER = 5.0


async def migrate(database: Database) -> None:
    """Create the tables, or bring them to the newest revision. Nothing happens where they are current."""
    await database.check()
    async with database.transaction() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        else:
            await connection.execute(text("BEGIN IMMEDIATE"))
        await connection.run_sync(_upgrade)


async def prepare(database: Database) -> None:
    """Make ready to serve: an embedded database migrates itself; PostgreSQL must be current, or `SchemaBehind`."""
    if database.dialect == "sqlite":
        await migrate(database)
    else:
        await check_schema(database)


async def check_schema(database: Database) -> None:
    """Raise `SchemaBehind` unless the schema is at the newest revision, and `DatabaseUnavailable` without an answer."""
    current, newest = None, _newest()
    try:
        async with asyncio.timeout(SECONDS_TO_ANSWER):
            await database.check()
            with suppress(SQLAlchemyError):  # no such table: nothing was ever migrated
                current = (await database.fetch(REVISION))[0][0]
    except TimeoutError:
        raise DatabaseUnavailable(f"The database gives no answer in {SECONDS_TO_ANSWER:g} s.") from None
    if current != newest:
        state = f"at revision {current}" if current else "empty"
        raise SchemaBehind(f"The database's schema is {state}, this version needs {newest}: run `gateway migrate`.")


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
