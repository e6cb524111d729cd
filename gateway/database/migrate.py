"""Bringing a database's schema to the one this version needs: Alembic, configured in code."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.database.engine import Database
from gateway.errors import SchemaBehind

ADVISORY_LOCK = 0x6761746577617901  # any constant: two migrations of one PostgreSQL database take turns


async def migrate(database: Database) -> None:
    """Create the tables, or bring them to the newest revision. Nothing happens where they are current."""
    await database.check()
    async with database.transaction() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        await connection.run_sync(_upgrade)


async def prepare(database: Database) -> None:
    """Make ready to serve: an embedded database migrates itself; PostgreSQL must be current, or `SchemaBehind`."""
    if database.dialect == "sqlite":
        await migrate(database)
    else:
        await check_schema(database)


async def check_schema(database: Database) -> None:
    """Raise `SchemaBehind` unless the schema is at the newest revision, and `DatabaseUnavailable` without an answer."""
    await database.check()
    async with database.connect() as connection:
        current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if current != newest:
        state = f"at revision {current}" if current else "empty"
        raise SchemaBehind(f"The database's schema is {state}, this version needs {newest}: run `gateway migrate`.")


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
