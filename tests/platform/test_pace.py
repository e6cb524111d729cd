"""The pace by a clock of the test's own: begun evenly, and what may not begin takes no turn."""

import asyncio

import pytest

from gateway.platform.pace import Pace
from tests.support.issuer import Clock

pytestmark = pytest.mark.anyio


async def begun(pace: Pace, clock: Clock, count: int) -> list[float]:
    """When so many begin that want to at once."""
    times: list[float] = []

    async def one() -> None:
        async with pace.turn():
            times.append(clock.now - 1000)

    await asyncio.gather(*(one() for _ in range(count)))
    return times


def paced(rate: float, at_once: int, clock: Clock) -> Pace:
    async def sleep(seconds: float) -> None:
        clock.now += seconds

    return Pace(rate, at_once, clock, sleep)


async def test_so_many_a_second_begin_evenly() -> None:
    clock = Clock()
    assert await begun(paced(4, 1, clock), clock, 5) == [0, 0.25, 0.5, 0.75, 1.0]


async def test_a_pace_that_was_not_used_is_not_saved_up() -> None:
    clock = Clock()
    pace = paced(4, 1, clock)
    await begun(pace, clock, 1)
    clock.now += 10
    assert await begun(pace, clock, 3) == [10.0, 10.25, 10.5]


async def test_no_rate_is_no_wait() -> None:
    clock = Clock()
    assert await begun(paced(0, 3, clock), clock, 4) == [0, 0, 0, 0]


async def test_what_may_not_begin_takes_no_turn() -> None:
    clock = Clock()
    pace = paced(4, 1, clock)
    for _ in range(3):
        async with pace.turn(lambda: False) as may_begin:
            assert may_begin is False
    assert await begun(pace, clock, 2) == [0, 0.25]
