"""Databases of the benchmark's own: made, filled, and gone afterwards."""

import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import make_url, select

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import organizations
from gateway.viewer import READ, READ_SECRETS
from gateway.writing.api_keys import create_key
from tests.benchmark.refusal import Refused
from tests.benchmark.rows import ORGANIZATION, Layout, fill
from tests.benchmark.table import console

POSTGRES = os.environ.get("GATEWAY_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Filled:
    """A database with rows, a key that reads them, and one that reads the secrets in them, too."""

    kind: str
    url: str
    key: str
    secrets_key: str
    layout: Layout


@asynccontextmanager
async def filled(
    kind: str, layout: Layout, postgres: str = POSTGRES, *, many: bool = False, kept: str | None = None
) -> AsyncIterator[Filled]:
    """A database of that kind with these rows; `kept` is the URL of one that is filled once and stays."""
    async with _made(kind, postgres) if kept is None else nullcontext(kept) as url:
        async with _database(url) as database:
            await migrate(database)
            if not await database.fetch(select(organizations.c.id).limit(1)):
                await _fill(kind, url, layout, many=many)
            key = await create_key(database, ORGANIZATION, "benchmark", [READ])
            secrets_key = await create_key(database, ORGANIZATION, "secrets", [READ, READ_SECRETS])
        yield Filled(kind, url, key, secrets_key, layout)


async def _fill(kind: str, url: str, layout: Layout, *, many: bool) -> None:
    columns = (TextColumn(f"{kind}: {{task.description}}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what)
            progress.update(tasks[what], completed=done, total=of)

        await fill(url, layout, report, many=many)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _made(kind: str, postgres: str) -> AsyncIterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as folder:
            yield f"sqlite+aiosqlite:///{Path(folder, 'benchmark.db')}"
        return
    name = f"gateway_benchmark_{uuid4().hex}"
    await administer(postgres, f'CREATE DATABASE "{name}"')
    try:
        url = make_url(postgres).set(drivername="postgresql+asyncpg", database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        await administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def administer(postgres: str, statement: str) -> Sequence[Any]:
    """Run a statement outside any transaction and return its rows; `Refused` where nobody answers."""
    plain = make_url(postgres).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection: Any = await asyncpg.connect(plain)
    except (OSError, asyncpg.PostgresError) as reason:
        raise Refused(f"PostgreSQL does not answer ({reason}): see --postgres, or take --databases sqlite.") from reason
    try:
        rows: Sequence[Any] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()
