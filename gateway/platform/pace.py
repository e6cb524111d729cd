"""How fast, and how many at a time, the platform is asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Pace:
    """Lets `at_once` go on side by side, and begins `rate` a second, evenly; 0 is any number."""

    def __init__(
        self,
        rate: float,
        at_once: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.at_once = at_once
        self._apart = 1 / rate if rate else 0.0
        self._clock = clock
        self._sleep = sleep
        self._free = asyncio.Semaphore(at_once)
        self._next = clock()

    @asynccontextmanager
    async def turn(self, may_begin: Callable[[], bool] = lambda: True) -> AsyncIterator[bool]:
        """Wait for a turn; whether it may begin, which is asked before and after the wait.

        What may not begin takes no turn from others.
        """
        async with self._free:
            if not may_begin():
                yield False
                return
            now = self._clock()
            begins = max(now, self._next)
            self._next = begins + self._apart
            if begins > now:
                await self._sleep(begins - now)
            yield may_begin()
