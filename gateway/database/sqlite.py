"""Reading from an SQLite file: short statements where the caller stands, long ones in a thread.

A thread costs a hop that takes longer than most statements, and Python's threads do not read faster side by side. So
each statement has `SECONDS_HERE` to end in the event loop. One that does not is run again in a thread, where it holds
up nobody, and for `SECONDS_SLOW` it begins there: what is read has no side effects.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
from cachetools import TTLCache

from gateway.database.pool import Pool
from gateway.errors import Unavailable
from gateway.settings import DatabaseSettings

logger = logging.getLogger(__name__)

SECONDS_HERE = 0.005  # of this thread's own time
SECONDS_WAITED = 0.05  # with what the disk and other processes take
STEPS = 4_000  # of SQLite's machine between two looks at the clock
CACHE_KB = 8_192  # of the file that the event loop keeps: each page that it lacks is a call to the system
CACHED_STATEMENTS = 500  # that a connection keeps compiled
SLOW_REMEMBERED = 1_000  # statements known to take long
SECONDS_SLOW = 1.0  # for which a statement that took long begins in a thread
SECONDS_BETWEEN_INTERRUPTS = 0.02
BUSY_MS = 5_000


class SQLite:
    """One connection in the event loop, and others in threads, to the file that the arguments name."""

    def __init__(self, arguments: Sequence[Any], options: Mapping[str, Any], settings: DatabaseSettings) -> None:
        self._arguments = tuple(arguments)
        self._options = {
            **options,
            "check_same_thread": False,
            "isolation_level": None,
            "cached_statements": CACHED_STATEMENTS,
        }
        self._here: sqlite3.Connection | None = None
        self._until = 0.0, 0.0
        self._slow: TTLCache[str, bool] = TTLCache(SLOW_REMEMBERED, SECONDS_SLOW)
        self.pool: Pool[aiosqlite.Connection] = Pool(self._connect, lambda _: False, settings)

    async def run(self, text: str, arguments: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows of one statement, as tuples.

        `Unavailable` where the file cannot be read. When the caller is cancelled, nobody waits for the statement.
        """
        if text not in self._slow:
            try:
                return self._run_here(text, arguments)
            except sqlite3.OperationalError as failure:
                if _is_no_utf8(failure):
                    with suppress(sqlite3.OperationalError):
                        return self._run_here(text, arguments, _any_text)
                # Interrupted, since it takes long; or the file is busy, for which a thread waits, or out of order.
                self._slow[text] = True
        connection = await self.pool.take()
        try:
            rows = await _fetch(connection, text, arguments)
        except asyncio.CancelledError:
            self.pool.settle(self._settle(connection))
            raise
        except sqlite3.OperationalError as failure:
            self.pool.give(connection)
            if (
                getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR
            ):  # the statement's own fault
                raise
            raise _unavailable(failure) from failure
        except BaseException:
            self.pool.give(connection)
            raise
        self.pool.give(connection)
        return list(rows)

    async def close(self) -> None:
        """Close every connection, after the statements that are being stopped."""
        await self.pool.come_to_rest()
        if self._here is not None:
            self._here.close()
            self._here = None
        for connection in self.pool.empty():
            await connection.close()

    def cut(self) -> None:
        """There is nothing between the gateway and a file."""

    def _run_here(
        self, text: str, arguments: Sequence[Any], text_factory: Callable[[bytes], str] = str
    ) -> list[tuple[Any, ...]]:
        if self._here is None:
            self._here = self._open(busy_ms=0)
            self._here.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            self._here.set_progress_handler(self._is_late, STEPS)
        self._until = time.thread_time() + SECONDS_HERE, time.perf_counter() + SECONDS_WAITED
        self._here.text_factory = text_factory
        return self._here.execute(text, arguments).fetchall()

    def _is_late(self) -> bool:
        own, waited = self._until
        return time.thread_time() > own or time.perf_counter() > waited

    async def _settle(self, connection: aiosqlite.Connection) -> None:
        """Give back a connection whose statement nobody waits for any more, when that has ended."""
        ended = asyncio.ensure_future(connection.execute_fetchall("SELECT 1"))
        while not ended.done():
            # Again and again: an interrupt that comes before the statement has begun is forgotten.
            await connection.interrupt()
            await asyncio.wait({ended}, timeout=SECONDS_BETWEEN_INTERRUPTS)
        with suppress(sqlite3.Error):
            ended.result()
        self.pool.give(connection)

    def _open(self, busy_ms: int) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*self._arguments, **self._options)
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    async def _connect(self) -> Any:
        try:
            self._open(busy_ms=0).close()  # here first: a thread that cannot open it may outlive the loop it reports to
        except sqlite3.OperationalError as failure:
            raise _unavailable(failure) from failure
        return await aiosqlite.Connection(lambda: self._open(BUSY_MS), iter_chunk_size=64)


async def _fetch(connection: aiosqlite.Connection, text: str, arguments: Sequence[Any]) -> Any:
    try:
        return await connection.execute_fetchall(text, arguments)
    except sqlite3.OperationalError as failure:
        if not _is_no_utf8(failure):
            raise
    connection.text_factory = _any_text
    try:
        return await connection.execute_fetchall(text, arguments)
    finally:
        connection.text_factory = str


def _is_no_utf8(failure: sqlite3.OperationalError) -> bool:
    """Whether a text could not be read, and with it no row. Reading each text by a function of ours takes 550 ns
    instead of 420."""
    return str(failure).startswith("Could not decode to UTF-8")


def _any_text(stored: bytes) -> str:
    return str(stored, "utf-8", "replace")


def why_unreadable(file: Path) -> str | None:
    """What the file system knows of a file that SQLite cannot open, for which it always says the same; or None."""
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    if not file.exists():
        return (
            None if os.access(file.parent, os.W_OK) else f"there is no file {file}, and its folder may not be written"
        )
    if not file.is_file():
        return f"{file} is no file"
    if not os.access(file, os.R_OK):
        return f"{file} may not be read"
    if _has_wal(file) and not os.access(file.parent, os.W_OK):
        # Not with mode=ro either: a reader needs the log and its index, and makes them where they are not.
        asked = (
            f"{file} keeps a write-ahead log, for which its folder would have to be written: let the gateway write it"
        )
        return f"{asked}, or {MERGED}" if has_rows_beside(file) else f"{asked}, or where nobody writes add ?immutable=1"
    return None


MERGED = "let somebody who may write run `PRAGMA wal_checkpoint(TRUNCATE)`, which puts the log's rows into the file"


def why_stale(file: Path) -> str | None:
    """Why a file must not be read with `immutable=1`, or None: SQLite then leaves out the log, and what is in it.

    Rows that were committed are missing without a word: seen with SQLite 3.40 while a writer had the file open, and
    after one that was killed. With the log and its index there, plain reading needs no folder to write.
    """
    if not has_rows_beside(file):
        return None
    return f"{file} has rows in its write-ahead log, which ?immutable=1 leaves out: take it from the URL, or {MERGED}"


def has_rows_beside(file: Path) -> bool:
    """Whether there is a write-ahead log with something in it, which may be in the file already."""
    log = file.with_name(f"{file.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def _has_wal(file: Path) -> bool:
    """Whether the file's header says that it is read and written with a write-ahead log."""
    with file.open("rb") as opened:
        return opened.read(20)[18:20] == b"\2\2"


def _unavailable(failure: sqlite3.OperationalError) -> Unavailable:
    logger.warning("the database does not answer: %s", failure)
    return Unavailable("The database does not answer just now.")
