"""The connection to the database: one pool a process, a connection a statement."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, NullPool, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.database.types import AnyRow
from gateway.errors import DatabaseUnavailable, Unavailable

logger = logging.getLogger(__name__)

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}
SECONDS_TO_STOP = 2.0  # that an abandoned statement has before its connection is cut


class Database:
    """A pool of at most `pool_size` connections to the database at `url`; stopping a statement takes another one.

    On PostgreSQL `schema` is where the tables are looked for, instead of the role's search path.
    """

    def __init__(self, url: str, pool_size: int = 10, schema: str | None = None) -> None:
        self.url = parse_url(url)
        self.schema = schema
        self._connecting = in_schema(self.dialect, schema)
        self.engine = self._engine(pool_size=pool_size, max_overflow=0)
        self._aside = self._engine(poolclass=NullPool)
        self._stopping: set[asyncio.Task[None]] = set()
        if self.dialect == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)

    def _engine(self, **options: Any) -> AsyncEngine:
        try:
            return create_async_engine(
                self.url,
                json_serializer=_compact_json,
                hide_parameters=True,
                connect_args=self._connecting,
                **options,
            )
        except ModuleNotFoundError as missing:
            raise DatabaseUnavailable(
                f"The driver {missing.name} is not installed: pip install 'callback-gateway[postgres]'."
            ) from missing

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    async def fetch(self, statement: Executable) -> Sequence[AnyRow]:
        """Run one reading statement on a connection of its own and return all its rows.

        When the caller is cancelled, nobody waits for the statement: it is stopped, and its connection comes back to
        the pool, or is cut where the database does not answer.
        """
        run = _Run()
        running = asyncio.ensure_future(self._run(statement, run))
        try:
            return await asyncio.shield(running)
        except (OSError, DBAPIError) as failure:
            if run.driver is not None and not getattr(failure, "connection_invalidated", False):
                raise
            logger.warning("the database does not answer: %s", _reason(failure))
            raise Unavailable("The database does not answer just now.") from failure
        except asyncio.CancelledError:
            stopping = asyncio.ensure_future(self._stop(running, run))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
            raise

    async def _run(self, statement: Executable, run: "_Run") -> Sequence[AnyRow]:
        async with self.engine.connect() as connection:
            run.driver = (await connection.get_raw_connection()).driver_connection
            try:
                return (await connection.execute(statement)).all()
            finally:
                if run.asking is not None:
                    # Not back into the pool before this is settled: it would hit the next statement.
                    await asyncio.wait({run.asking}, timeout=SECONDS_TO_STOP)

    async def _stop(self, running: asyncio.Future[Any], run: "_Run") -> None:
        while not running.done() and (run.driver is None or self.dialect == "sqlite"):
            # Again and again: what comes before the statement has begun is forgotten.
            if run.driver is None:
                running.cancel()
            else:
                await run.driver.interrupt()
            await asyncio.wait({running}, timeout=0.02)
        if not running.done():
            run.asking = asyncio.ensure_future(self._cancel_statement(run.driver.get_server_pid()))
            await asyncio.wait({running}, timeout=SECONDS_TO_STOP)
            run.asking.cancel()
            if not running.done():
                run.driver.terminate()
        with suppress(BaseException):
            await running

    async def _cancel_statement(self, process: int) -> None:
        """Ask PostgreSQL to end what another of our connections runs, by a connection that no pool makes wait."""
        with suppress(SQLAlchemyError, OSError):
            async with self._aside.connect() as connection:
                await connection.execute(text("SELECT pg_cancel_backend(:process)"), {"process": process})

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
        except (SQLAlchemyError, OSError, Unavailable) as failure:
            reason = _reason(failure.__cause__ if isinstance(failure, Unavailable) and failure.__cause__ else failure)
            raise DatabaseUnavailable(f"No database answers at {self.url!r}: {reason}") from failure

    async def close(self) -> None:
        """Close every connection, after the statements that are being stopped; a silent database is not waited for."""
        await asyncio.gather(*self._stopping)
        await asyncio.wait({asyncio.ensure_future(self.engine.dispose())}, timeout=SECONDS_TO_STOP)


@dataclass(slots=True)
class _Run:
    """A statement under way: its driver's connection, and the question to PostgreSQL to end it."""

    driver: Any = None
    asking: asyncio.Future[None] | None = None


def parse_url(url: str) -> URL:
    """The URL with the driver that the gateway uses; `DatabaseUnavailable` where it is none that it can use."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as failure:
        raise DatabaseUnavailable("GATEWAY_DATABASE_URL is not a database URL.") from failure
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise DatabaseUnavailable("GATEWAY_DATABASE_URL must name a file: sqlite+aiosqlite:///gateway.db.")
    driver = DRIVERS.get(backend)
    if driver is None or ("+" in parsed.drivername and parsed.drivername != driver):
        raise DatabaseUnavailable(
            f"GATEWAY_DATABASE_URL names {parsed.drivername}; use sqlite+aiosqlite or postgresql+asyncpg."
        )
    return parsed.set(drivername=driver)


def in_schema(dialect: str, schema: str | None) -> dict[str, Any]:
    """How the driver is told to look for tables in this schema; `DatabaseUnavailable` where there are no schemas."""
    if schema is None:
        return {}
    if dialect == "sqlite":
        raise DatabaseUnavailable("GATEWAY_DATABASE_SCHEMA is for PostgreSQL: SQLite has no schemas.")
    return {"server_settings": {"search_path": '"' + schema.replace('"', '""') + '"'}}


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
