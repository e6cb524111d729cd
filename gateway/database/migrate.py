"""Whether a database's schema is one that this version serves, and bringing it there: Alembic, configured in code."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, inspect, text

from gateway.database.engine import REFUSED, Database
from gateway.database.required import ROWS, missing
from gateway.database.tables import metadata
from gateway.errors import DatabaseUnavailable, OperatorError, SchemaBehind

REVISION = text("SELECT version_num FROM alembic_version")
OWN_REVISION = re.compile(r"[0-9]{4}")
SECONDS_TO_MIGRATE = 5.0


async def migrate(database: Database) -> None:
    """Create the tables, or bring them to the newest revision. Nothing happens where they are current.

    Tables that somebody else made are left alone: `OperatorError`.
    """
    await database.check()
    async with database.transaction() as connection:
        await connection.execute(text(database.traits.lock))
        await connection.run_sync(_upgrade)


async def prepare_database(database: Database, tables: Sequence[Table] = ROWS) -> None:
    """Make ready to serve: an embedded database migrates itself; of any other the schema must fit, or `SchemaBehind`.

    Nothing is written where the schema fits.
    """
    try:
        await check_schema(database, tables)
    except SchemaBehind as behind:
        if not database.traits.migrates_itself:
            raise
        try:
            await migrate(database)
        except OperatorError:  # somebody else's
            raise behind from None


async def check_schema(database: Database, tables: Sequence[Table] = ROWS) -> None:
    """Raise `SchemaBehind` unless the schema fits, and `DatabaseUnavailable` without an answer.

    One that the gateway migrates must be at this version's revision, or a later one. Whoever made it, every column of
    `tables` that the gateway reads must be there, and readable.
    """
    try:
        async with asyncio.timeout(SECONDS_TO_MIGRATE):
            await database.check()
            await check_revision(database)
            lacking = await missing(database, tables)
    except TimeoutError:
        raise DatabaseUnavailable(f"The database gives no answer in {SECONDS_TO_MIGRATE:g} s.") from None
    if len(lacking) == len(tables):
        raise SchemaBehind(
            f"The gateway can read none of the tables ({lacking[0]}): run `gateway migrate` for tables of its own, "
            "`gateway doctor` where they are somebody else's."
        )
    if lacking:
        raise SchemaBehind(f"The gateway cannot read the tables: {'; '.join(lacking)}. `gateway doctor` tells more.")


async def check_revision(database: Database) -> None:
    """Raise `SchemaBehind` where an earlier version of the gateway migrated the schema.

    A later one adds to it and takes nothing away: gateways that still run, or run again, serve it as before.
    """
    current, newest = await revision(database), _newest()
    if current is not None and current < newest:
        raise SchemaBehind(
            f"The database's schema is at revision {current}, this version needs {newest}: run `gateway migrate`."
        )


async def revision(database: Database) -> str | None:
    """The revision to which the gateway migrated the schema, or None where it did not: then it is somebody else's.

    The platform may use Alembic, too: the gateway's own revisions are four digits, Alembic's usual ones are not.
    """
    with suppress(*REFUSED):  # no such table, or not for this role
        for (found,) in await database.fetch(REVISION, newest=True):
            if OWN_REVISION.fullmatch(found):
                return str(found)
    return None


@cache
def _newest() -> str:
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _upgrade(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    revisions = list(connection.scalars(REVISION)) if "alembic_version" in there else []
    if not any(map(OWN_REVISION.fullmatch, revisions)) and (revisions or there & {*metadata.tables}):
        raise OperatorError("The tables are somebody else's: `gateway doctor` says whether the gateway can serve them.")
    if max(filter(OWN_REVISION.fullmatch, revisions), default="") > _newest():
        raise OperatorError("A later version of the gateway has migrated the schema: this one serves it as it is.")
    command.upgrade(_config(connection), "head")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
