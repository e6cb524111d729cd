"""What runs beside the requests: again and again, and once more at the end."""

import asyncio

from gateway.http.background import periodically


async def test_jobs_run_regularly_and_once_more_at_the_end() -> None:
    ran: list[str] = []
    twice = asyncio.Event()

    async def job() -> None:
        ran.append("job")
        if len(ran) == 2:
            twice.set()

    async with periodically(job, interval=0.001):
        await asyncio.wait_for(twice.wait(), 10)
        during = len(ran)
    assert len(ran) == during + 1


async def test_jobs_run_at_the_end_where_there_was_no_time_before() -> None:
    ran = []

    async def job() -> None:
        ran.append("job")

    async with periodically(job):
        assert ran == []
    assert ran == ["job"]
