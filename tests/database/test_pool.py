"""Connections taken in turn: how many there are, who waits, and who is turned away."""

import asyncio
from typing import Any

import pytest

from gateway.database.pool import Pool
from gateway.errors import Overloaded
from gateway.settings import DatabaseSettings


class Connection:
    closed = False


async def connected() -> Connection:
    return Connection()


def pool(size: int = 1, connect: Any = connected, patience: float = 5.0) -> Pool[Connection]:
    settings = DatabaseSettings(database_pool_size=size, database_wait_seconds=patience)
    return Pool(connect, lambda connection: connection.closed, settings)


async def waiting(pool: Pool[Connection], number: int) -> list[asyncio.Task[Connection]]:
    """So many that wait in line."""
    tasks = [asyncio.ensure_future(pool.take()) for _ in range(number)]
    while pool.waiting < number:
        await asyncio.wait(tasks, timeout=0.001)
    return tasks


async def test_a_connection_is_used_again_unless_it_is_closed() -> None:
    one = pool()
    first = await one.take()
    one.give(first)
    assert await one.take() is first
    first.closed = True
    one.give(first)
    assert await one.take() is not first


async def test_who_finds_none_waits_in_turn() -> None:
    one = pool()
    held = await one.take()
    first, second = await waiting(one, 2)
    one.give(held)
    assert await first is held
    assert not second.done()
    one.give(held)
    assert await second is held
    assert (one.in_use, one.waiting) == (1, 0)


async def test_who_waits_too_long_is_turned_away() -> None:
    one = pool(patience=0.01)
    held = await one.take()
    with pytest.raises(Overloaded, match="No connection to the database came free"):
        await one.take()
    one.give(held)
    assert await one.take() is held


async def test_the_line_has_an_end() -> None:
    one = pool()
    await one.take()
    line = await waiting(one, one.line)
    with pytest.raises(Overloaded, match="wait for the database already"):
        await one.take()
    for task in line:
        task.cancel()
    await asyncio.wait(line)
    assert one.waiting == 0


async def test_who_leaves_the_line_passes_the_turn_on() -> None:
    one = pool()
    held = await one.take()
    first, second = await waiting(one, 2)
    one.give(held)
    first.cancel()  # in the same moment in which its turn came
    assert await second is held
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_connection_that_nobody_waits_for_any_more_is_the_next_one_s() -> None:
    gate = asyncio.Event()

    async def slowly() -> Connection:
        await gate.wait()
        return Connection()

    one = pool(connect=slowly)
    leaving = asyncio.ensure_future(one.take())
    while not one.in_use:
        await asyncio.wait({leaving}, timeout=0.001)
    leaving.cancel()
    gate.set()
    await one.come_to_rest()
    await asyncio.wait({leaving})
    assert (one.in_use, one.idle) == (0, 1)


async def test_a_connection_that_cannot_be_opened_leaves_room_for_the_next() -> None:
    failures = [OSError("refused")]

    async def sometimes() -> Connection:
        if failures:
            raise failures.pop()
        return Connection()

    one = pool(connect=sometimes)
    with pytest.raises(OSError, match="refused"):
        await one.take()
    await one.take()
    assert one.in_use == 1
