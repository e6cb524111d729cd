"""Reading from one PostgreSQL server: asyncpg's own connections, each statement prepared once on each of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
from asyncpg import exceptions

from gateway.database.odd import ONE_MICROSECOND, OddTime, read_json, read_microseconds
from gateway.database.pool import SECONDS_TO_STOP, Pool
from gateway.errors import Overloaded, StatementTimeout, Unavailable
from gateway.settings import DatabaseSettings

logger = logging.getLogger(__name__)

SECONDS_TO_CONNECT = 5.0
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts microseconds from then on
PREPARED_STATEMENTS = 500  # prepared on a connection; a list asked for in an order, with a filter, is one
LOST = (
    OSError,
    exceptions.PostgresConnectionError,
    exceptions.OperatorInterventionError,
    exceptions.InterfaceError,
    exceptions.InternalClientError,  # what asyncpg makes of a server that ends amid a statement
)


class PostgreSQL:
    """Connections to the server that `address`, asyncpg's arguments, names; `session` is set on each."""

    def __init__(
        self,
        address: Mapping[str, Any],
        settings: DatabaseSettings,
        session: Mapping[str, str] | None = None,
        *,
        statement_seconds: float | None = None,
        pooler: bool = False,
    ) -> None:
        self._address = {"timeout": SECONDS_TO_CONNECT, **address}
        self._statements = 0 if pooler else PREPARED_STATEMENTS
        self._session = {"application_name": "callback-gateway", **(session or {})}
        if statement_seconds is not None and not pooler:
            self._session["statement_timeout"] = str(int(statement_seconds * 1000))
        self.pool: Pool[Any] = Pool(self.connect, lambda connection: connection.is_closed(), settings)

    async def run(self, text: str, arguments: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows of one statement, as asyncpg's records.

        `Unavailable` where the server does not answer; a connection that it closed meanwhile is replaced at once. When
        the caller is cancelled, nobody waits for the statement: it is cancelled on the server, and its connection
        comes back to the pool, or is cut where the server does not answer.
        """
        reused = self.pool.idle > 0
        connection = await self._take()
        try:
            return await self._fetch(connection, text, arguments)
        except Unavailable:
            if not reused:
                raise
        for idle in self.pool.empty_idle():  # as old as the one that is lost
            idle.terminate()
        return await self._fetch(await self._take(), text, arguments)

    async def close(self) -> None:
        """Close every connection, after the statements that are being stopped; a silent server is not waited for."""
        await self.pool.come_to_rest()
        for connection in self.pool.empty():
            await close(connection)

    def cut(self) -> None:
        """Cut every connection: whoever waits for an answer learns now that there will be none."""
        for connection in self.pool.empty():
            connection.terminate()

    async def _take(self) -> Any:
        try:
            return await self.pool.take()
        except Overloaded:
            raise
        except (TimeoutError, exceptions.PostgresError, *LOST) as failure:  # whatever it is, nobody is let in
            raise _unavailable(failure) from failure

    async def _fetch(self, connection: Any, text: str, arguments: Sequence[Any]) -> Sequence[Sequence[Any]]:
        try:
            rows: Sequence[Sequence[Any]] = await connection.fetch(text, *arguments)
        except asyncio.CancelledError:
            self.pool.settle(self._settle(connection))
            raise
        except exceptions.QueryCanceledError as stopped:
            self.pool.give(connection)
            raise StatementTimeout from stopped
        except ValueError:  # asyncpg's word for an argument of the wrong type, though it is an InterfaceError
            self.pool.give(connection)
            raise
        except LOST as failure:
            connection.terminate()
            self.pool.give(connection)
            raise _unavailable(failure) from failure
        except BaseException:
            self.pool.give(connection)
            raise
        self.pool.give(connection)
        return rows

    async def _settle(self, connection: Any) -> None:
        """Give back a connection whose statement was cancelled, when asyncpg has told the server and heard back."""
        try:
            with suppress(exceptions.QueryCanceledError):
                async with asyncio.timeout(SECONDS_TO_STOP):
                    await connection.execute("")
        except Exception:  # noqa: BLE001 - whatever it is, this connection is of no use
            connection.terminate()
        finally:
            self.pool.give(connection)

    async def connect(self) -> Any:
        """A connection outside the pool, for the caller to close."""
        connection = await asyncpg.connect(
            **self._address,
            statement_cache_size=self._statements,
            max_cached_statement_lifetime=0,
            server_settings=self._session,
        )
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(kind, encoder=str, decoder=read_json, schema="pg_catalog")
        # asyncpg's own fails at a year that Python has not, and with it all rows of the statement. This one takes
        # 0.54 µs a value, asyncpg's 0.59.
        await connection.set_type_codec(
            "timestamptz", encoder=_to_microseconds, decoder=_from_microseconds, schema="pg_catalog", format="tuple"
        )
        return connection


def _from_microseconds(value: tuple[int]) -> datetime:
    return read_microseconds(POSTGRES_EPOCH, value[0])


def _to_microseconds(time: datetime) -> tuple[int]:
    return (time.stored if isinstance(time, OddTime) else (time - POSTGRES_EPOCH) // ONE_MICROSECOND,)


async def close(connection: Any) -> None:
    """Close a connection in order, or cut it where the server gives no answer."""
    try:
        async with asyncio.timeout(SECONDS_TO_STOP):
            await connection.close()
    except (TimeoutError, *LOST):
        connection.terminate()


def _unavailable(failure: BaseException) -> Unavailable:
    logger.warning("the database does not answer: %s", str(failure).strip() or type(failure).__name__)
    return Unavailable("The database does not answer just now.")
