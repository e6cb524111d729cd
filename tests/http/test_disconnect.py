"""Work that a request waits for, begun before anything watches it."""

import asyncio

import pytest
from starlette.types import Message

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded
from gateway.http.disconnect import until_disconnect


async def silence() -> Message:
    """A client that says nothing more, and stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def failed(after: float) -> None:
    """Fail, so that whoever waits is told by the event loop."""
    failing = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(after, failing.set_exception, OSError("gone"))
    await failing


async def test_work_handles_each_failure_that_it_waits_for() -> None:
    async def work() -> list[str]:
        seen = []
        for _ in range(3):
            try:
                await failed(0.001)
            except OSError as failure:
                seen.append(str(failure))
        return seen

    assert await until_disconnect(silence, work(), Deadline(30)) == ["gone"] * 3


async def test_work_that_has_failed_before_meets_its_deadline() -> None:
    async def work() -> None:
        try:
            await failed(0.001)
        except OSError:
            await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded):
        await until_disconnect(silence, work(), Deadline(0.05))
