"""What a serving process does beside its requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

Job = Callable[[], Awaitable[None]]

INTERVAL = 60.0  # seconds
SECONDS_AT_THE_END = 2.0  # for each job: the process ends, even where the database is silent


@asynccontextmanager
async def periodically(*jobs: Job, interval: float = INTERVAL) -> AsyncIterator[None]:
    """Run the jobs every minute and once more at the end. They must not raise."""
    task = asyncio.create_task(_repeat(jobs, interval))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for job in jobs:
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_AT_THE_END):
                    await job()


@asynccontextmanager
async def beside(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let a job that never ends by itself run meanwhile."""
    task = asyncio.create_task(job)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(jobs: tuple[Job, ...], interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        for job in jobs:
            await job()
