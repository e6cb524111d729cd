"""The process that counts may be killed anywhere, two may be at work at once, and their database may go away."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import make_url, select, update

from gateway.counting.counter import Counter
from gateway.counting.lease import COMMAND, SECONDS_TO_TAKE_OVER, Lease
from gateway.counting.triggers import watch_tables
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches, counted_periods, counting_lease
from gateway.errors import LeaseLost
from gateway.settings import DatabaseSettings
from tests.support.asking import statements
from tests.support.counted import Books
from tests.support.proxy import proxied
from tests.support.rows import OURS, START, Rows, attempt, batch, delivery, replace

HOUR = timedelta(hours=1)
ASKED = """{ callbackStats(filter: { createdAt: { gte: "2026-05-06T10:10:00Z" } }) {
  deliveries attempts overdue byStatus { statusCode deliveries } responseTimeMs { p50 p95 p99 max }
} }"""
ASKED = ASKED.replace("{ callbackStats", "query { callbackStats", 1)


def story(hours: int = 20) -> Rows:
    """Deliveries an hour apart, each with an attempt."""
    of = [batch(number, created_at=START + number * HOUR) for number in range(hours)]
    children = [delivery(each, number, status_code="delivered") for number, each in enumerate(of)]
    tries = [attempt(each, 1, response_time_ms=number * 7) for number, each in enumerate(children)]
    return {batches: of, deliveries: children, attempts: tries}


async def answer(books: Books) -> Any:
    """What is answered with stored periods."""
    return await books.answered(ASKED, START)


async def from_rows(database: Database) -> Any:
    """What is answered without them."""
    plain = Books(database)
    plain.statistics.stored = None
    return await plain.answered(ASKED, START)


async def change(database: Database, number: int = 5) -> None:
    """Something that a platform does to old rows."""
    async with database.transaction() as connection:
        values = {"status_code": f"odd {number}", "completed_at": None}
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.org_id == OURS, deliveries.c.status_code == "delivered")
            .values(values)
            .where(deliveries.c.id == story()[deliveries][number]["id"])
        )


class Killed(BaseException):
    """The process is gone."""


class Mortal(Database):
    """A database whose user is killed at its nth step: before or after a statement that reads, or a commit."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.left = 10**9
        self.before_writing: Callable[[], Awaitable[Any]] | None = None

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    async def run(self, *arguments: Any, **options: Any) -> Any:
        self.step()
        rows = await super().run(*arguments, **options)
        self.step()
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        if self.before_writing is not None:
            interfere, self.before_writing = self.before_writing, None
            await interfere()
        async with super().transaction() as connection:
            self.step()
            yield connection
            self.step()  # all is written, and nothing committed
        self.step()


@pytest.fixture
async def mortal(database: Database) -> AsyncIterator[Mortal]:
    """The same database, for the process that counts."""
    mortal = Mortal(database.url.render_as_string(hide_password=False))
    yield mortal
    await mortal.close()


def counter_of(database: Database, *, seconds: float = 0.0) -> Counter:
    """One that takes the lease over from whoever is gone."""
    times = itertools.count(step=SECONDS_TO_TAKE_OVER + seconds)
    return Counter(database, database, Lease(database, clock=lambda: next(times)), rows_of_a_step=4)


@pytest.mark.parametrize("watched", [True, False])
async def test_killed_at_any_step_it_leaves_nothing_wrong_and_the_next_goes_on(
    database: Database, mortal: Mortal, watched: bool
) -> None:
    await replace(database, story())
    if watched:
        await watch_tables(database)
    expected = await from_rows(database)
    books = Books(database, watched=watched)
    for lives in itertools.count(0, 3):
        counter = counter_of(mortal)
        mortal.left = 10**9
        await counter.lease.acquire()
        assert await counter.lease.acquire()
        mortal.left = lives
        try:
            await counter.complete(OURS)
        except Killed:
            assert await answer(books) == expected
            continue
        break
    mortal.left = 10**9
    assert lives > 30
    assert await answer(books) == expected


async def test_killed_while_it_counts_what_changed_no_answer_is_wrong(database: Database, mortal: Mortal) -> None:
    await replace(database, story())
    books = Books(database)
    await books.open()
    for lives in itertools.count(0, 2):
        mortal.left = 10**9
        counter = counter_of(mortal)
        await counter.lease.acquire()
        assert await counter.lease.acquire()
        await change(database, lives % 20)
        expected = await from_rows(database)
        assert await answer(books) == expected
        mortal.left = lives
        try:
            await counter.complete(OURS)
        except Killed:
            assert await answer(books) == expected
            continue
        break
    mortal.left = 10**9
    assert await answer(books) == expected


async def test_who_was_taken_over_writes_nothing_any_more(database: Database, mortal: Mortal) -> None:
    await replace(database, story())
    books = Books(database)
    await books.open()
    await books.counter.lease.release()
    first, second = counter_of(mortal), counter_of(database)
    assert await first.lease.acquire()
    await change(database)

    async def take_over() -> None:
        await second.lease.acquire()
        assert await second.lease.acquire()
        await change(database, 6)
        await second.complete(OURS)

    mortal.before_writing = take_over  # the first has counted by now, what is no longer so
    with pytest.raises(LeaseLost):
        await first.complete(OURS)
    assert await answer(books) == await from_rows(database)
    assert await second.lease.acquire()


async def test_two_at_once_never_both_count(database: Database) -> None:
    await replace(database, story())
    await watch_tables(database)
    books = Books(database)
    one, other = counter_of(database, seconds=-1), counter_of(database, seconds=-1)
    assert await one.lease.acquire()

    async def work(counter: Counter) -> None:
        for _ in range(40):
            try:
                if await counter.lease.acquire():
                    await counter.step(OURS)
            except LeaseLost:
                pass
            assert await answer(books) == expected

    expected = await from_rows(database)
    await asyncio.gather(work(one), work(other))
    assert await answer(books) == expected


async def test_what_nobody_expected_is_told_and_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await replace(database, story())
    monkeypatch.setattr("gateway.counting.counter.SECONDS_AFTER_FAILURE", 0)
    failures, is_counted = [ValueError("odd")], asyncio.Event()

    def advance(*_: Any) -> None:
        if failures:
            raise failures.pop()
        is_counted.set()

    task = asyncio.create_task(Counter(database, database, advance=advance).run())
    async with asyncio.timeout(60):
        await is_counted.wait()
    task.cancel()
    await asyncio.wait({task})
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["odd"]


async def test_the_lease_is_taken_over_when_its_beat_stops_and_not_before(database: Database) -> None:
    time = 0.0
    first, second = (Lease(database, clock=lambda: time) for _ in range(2))
    assert await first.acquire()
    assert not await second.acquire()
    time += SECONDS_TO_TAKE_OVER - 1
    async with database.transaction() as connection:
        await connection.execute(update(counting_lease).values(beat=counting_lease.c.beat + 1))
    assert not await second.acquire()
    time += SECONDS_TO_TAKE_OVER - 1
    assert not await second.acquire()
    time += 1
    assert await second.acquire()
    assert not await first.acquire()


async def test_a_command_outlasts_one_that_was_killed_and_no_other(database: Database) -> None:
    times = itertools.count()
    killed, at_work, next_one = (Lease(database, COMMAND, clock=lambda: next(times)) for _ in range(3))
    assert await killed.acquire()
    assert await at_work.outlast(from_servers=True, pause=0)
    waiting = asyncio.create_task(next_one.outlast(from_servers=True, pause=0))
    while not waiting.done():
        async with database.transaction() as connection:
            await connection.execute(update(counting_lease).values(beat=counting_lease.c.beat + 1))
    assert not await waiting


async def test_a_command_takes_the_lease_from_a_server_and_not_from_a_command(database: Database) -> None:
    server, command, other = Lease(database), Lease(database, COMMAND), Lease(database, COMMAND)
    assert await server.acquire()
    assert await command.acquire(from_servers=True)
    assert not await other.acquire(from_servers=True)
    await command.release()
    assert await server.acquire()


async def test_without_the_database_of_the_stored_periods_rows_answer_until_it_is_back(
    database: Database, postgres_url: str
) -> None:
    await replace(database, story())
    await watch_tables(database)
    target = make_url(postgres_url)
    async with proxied(target.host or "127.0.0.1", target.port or 5432) as proxy:
        url = target.set(port=proxy.port, host="127.0.0.1").render_as_string(hide_password=False)
        own = Database(url, DatabaseSettings(database_pool_size=2, database_wait_seconds=0.2))
        books = Books(database, own)
        await books.open()
        await _tamper(own)
        expected = await from_rows(database)
        seen = await answer(books)
        assert seen != expected  # what was stored is what answers
        proxy.stop()
        assert await answer(books) == expected
        await proxy.start()
        books.statistics.silent_until = 0.0  # the time is over for which it is not asked
        assert await answer(books) == seen
        proxy.hole()
        assert await answer(books) == expected
        proxy.heal()
        await own.close()


async def _tamper(database: Database) -> None:
    """Store counts that are wrong, to tell whose an answer is."""
    async with database.transaction() as connection:
        await connection.execute(update(counted_periods).values(deliveries=1000, attempts=1000))


async def test_of_what_is_stored_rows_are_read_for_the_edges_alone(database: Database) -> None:
    await replace(database, story())
    books = Books(database)
    await books.open()
    with statements(database) as seen:
        await answer(books)
    whole = [text for text in seen if "count(*)" in text and "created_at <=" not in text]
    assert whole == []


async def test_what_is_counted_is_found_in_few_periods(database: Database) -> None:
    await replace(database, story(200))
    books = Books(database)
    await books.open()
    async with database.connect() as connection:
        uncovered = select(counted_periods.c.period).where(counted_periods.c.covered.is_(False))
        assert len((await connection.execute(uncovered)).all()) < 30
