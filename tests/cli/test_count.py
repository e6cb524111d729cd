"""`gateway count`, as somebody at a terminal has it."""

import asyncio
from pathlib import Path

from sqlalchemy import update

from gateway.counting.triggers import unwatch_tables
from gateway.database.engine import Database
from gateway.database.tables import counting_lease
from tests.support.commands import run
from tests.support.rows import history, store


async def _filled(url: str) -> None:
    database = Database(url)
    await unwatch_tables(database)
    await store(database, history(3))
    await database.close()


async def _held(url: str, holder: str) -> None:
    database = Database(url)
    async with database.transaction() as connection:
        await connection.execute(update(counting_lease).values(holder=holder))
    await database.close()


def test_the_past_is_counted_once_and_may_be_forgotten(database_url: str, tmp_path: Path) -> None:
    asyncio.run(_filled(database_url))
    variables = {"GATEWAY_DATABASE_URL": database_url}
    status, output, errors = run(tmp_path, "count", **variables)
    assert (status, errors) == (0, "")
    watched, counted = output.splitlines()
    assert watched == "Deliveries and attempts are watched from now on"
    assert counted == "Counted 6 deliveries that were not counted before"
    assert run(tmp_path, "count", **variables)[1].splitlines()[1] == "Counted 0 deliveries that were not counted before"
    asyncio.run(_held(database_url, "gateway count 1"))
    refused = run(tmp_path, "count", **variables)
    assert (refused[0], refused[2]) == (1, "Another `gateway count` is at work, or was until half a minute ago.\n")
    asyncio.run(_held(database_url, "gateway serve 1"))
    assert run(tmp_path, "count", "--forget", **variables)[1] == "Forgot what was counted of 1 organization\n"
