"""The connection to the database: one pool a process, a connection a statement."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Executable, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from gateway.database.types import AnyRow
from gateway.errors import DatabaseUnavailable

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


class Database:
    """A pool of connections to the database at `url`, at most `pool_size` of them."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.url = parse_url(url)
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0} if self.url.database else {}
        try:
            self.engine = create_async_engine(self.url, json_serializer=_compact_json, hide_parameters=True, **options)
        except ModuleNotFoundError as missing:
            raise DatabaseUnavailable(
                f"The driver {missing.name} is not installed: pip install 'callback-gateway[postgres]'."
            ) from missing
        if self.dialect == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    async def fetch(self, statement: Executable) -> Sequence[AnyRow]:
        """Run one reading statement on a connection of its own and return all its rows."""
        async with self.connect() as connection:
            return (await connection.execute(statement)).all()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection that rolls back when it is given back."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection that commits at the end, or leaves nothing behind when an exception passes."""
        async with self.engine.begin() as connection:
            yield connection

    async def check(self) -> None:
        """Raise `DatabaseUnavailable`, in one line, unless the database answers."""
        try:
            await self.fetch(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as failure:
            raise DatabaseUnavailable(f"No database answers at {self.url!r}: {_reason(failure)}") from failure

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()


def parse_url(url: str) -> URL:
    """The URL with the driver that the gateway uses; `DatabaseUnavailable` where it is none that it can use."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as failure:
        raise DatabaseUnavailable("GATEWAY_DATABASE_URL is not a database URL.") from failure
    driver = DRIVERS.get(backend)
    if driver is None or ("+" in parsed.drivername and parsed.drivername != driver):
        raise DatabaseUnavailable(
            f"GATEWAY_DATABASE_URL names {parsed.drivername}; use sqlite+aiosqlite or postgresql+asyncpg."
        )
    return parsed.set(drivername=driver)


def _compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers that do not wait for the writer, references that are enforced."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA busy_timeout = 5000")
    cursor.close()


def _reason(failure: BaseException) -> str:
    """The driver's own words, without SQLAlchemy's frame around them."""
    original = getattr(failure, "orig", None) or failure
    return str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__
