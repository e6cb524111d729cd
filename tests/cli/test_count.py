"""`gateway count`, as somebody at a terminal has it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import update

from gateway.counting.lease import COMMAND
from gateway.counting.triggers import unwatch_tables
from gateway.database.engine import Database
from gateway.database.tables import counting_lease
from tests.support.commands import run
from tests.support.rows import THEIRS, history, store


async def _filled(url: str) -> None:
    database = Database(url)
    await unwatch_tables(database)
    theirs, ours = history(5, organization=THEIRS), history(3)
    await store(database, {table: rows + theirs[table][len(rows) :] for table, rows in ours.items()})
    await database.close()


async def _held(url: str, holder: str) -> None:
    database = Database(url)
    async with database.transaction() as connection:
        await connection.execute(update(counting_lease).values(holder=holder))
    await database.close()


@contextmanager
def _at_work(url: str) -> Iterator[None]:
    """Meanwhile another command has the lease, and writes that it is there."""
    is_over = Event()

    async def beat() -> None:
        database = Database(url)
        while not is_over.is_set():
            async with database.transaction() as connection:
                await connection.execute(
                    update(counting_lease).values(holder=f"{COMMAND} 1", beat=counting_lease.c.beat + 1)
                )
            await asyncio.to_thread(is_over.wait, 0.05)
        await database.close()

    asyncio.run(_held(url, f"{COMMAND} 1"))
    thread = Thread(target=asyncio.run, args=(beat(),))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_the_past_is_counted_once_and_may_be_forgotten(database_url: str, tmp_path: Path) -> None:
    asyncio.run(_filled(database_url))
    variables = {"GATEWAY_DATABASE_URL": database_url}
    status, output, errors = run(tmp_path, "count", **variables)
    assert (status, errors) == (0, "")
    watched, counted = output.splitlines()
    assert watched == "Deliveries and attempts are watched from now on"
    assert counted == "Counted 10 deliveries that were not counted before"
    assert run(tmp_path, "count", **variables)[1].splitlines()[1] == "Counted 0 deliveries that were not counted before"
    with _at_work(database_url):
        status, _, errors = run(tmp_path, "count", **variables)
    assert (status, errors.splitlines()[-1]) == (1, "Another `gateway count` is at work.")
    asyncio.run(_held(database_url, "gateway serve 1"))
    assert run(tmp_path, "count", "--forget", **variables)[1] == "Forgot what was counted of 2 organizations\n"
    assert run(tmp_path, "count", "--forget", "--again", **variables)[0] == 2
