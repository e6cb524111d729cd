"""What changes state goes on to its end, whether or not its client waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from gateway.deadline import Deadline
from gateway.http.disconnect import until_disconnect

T = TypeVar("T")


class Writes:
    """The writes under way in this process.

    Half a write is worse than one that nobody heard the end of: neither a client that hangs up nor the deadline stops
    one that has begun. `finish` waits for them when the process ends.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, receive: Receive, work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
        """The result of a write; `ClientDisconnect` or `DeadlineExceeded` where it goes on alone."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

        async def result() -> T:
            return await asyncio.shield(task)

        return await until_disconnect(receive, result(), deadline)

    async def finish(self) -> None:
        """Wait until none is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)
