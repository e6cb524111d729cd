"""The database of one process: SQLAlchemy's engine for what is written, the driver's own connections for what is read.

A read takes one statement and no transaction. SQLAlchemy compiles it, once, and it runs on a connection of the driver,
which costs a tenth of the way through an engine. A pool is as large as the process may keep connections; a statement
that finds none free waits in line. A process answers several hundred requests a second over ten connections, so that
ten are enough for most; the sum over all processes must stay below what the server allows.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, assert_never

from asyncpg.exceptions import PostgresError
from cachetools import TTLCache
from sqlalchemy import TextClause, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.caches import CountedCache
from gateway.database.address import SETTING, Address, parse_url
from gateway.database.backends import TRAITS, Backend, Traits
from gateway.database.optional import Lacking, read_as_null
from gateway.database.pool import SECONDS_TO_STOP
from gateway.database.postgresql import PostgreSQL
from gateway.database.replicas import Affinity, Replicas
from gateway.database.sqlite import BUSY_MS, SQLite, why_stale, why_unreadable
from gateway.database.statements import CompiledStatement
from gateway.database.types import AnyRow, AnySelect
from gateway.errors import DatabaseUnavailable, Unavailable
from gateway.observability.record import exchange
from gateway.settings import DatabaseSettings

REPLICA_URLS = "GATEWAY_DATABASE_REPLICA_URLS"
REFUSED = (sqlite3.Error, PostgresError)  # what a statement fails with that the database does not accept
DATABASE_DEFAULTS = DatabaseSettings()
STATEMENTS = 2_000  # that a process keeps compiled, each a few kilobytes


class Database:
    """The database at `url`, which is named by the variable `setting`; how it is used, the settings say.

    It is read over at most `database_pool_size` connections, and written over as many. A reader waits at most
    `database_wait_seconds` for one of them, else it is `Overloaded`. On PostgreSQL a statement may take
    `statement_seconds`, and tables are looked for in `database_schema`, not in the role's search path; neither where
    `?prepared_statement_cache_size=0` in the URL tells that there is a pooler in transaction mode, such as PgBouncer,
    which knows neither prepared statements nor settings of a session.

    `database_replica_urls` are those of PostgreSQL servers that follow it: they are read instead, while they answer and
    are no more than `database_replica_max_lag_seconds` behind.
    """

    def __init__(
        self,
        url: str,
        settings: DatabaseSettings = DATABASE_DEFAULTS,
        *,
        statement_seconds: float | None = None,
        setting: str = SETTING,
    ) -> None:
        self.address = parse_url(url, setting)
        self.schema = settings.database_schema
        self.engine = self._engine(settings.database_pool_size)
        self.on_statement: list[Callable[[str], None]] = []
        self.source: SQLite | PostgreSQL | Replicas
        match self.dialect:
            case Backend.SQLITE:
                self.source = self._file(settings)
            case Backend.POSTGRESQL:
                self.source = self._servers(settings, statement_seconds)
            case other:
                assert_never(other)
        self.statements: CountedCache[Hashable, CompiledStatement] = CountedCache(STATEMENTS)
        self.lacking: Lacking = {}
        self.known_large: TTLCache[Hashable, bool] = TTLCache(1_000, ttl=10.0)
        """Statements that gave more rows than are worth reading, for ten seconds."""

    def _file(self, settings: DatabaseSettings) -> SQLite:
        if settings.database_replica_urls:
            raise DatabaseUnavailable(f"{REPLICA_URLS} is for PostgreSQL: SQLite has no replicas.")
        prepare = _prepare_reader if self.address.is_read_only else _prepare_sqlite
        event.listen(self.engine.sync_engine, "connect", prepare)
        arguments, options = self.engine.dialect.create_connect_args(self.url)
        return SQLite(arguments, options, settings)

    def _servers(self, settings: DatabaseSettings, statement_seconds: float | None) -> PostgreSQL | Replicas:
        primary, *replicas = (
            PostgreSQL(
                address.arguments,
                settings,
                self._session(address),
                statement_seconds=statement_seconds,
                pooler=address.has_pooler,
            )
            for address in (self.address, *map(_replica_address, settings.database_replica_urls))
        )
        return Replicas(primary, replicas, settings) if replicas else primary

    def _engine(self, pool_size: int) -> AsyncEngine:
        session = self._session(self.address)
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "hide_parameters": True}
        match self.dialect:
            case Backend.SQLITE:
                return create_async_engine(self.url, json_serializer=_compact_json, **options)
            case Backend.POSTGRESQL:
                arguments = {**self.address.arguments, **({"server_settings": session} if session else {})}
                if self.address.has_pooler:
                    # asyncpg's own as well: behind PgBouncer the next transaction may find another statement by that
                    # name.
                    arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
                url = self.url.set(query={})
                return create_async_engine(url, json_serializer=_compact_json, connect_args=arguments, **options)
            case other:
                assert_never(other)

    def _session(self, address: Address) -> dict[str, str]:
        return {**address.settings, **({} if address.has_pooler else in_schema(self.dialect, self.schema))}

    @property
    def url(self) -> URL:
        """The URL as SQLAlchemy has it."""
        return self.address.url

    @property
    def dialect(self) -> Backend:
        """`sqlite` or `postgresql`."""
        return Backend(self.url.get_backend_name())

    @property
    def traits(self) -> Traits:
        """What databases of this kind have of their own."""
        return TRAITS[self.dialect]

    def read_as_null(self, lacking: Lacking) -> None:
        """From now on these columns, which are not there, are null in every row."""
        if lacking != self.lacking:
            self.lacking = lacking
            read_as_null(self.engine.dialect, lacking)
            self.statements.clear()
            self.engine.sync_engine.clear_compiled_cache()

    def prepare(self, statement: AnySelect | TextClause) -> CompiledStatement:
        """The statement, compiled for this database."""
        return CompiledStatement(statement, self.engine.dialect)

    def compiled(self, key: Hashable, statement: Callable[[], AnySelect]) -> CompiledStatement:
        """The statement of this key, which is made and compiled where it is asked for the first time."""
        found: CompiledStatement | None = self.statements.get(key)
        if found is None:
            found = self.statements[key] = self.prepare(statement())
        return found

    async def run(
        self,
        prepared: CompiledStatement,
        values: Mapping[str, Any],
        affinity: Affinity | None = None,
        *,
        newest: bool = False,
    ) -> Sequence[Sequence[Any]]:
        """The rows of a reading statement, as the driver returns them; the `newest` are the primary's, if it answers.

        Where there are replicas, the one of the `affinity` is asked first.

        `Unavailable` where the database does not answer. When the caller is cancelled, nobody waits for the statement:
        it is stopped, and its connection comes back to the pool, or is cut where the database does not answer.
        """
        for note in self.on_statement:
            note(prepared.text)
        started = time.perf_counter()
        arguments = prepared.arguments(values)
        source = self.source
        if not isinstance(source, Replicas):
            rows = await source.run(prepared.text, arguments)
        elif newest:
            rows = await source.newest(prepared.text, arguments)
        else:
            rows = await source.run(prepared.text, arguments, affinity)
        exchange.get().fetched(prepared.summary, started, len(rows))
        return rows

    async def fetch(self, statement: AnySelect | TextClause, *, newest: bool = False) -> Sequence[AnyRow]:
        """The rows of a reading statement that is not asked twice."""
        prepared = self.prepare(statement)
        return prepared.rows(await self.run(prepared, {}, newest=newest))

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
            await self.fetch(text(self.traits.alive), newest=True)
        except (*REFUSED, SQLAlchemyError, OSError, Unavailable) as failure:
            raise DatabaseUnavailable(f"No database answers at {self.address}: {self._reason(failure)}") from failure
        if self.address.file is not None and self.address.is_immutable and (why := why_stale(self.address.file)):
            raise DatabaseUnavailable(f"The database at {self.address} is read without its last rows: {why}")

    def _reason(self, failure: BaseException) -> str:
        """The driver's own words in a line, or what is wrong with the file where SQLite has no word for it."""
        cause = failure.__cause__ if isinstance(failure, Unavailable) and failure.__cause__ else failure
        if self.address.file is not None and (why := why_unreadable(self.address.file)) is not None:
            return why
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines()
        return said[0] if said else type(cause).__name__

    async def close(self) -> None:
        """Close every connection, after the statements that are being stopped; a silent database is not waited for."""
        await self.source.close()
        await asyncio.wait({asyncio.ensure_future(self.engine.dispose())}, timeout=SECONDS_TO_STOP)


def _replica_address(url: str) -> Address:
    address = parse_url(url, REPLICA_URLS)
    if address.dialect != Backend.POSTGRESQL:
        raise DatabaseUnavailable(f"{REPLICA_URLS} names {address.url.drivername}; use postgresql+asyncpg.")
    return address


def in_schema(dialect: str, schema: str | None) -> dict[str, str]:
    """The setting of a session that looks for tables in this schema; `DatabaseUnavailable` where there are none."""
    if schema is None:
        return {}
    if not TRAITS[dialect].has_schemas:
        raise DatabaseUnavailable("GATEWAY_DATABASE_SCHEMA is for PostgreSQL: SQLite has no schemas.")
    return {"search_path": '"' + schema.replace('"', '""') + '"'}


def _compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _prepare_sqlite(connection: Any, record: Any) -> None:
    """Readers that do not wait for the writer, references that are enforced."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    _prepare_reader(connection, record)


def _prepare_reader(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.close()
