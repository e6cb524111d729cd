"""A database that the platform already has: made without migrations, in a schema of another name, with more columns."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, make_url, text

from gateway.database.engine import Database
from gateway.database.required import COUNTED_TABLES
from gateway.database.tables import api_keys, metadata
from gateway.settings import DatabaseSettings, Profile, Settings
from tests.conftest import administer, postgres_database
from tests.support.rows import history, store
from tests.support.servers import KEPT

SCHEMA = "the platform's"
EXTRA = [
    "ALTER TABLE organizations ADD COLUMN plan text",
    "ALTER TABLE batches ADD COLUMN region text",
    "ALTER TABLE batch_callback_deliveries ADD COLUMN worker_id text",
    "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)",
    "INSERT INTO alembic_version VALUES ('3f1c0a9be712')",
]


@dataclass(frozen=True)
class Existing:
    """`url` is for whoever may do anything, `reader` for a role that may only read."""

    url: str
    reader: str
    schema: str | None

    @property
    def schema_variable(self) -> dict[str, str]:
        """The variable that names the schema, where there is one."""
        return {"GATEWAY_DATABASE_SCHEMA": self.schema} if self.schema else {}

    @property
    def role(self) -> str:
        """The role that may only read, quoted."""
        return f'"{make_url(self.reader).username}"'

    def settings(self, **values: Any) -> Settings:
        """The settings of a gateway that reads it."""
        plain: dict[str, Any] = {"database_url": self.reader, "database_schema": self.schema, "rate_limit": 0}
        return Settings(profile=Profile.PRODUCTION, **{**plain, **values})

    def run(self, *statements: str) -> None:
        """Run statements as the owner."""
        asyncio.run(self.run_now(*statements))

    async def run_now(self, *statements: str) -> None:
        """The same for tests that are coroutines."""
        database = Database(self.url, DatabaseSettings(database_schema=self.schema))
        async with database.engine.connect() as connection:
            own = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in statements:
                await own.exec_driver_sql(statement)
        await database.close()


@contextmanager
def existing_database(engine: str, folder: Path, *, keys: bool = True) -> Iterator[Existing]:
    """Such a database with a small history meanwhile, with a table of keys or without."""
    template = _template(engine, keys)
    if engine == "sqlite":
        shutil.copy(template, folder / "platform.db")
        url = f"sqlite+aiosqlite:///{folder / 'platform.db'}"
        yield Existing(url, f"sqlite+aiosqlite:///file:{folder / 'platform.db'}?mode=ro&uri=true", None)
        return
    name = f"gateway_existing_{uuid4().hex[:16]}"
    asyncio.run(administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        url = postgres_database(name)
        made = Existing(url, f"postgresql://{name}:secret@{url.rpartition('@')[2]}", SCHEMA)
        made.run(
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret'",
            f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO "{name}"',
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{SCHEMA}" TO "{name}"',
        )
        yield made
    finally:
        asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)', f'DROP ROLE IF EXISTS "{name}"'))


@cache
def _template(engine: str, keys: bool) -> str:
    """The SQLite file, or the name of the PostgreSQL database, of which each is a copy: made once by each process."""
    if engine == "sqlite":
        path = Path(KEPT.enter_context(TemporaryDirectory(prefix="gateway-existing-"))) / "platform.db"
        asyncio.run(_make(f"sqlite+aiosqlite:///{path}", None, keys))
        return str(path)
    name = f"gateway_existing_{uuid4().hex[:16]}"
    asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    KEPT.callback(lambda: asyncio.run(administer(f'DROP DATABASE "{name}"')))
    url = postgres_database(name)
    Existing(url, url, None).run(f'CREATE SCHEMA "{SCHEMA}"')
    asyncio.run(_make(url, SCHEMA, keys))
    return name


async def _make(url: str, schema: str | None, keys: bool) -> None:
    database = Database(url, DatabaseSettings(database_schema=schema))
    own = {*COUNTED_TABLES, *(() if keys else (api_keys,))}
    tables = [table for table in metadata.sorted_tables if table not in own]

    def create(connection: Connection) -> None:
        metadata.create_all(connection, tables)

    async with database.transaction() as connection:
        await connection.run_sync(create)
        for statement in EXTRA:
            await connection.execute(text(statement))
    await store(database, history(3))
    await database.close()
