"""How long a request may take."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from gateway.errors import DeadlineExceeded

T = TypeVar("T")


class Deadline:
    """The instant at which the answer to a request is given up: `seconds` from now, or never where that is None."""

    __slots__ = ("_ends", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._ends = 0.0 if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """The seconds that are left, never less than none; None where there is no deadline."""
        return None if self.seconds is None else max(0.0, self._ends - time.monotonic())

    def postpone(self, seconds: float) -> None:
        """Give it so many seconds more: for what the client did, not the gateway."""
        self._ends += seconds

    def exceeded(self) -> DeadlineExceeded:
        """The error of an answer that took longer."""
        return DeadlineExceeded(
            f"The answer took more than {self.seconds or 0:g} seconds. Ask for less: fewer rows, a narrower filter.",
            self.seconds or 0,
        )

    async def run(self, work: Awaitable[T]) -> T:
        """The result of some work; `DeadlineExceeded` when its time is over.

        The work is cancelled then, and nobody waits for it to clean up, which may hang where a database does:
        `asyncio.timeout` would wait.
        """
        left = self.left
        if left is None:
            return await work
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        task.add_done_callback(_forget)
        task.cancel()
        raise self.exceeded()


def _forget(task: asyncio.Future[Any]) -> None:
    """Look at the task's failure, which asyncio would log otherwise."""
    if not task.cancelled():
        task.exception()


def deadline_of(scope: Any) -> Deadline:
    """The deadline that the outermost layer gave the request of an ASGI scope; none where it did not."""
    found: Deadline | None = scope.get("gateway.deadline")
    return Deadline(None) if found is None else found


def set_deadline(scope: Any, deadline: Deadline) -> None:
    """Let `deadline_of` find it."""
    scope["gateway.deadline"] = deadline
