"""Statistics with stored periods are what plain Python computes from the rows, whatever is written meanwhile."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.required import COUNTED_TABLES
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.reading.filters import CallbackDeliveryFilter, TextFilter, TimeFilter
from tests.reading.test_stats import CHANGES, EVERYTHING, computed
from tests.support.counted import Books, write
from tests.support.rows import OURS, Rows, attempt, delivery, replace
from tests.support.strategies import (
    ANSWERS,
    EVENTS,
    HOSTS,
    MILLISECONDS,
    REASONS,
    STATUSES,
    as_variable,
    delivery_filters,
    histories,
    moments,
)


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Database]:
    """A database of the gateway's own."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'own.db'}")
    await migrate(database)
    yield database
    await database.close()


KINDS = ("add", "change", "try", "amend", "delete", "forget")


@st.composite
def _changes(draw: st.DrawFn, rows: Rows, times: Any, number: int, kinds: Sequence[str]) -> Rows:
    """The rows after one of the things that a platform does to them."""
    after = {table: [dict(row) for row in of] for table, of in rows.items()}
    time, maybe = st.sampled_from(times), st.none() | st.sampled_from(times)
    ours = after[deliveries]
    kind = draw(st.sampled_from(kinds))
    if kind == "add" or not ours:
        made = delivery(
            draw(st.sampled_from(after[batches])),
            100 + number,
            created_at=draw(time),
            completed_at=draw(time),
            status_code=draw(st.sampled_from(STATUSES)),
            failure_reason_code=draw(st.sampled_from(REASONS)),
            event=draw(st.sampled_from(EVENTS)),
            callback_host=draw(st.sampled_from(HOSTS)),
            callback_url=None,
            is_automatic=True,
            attempt_count=2,
            next_attempt_at=None,
            updated_at=PRESENT + number * MINUTE,
        )
        ours.append(made)
        after[attempts] += [
            attempt(made, n, response_time_ms=draw(st.sampled_from(MILLISECONDS)), status_code=200, error_message=None)
            for n in (1, 2)
        ]
        return after
    of = draw(st.sampled_from(ours))
    tries = [row for row in after[attempts] if row["delivery_id"] == of["id"]]
    of["updated_at"] = PRESENT + number * MINUTE
    if kind == "change" or (kind in {"amend", "forget"} and not tries):
        waits = any(row["batch_id"] == of["batch_id"] and row["completed_at"] is None for row in ours if row is not of)
        of |= {
            "status_code": draw(st.sampled_from(STATUSES)),
            "failure_reason_code": draw(st.sampled_from(REASONS)),
            "event": draw(st.sampled_from(EVENTS)),
            "completed_at": draw(time if waits else maybe),
            "next_attempt_at": draw(maybe),
        }
    elif kind == "try":
        code = draw(st.sampled_from(ANSWERS))
        made = attempt(of, 50 + number, response_time_ms=7, status_code=code, error_message=None)
        after[attempts].append(made)
    elif kind == "amend":
        one = draw(st.sampled_from(tries))
        one |= {"status_code": draw(st.sampled_from(ANSWERS)), "response_time_ms": draw(st.sampled_from(MILLISECONDS))}
    elif kind == "forget":
        one = draw(st.sampled_from(tries))
        after[attempts] = [row for row in after[attempts] if row["id"] != one["id"]]
    else:
        after[deliveries] = [row for row in ours if row is not of]
        after[attempts] = [row for row in after[attempts] if row["delivery_id"] != of["id"]]
    return after


def _countable(times: Any) -> st.SearchStrategy[CallbackDeliveryFilter | None]:
    """Filters that stored periods answer, most of them; and any other."""
    text = st.sampled_from(STATUSES[:3]).map(lambda value: TextFilter(not_in=(value,)))
    span = st.tuples(st.sampled_from(times), st.sampled_from(times)).map(
        lambda pair: TimeFilter(gte=min(pair), lt=max(pair))
    )
    plain = st.builds(
        CallbackDeliveryFilter,
        created_at=st.none() | span,
        status_code=st.none() | text,
        callback_host=st.none()
        | st.sampled_from(HOSTS).map(lambda host: TextFilter(eq=host, is_null=None if host else True)),
        in_flight=st.none() | st.booleans(),
    )
    return st.none() | span.map(lambda of: CallbackDeliveryFilter(created_at=of)) | plain | delivery_filters(times)


PRESENT = datetime(2026, 1, 1, tzinfo=UTC)  # another one with each change: it is written as now
MINUTE = timedelta(minutes=1)
SHORT = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LONG = settings(SHORT, max_examples=60)


@dataclass(frozen=True)
class Question:
    """What is asked."""

    where: CallbackDeliveryFilter | None
    now: datetime
    bucket: str
    hosts: int


@dataclass(frozen=True)
class Scene:
    """The rows after a change; what is asked before it is committed, after it, and after more steps of counting."""

    rows: Rows
    late: bool
    steps: tuple[int, int]
    questions: tuple[Question, Question, Question]


@dataclass(frozen=True)
class Story:
    """Rows, and what happens to them."""

    zone: str
    rows: Rows
    first: Question
    scenes: tuple[Scene, ...]


@st.composite
def stories(draw: st.DrawFn, kinds: Sequence[str] = KINDS) -> Story:
    """Stories that happen near a change of a zone's clock."""
    zone, base = draw(st.sampled_from(CHANGES))
    times = moments(base)
    question = st.builds(
        Question, _countable(times), st.sampled_from(times), st.sampled_from(("HOUR", "DAY")), st.sampled_from((100, 2))
    )
    first = rows = draw(histories(times))
    scenes = []
    for number in range(draw(st.integers(1, 4))):
        rows = draw(_changes(rows, times, number, kinds))
        steps = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
        scenes.append(Scene(rows, draw(st.booleans()), steps, draw(st.tuples(question, question, question))))
    return Story(zone, first, draw(question), tuple(scenes))


async def _holds(books: Books, rows: Rows, zone: str, asked: Question) -> None:
    answer = await books.answered(
        EVERYTHING,
        asked.now,
        filter=None if asked.where is None else as_variable(asked.where),
        bucket=asked.bucket,
        zone=zone,
        hosts=asked.hosts,
    )
    known = asked.where or CallbackDeliveryFilter()
    assert answer == computed(rows, known, asked.now, asked.bucket, zone, asked.hosts)


async def _over_watched_tables(database: Database, _elsewhere: Database, story: Story) -> None:
    await replace(database, story.rows)
    books = Books(database)
    await books.open()
    rows = story.rows
    await _holds(books, rows, story.zone, story.first)
    for scene in story.scenes:
        before, after, then = scene.questions
        async with database.transaction() as connection:
            await write(connection, rows, scene.rows)
            if scene.late and database.dialect == "postgresql":
                for _ in range(scene.steps[0]):
                    await books.counter.step(OURS)
                await _holds(books, rows, story.zone, before)
        rows = scene.rows
        await _holds(books, rows, story.zone, after)
        for _ in range(scene.steps[1]):
            await books.counter.step(OURS)
        await _holds(books, rows, story.zone, then)
    await books.counter.complete(OURS)
    await _holds(books, rows, story.zone, story.first)


async def _with_stored_periods_elsewhere(database: Database, elsewhere: Database, story: Story) -> None:
    await replace(database, story.rows)
    await _emptied(elsewhere)
    books = Books(database, elsewhere)
    await books.open()
    rows = story.rows
    await _holds(books, rows, story.zone, story.first)
    for scene in story.scenes:
        async with database.transaction() as connection:
            await write(connection, rows, scene.rows)
        rows = scene.rows
        await _holds(books, rows, story.zone, scene.questions[0])
        for _ in range(scene.steps[1]):
            await books.counter.step(OURS)
        await _holds(books, rows, story.zone, scene.questions[1])


async def _over_tables_that_nothing_watches(database: Database, elsewhere: Database, story: Story) -> None:
    """What is deleted is found when all is counted again; all else at once."""
    await replace(database, story.rows)
    await _emptied(elsewhere)
    books = Books(database, elsewhere, watched=False)
    await books.open()
    rows = story.rows
    await _holds(books, rows, story.zone, story.first)
    for scene in story.scenes:
        before, after, then = scene.questions
        async with database.transaction() as connection:
            await write(connection, rows, scene.rows)
            if scene.late and database.dialect == "postgresql":
                await books.counter.complete(OURS)
                await _holds(books, rows, story.zone, before)
        gone = len(scene.rows[deliveries]) < len(rows[deliveries]) or len(scene.rows[attempts]) < len(rows[attempts])
        rows = scene.rows
        if gone:
            await books.counter.verify(OURS)
        await _holds(books, rows, story.zone, after)
        for _ in range(scene.steps[1]):
            await books.counter.step(OURS)
        await _holds(books, rows, story.zone, then)
    books.counter.now = lambda: datetime.now(UTC) + 5 * MINUTE
    await books.counter.complete(OURS)
    await _holds(books, rows, story.zone, story.first)


TABLES = {
    "watched": _over_watched_tables,
    "watched, periods elsewhere": _with_stored_periods_elsewhere,
    "not watched": _over_tables_that_nothing_watches,
}


@pytest.mark.parametrize("tables", TABLES)
@given(story=stories())
@SHORT
async def test_whatever_is_written_answers_are_what_plain_python_computes(
    database: Database, elsewhere: Database, tables: str, story: Story
) -> None:
    await TABLES[tables](database, elsewhere, story)


@pytest.mark.thorough
@pytest.mark.parametrize("tables", TABLES)
@given(story=stories())
@LONG
async def test_whatever_is_written_a_long_search_finds_no_other_answer(
    database: Database, elsewhere: Database, tables: str, story: Story
) -> None:
    await TABLES[tables](database, elsewhere, story)


async def _emptied(database: Database) -> None:
    async with database.transaction() as connection:
        for table in COUNTED_TABLES:
            await connection.execute(delete(table))
