"""The same statistics asked at once are computed once; what is asked later knows what was written before."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.counting import combining, rows, stored
from gateway.counting.answers import Statistics
from gateway.counting.asked import Remainder, TotalsOfRemainder
from gateway.counting.periods import cover, joined, level_of, period, stretch_of, without
from gateway.counting.shared import SharedComputations
from gateway.database.engine import Database
from gateway.reading.filters import CallbackDeliveryFilter, TextFilter
from gateway.reading.reader import Reader
from gateway.reading.stats import AttemptCount, DeliveriesByHost, ResponseTimeCounts, TotalsOf
from gateway.reading.visibility import Visibility
from tests.support.asking import statements
from tests.support.counted import Books
from tests.support.rows import OURS, START, THEIRS, history, store
from tests.support.tenancy import assert_names_organization, builders


async def test_statistics_asked_at_once_by_many_requests_run_once(database: Database) -> None:
    await store(database, history(2))
    statistics = Statistics(database)
    readers = [Reader(database, OURS, START, shortcut=statistics) for _ in range(20)]
    with statements(database) as seen:
        found = await asyncio.gather(*(reader.load(TotalsOf(None)) for reader in readers))
    assert len(seen) == 1
    assert {answer.counts.deliveries for answer in found} == {4}


async def test_organizations_and_questions_are_told_apart(database: Database) -> None:
    await store(database, history(2))
    statistics = Statistics(database)
    ours, theirs = (Reader(database, of, START, shortcut=statistics) for of in (OURS, THEIRS))
    asked = (
        ours.load(TotalsOf(None)),
        theirs.load(TotalsOf(None)),
        ours.load(AttemptCount(None)),
    )
    mine, other, tries = await asyncio.gather(*asked)
    assert (mine.counts.deliveries, other.counts.deliveries, tries) == (4, 0, 12)


async def test_who_comes_while_it_is_computed_gets_the_next_one_and_not_this() -> None:
    flights, begun, gate = SharedComputations(), asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    async def compute(_reader: Reader) -> int:
        runs.append(len(runs))
        number = runs[-1]
        begun.set()
        await gate.wait()
        return number

    reader: Any = Reader.__new__(Reader)
    reader.__init__(None, OURS, START)
    first = asyncio.ensure_future(flights.join("key", reader, compute))
    await begun.wait()
    later = [asyncio.ensure_future(flights.join("key", reader, compute)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 5
    assert runs == [0, 1]


async def test_who_leaves_does_not_end_it_for_the_others_and_the_last_one_does() -> None:
    flights, gate, ended = SharedComputations(), asyncio.Event(), asyncio.Event()

    async def compute(_reader: Reader) -> str:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            ended.set()
            raise
        return "done"

    reader: Any = Reader.__new__(Reader)
    reader.__init__(None, OURS, START)
    leaves, stays = (asyncio.ensure_future(flights.join("key", reader, compute)) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    gate.set()
    assert await stays == "done"
    gate.clear()
    alone = asyncio.ensure_future(flights.join("key", reader, compute))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    alone.cancel()
    await ended.wait()


FAILED = CallbackDeliveryFilter(status_code=TextFilter(eq="failed"))
AS_OF = "query {{ callbackStats{filter} {{ asOf deliveries }} }}"


async def test_answers_tell_since_when_all_is_known(database: Database) -> None:
    await store(database, history(2))
    now = datetime.now(UTC)
    books = Books(database, watched=False)
    await books.open()
    told = datetime.fromisoformat((await books.answered(AS_OF.format(filter=""), now + timedelta(hours=1)))["asOf"])
    assert abs(told - now) < timedelta(minutes=1)
    by_rows = AS_OF.format(filter="(filter: { attemptCount: { gte: 0 } })")
    assert datetime.fromisoformat((await books.answered(by_rows, now))["asOf"]) == now
    watched = Books(database)
    await watched.open()
    await watched.counter.verify(OURS)
    assert datetime.fromisoformat((await watched.answered(AS_OF.format(filter=""), now))["asOf"]) == now


BUILDERS = {
    stored: [
        stored.books_of(OURS),
        stored.marks_of(OURS),
        stored.marked_before(OURS),
        stored.stored_periods(OURS, "deliveries"),
        stored.own_row(OURS),
        stored.uncovered_periods(OURS),
        stored.first_quarter(OURS),
    ],
    rows: [
        rows.cells_of_deliveries(OURS, START, START),
        rows.cells_of_attempts(OURS, START, START),
        rows.next_delivery(OURS, START),
    ],
}


@pytest.mark.parametrize("module", BUILDERS, ids=lambda module: module.__name__)
def test_a_statement_names_the_organization_for_each_of_its_tables(module: Any) -> None:
    assert len(builders(module)) == len(BUILDERS[module]) + (module is stored)  # `is_same`
    for statement in BUILDERS[module]:
        assert_names_organization(statement)


def created_in(spans: int, where: CallbackDeliveryFilter | None = None) -> Remainder:
    """The filter of what is read from rows, as a shape of so many spans."""
    return Remainder(where, (START, START), ((START, START),) * spans).parameterised(Visibility(OURS, START))[0]


REST = {
    "totals": TotalsOfRemainder(created_in(4)),
    "totals of failed ones": TotalsOfRemainder(created_in(1, FAILED)),
    "attempts": AttemptCount(cast("Any", created_in(4))),
    "hosts": DeliveriesByHost(cast("Any", created_in(2, FAILED)), 10),
    "response times": ResponseTimeCounts(cast("Any", created_in(2))),
}


@pytest.mark.parametrize("name", REST)
async def test_the_rest_is_found_by_its_time_and_not_among_all_rows(sqlite_template: Path, name: str) -> None:
    database = Database(f"sqlite+aiosqlite:///{sqlite_template}")
    prepared = database.prepare(REST[name].statement(Visibility(OURS, START), []))
    with closing(sqlite3.connect(sqlite_template)) as file:
        plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {prepared.text}", ["1"] * prepared.text.count("?"))]
    await database.close()
    assert not [step for step in plan if step.endswith("(org_id=?)")]
    if name.startswith("totals"):
        assert [step for step in plan if "_org_inflight" in step]
    assert [step for step in plan if "created_at>?" in step]


def test_any_stretch_is_a_few_periods_that_make_it_up() -> None:
    whole = [period(4, 3)]
    start, end = stretch_of(whole[0])
    wanted = without(start + 5, end - 11, [(start + 100, start + 101)])
    parts = sorted(stretch_of(part) for part in cover(whole, wanted))
    made = [number for low, high in parts for number in range(low, high)]
    assert made == [number for low, high in wanted for number in range(low, high)]
    assert len(parts) < 80
    assert max(map(level_of, cover(whole, wanted))) == 3


def test_many_quarters_are_few_stretches_that_hold_them() -> None:
    numbers = [1, 2, 3, 10, 11, 50, 52, 90]
    assert joined(numbers, 10) == [(1, 4), (10, 12), (50, 51), (52, 53), (90, 91)]
    assert joined(numbers, 3) == [(1, 12), (50, 53), (90, 91)]
    assert joined([], 3) == []


def test_answers_knows_every_statistic() -> None:
    assert {each.__name__ for each in combining.RECIPES} >= {"TotalsOf", "ResponseTimesOf", "DeliveriesBySlot"}
