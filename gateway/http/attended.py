"""Work that goes on only while its client waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")

SECONDS_ALONE = 0.05  # before anybody looks whether the client is still there: most work is done by then


async def attended(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, for a request whose body is read or is of no interest.

    When the client hangs up first, the work is cancelled and `ClientDisconnect` raised.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    watch = _Watch(receive, task)
    timer = asyncio.get_running_loop().call_later(SECONDS_ALONE, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.gone:
            raise
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    """Waits for the client to hang up, and cancels a task then."""

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self.gone = False
        self._receive = receive
        self._task = task
        self._watching: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Wait from now on."""
        self._watching = asyncio.ensure_future(self._wait())

    def end(self) -> None:
        """Wait no longer."""
        if self._watching is not None:
            self._watching.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()
