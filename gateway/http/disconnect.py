"""Work that goes on only while its client waits for it, and no longer than its deadline."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gateway.deadline import Deadline
from gateway.errors import RequestFailed

T = TypeVar("T")

SECONDS_ALONE = 0.05  # before anybody looks whether the client is still there: most work is done by then


async def until_disconnect(
    receive: Receive,
    work: Coroutine[Any, Any, T],
    deadline: Deadline,
    exceeded: Callable[[], RequestFailed] | None = None,
) -> T:
    """The result of some work, for a request whose body is read or is of no interest.

    The work is cancelled when the client hangs up, which raises `ClientDisconnect`, and at the deadline, which raises
    what `exceeded` makes, else `DeadlineExceeded`. What is done without waiting for anything costs no timer.
    """
    begun = EagerCoroutine(work)
    if begun.done:
        return begun.result
    watch = _Watch(receive, deadline.left)
    try:
        return await begun
    except asyncio.CancelledError:
        watch.take_back()
        if watch.gone:
            raise ClientDisconnect from None
        late = deadline.exceeded() if exceeded is None else exceeded()
        raise late from None
    finally:
        watch.end()


async def disconnected(receive: Receive) -> None:
    """Wait until the client hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EagerCoroutine(Generic[T]):
    """A coroutine that has been run to where it first waits, or to its end."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self.done = False
        self.result: T
        try:
            self._waits_for = work.send(None)
        except StopIteration as end:
            self.done = True
            self.result = end.value

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        while True:
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - it is the work's to handle
                try:
                    waits_for = self._work.throw(thrown)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
            else:
                return (yield from self._work.__await__())


class _Watch:
    """Cancels the current task when its client hangs up, or its time is over."""

    def __init__(self, receive: Receive, seconds: float | None) -> None:
        self.gone = False
        self._receive = receive
        self._rang = False
        self._task = asyncio.current_task()
        self._watching: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(SECONDS_ALONE, self._begin)]
        if seconds is not None:
            self._timers.append(loop.call_later(seconds, self._cancel))

    def end(self) -> None:
        """Watch no longer."""
        for timer in self._timers:
            timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def take_back(self) -> None:
        """Take the cancellation back where it was ours; raise it again where somebody else cancelled."""
        if not self._rang or self._task is None or self._task.uncancel() > 0:
            raise asyncio.CancelledError

    def _begin(self) -> None:
        self._watching = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        await disconnected(self._receive)
        self.gone = True
        self._cancel()

    def _cancel(self) -> None:
        if self._task is not None and not self._rang:
            self._rang = True
            self._task.cancel()
