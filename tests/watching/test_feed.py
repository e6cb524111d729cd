"""What a feed finds, whom it tells, and what that costs: on both databases, without HTTP."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batches
from gateway.errors import BadCursor, CursorTooOld, PermissionDenied, SubscriberTooSlow, Unavailable
from gateway.reading.filters import CallbackDeliveryFilter, IdFilter, TextFilter, UrlFilter
from gateway.reading.visibility import Visibility
from gateway.settings import StreamSettings
from gateway.watching import feed
from gateway.watching.change import Change, ChangeKind
from gateway.watching.cursors import MOST_KNOWN, Cursor, binding_of, digests, encode, within
from gateway.watching.feed import Watcher
from gateway.watching.versions import Version
from gateway.watching.watch import Watch, Watching
from tests.support.asking import statements
from tests.support.live import SECONDS, change, create, now
from tests.support.rows import OURS, THEIRS, batch, delivery, identifier, store

pytestmark = pytest.mark.anyio

SCOPE = Visibility(OURS, datetime(2026, 1, 1, tzinfo=UTC))
FAILED = CallbackDeliveryFilter(status_code=TextFilter(eq="failed"))
QUICK = StreamSettings(watch_seconds=0.02, watch_window_seconds=10)


@pytest.fixture
async def watching(database: Database) -> Watching:
    """Who watches a database with one delivery that is old."""
    of = batch(1)
    await store(database, {batches: [of], batch_callback_deliveries: [delivery(of, 1)]})
    return Watching(database, QUICK)


async def watch(watching: Watching, where: CallbackDeliveryFilter | None = None, after: str | None = None) -> Watch:
    return await watching.watch(SCOPE, batch_callback_deliveries, where, after)


async def take(watch: Watch, count: int = 1) -> list[Change]:
    async with asyncio.timeout(SECONDS):
        return [await anext(watch) for _ in range(count)]


def ids(changes: list[Change]) -> list[str]:
    return [each.row["id"] for each in changes]


async def test_what_was_there_is_not_told(watching: Watching, database: Database) -> None:
    before = await create(database, OURS, 2)
    told = await watch(watching)
    row = await create(database, OURS, 3)
    assert ids(await take(told)) == [row["id"]] != [before["id"]]
    await told.aclose()


async def test_a_delivery_without_a_time_of_its_change_is_told_by_its_creation(
    watching: Watching, database: Database
) -> None:
    told = await watch(watching)
    row = await create(database, OURS, 2, updated_at=None)
    (new,) = await take(told)
    assert (ids([new]), new.change, new.changed_at) == ([row["id"]], ChangeKind.CREATED, row["created_at"])
    await change(database, row, status_code="retrying", attempt_count=1)
    (changed,) = await take(told)
    assert (ids([changed]), changed.change) == ([row["id"]], ChangeKind.CHANGED)
    await told.aclose()


@pytest.mark.parametrize("seconds", [1, 9])
async def test_who_commits_late_within_the_window_is_heard_once(
    watching: Watching, database: Database, seconds: int
) -> None:
    told = await watch(watching)
    new = await create(database, OURS, 2)
    await take(told)
    late = now() - timedelta(seconds=seconds)
    old = await create(database, OURS, 3, created_at=late, updated_at=late)
    (heard,) = await take(told)
    assert (ids([heard]), heard.changed_at) == ([old["id"]], late)
    after = await watch(watching, after=heard.cursor)
    last = await create(database, OURS, 4)
    assert ids(await take(told)) == ids(await take(after)) == [last["id"]] != [new["id"]]
    await told.aclose()
    await after.aclose()


async def test_what_commits_later_than_the_window_is_found_all_the_same(watching: Watching, database: Database) -> None:
    told = await watch(watching)
    await create(database, OURS, 2)
    await take(told)
    late = now() - timedelta(seconds=60)
    old = await create(database, OURS, 3, created_at=late, updated_at=late)
    (heard,) = await take(told)
    assert (ids([heard]), heard.changed_at) == ([old["id"]], late)
    await told.aclose()


async def test_a_time_in_the_future_does_not_hide_what_comes_after_it(watching: Watching, database: Database) -> None:
    told = await watch(watching)
    ahead = now() + timedelta(days=400)
    future = await create(database, OURS, 2, created_at=ahead, updated_at=ahead)
    assert ids(await take(told)) == [future["id"]]
    row = await create(database, OURS, 3)
    (heard,) = await take(told)
    assert ids([heard]) == [row["id"]]
    resumed = await watch(watching, after=heard.cursor)
    last = await create(database, OURS, 4)
    assert ids(await take(resumed)) == [last["id"]]
    await told.aclose()
    await resumed.aclose()


async def test_a_cursor_goes_on_between_changes_that_were_found_together(
    watching: Watching, database: Database
) -> None:
    told = await watch(watching)
    at = now()
    rows = [await create(database, OURS, number, created_at=at, updated_at=at) for number in range(2, 8)]
    heard = await take(told, len(rows))
    assert ids(heard) == sorted(ids(heard))
    for number, place in enumerate(heard):
        resumed = await watch(watching, after=place.cursor)
        again = await take(resumed, len(rows) - number - 1)
        assert ids(again) == ids(heard)[number + 1 :]
        for inner, each in enumerate(again):
            within_ = await watch(watching, after=each.cursor)
            assert ids(await take(within_, len(again) - inner - 1)) == ids(again)[inner + 1 :]
            await within_.aclose()
        await resumed.aclose()
    await told.aclose()


async def test_a_cursor_goes_on_under_another_filter(watching: Watching, database: Database) -> None:
    told = await watch(watching, CallbackDeliveryFilter(status_code=TextFilter(eq="pending")))
    await create(database, OURS, 2, status_code="pending")
    (first,) = await take(told)
    await told.aclose()
    await create(database, OURS, 3, status_code="pending")
    rows = [await create(database, OURS, number, status_code="failed") for number in (4, 5)]
    resumed = await watch(watching, FAILED, first.cursor)
    assert ids(await take(resumed, 2)) == [row["id"] for row in rows]
    await resumed.aclose()


async def test_watchers_share_what_is_read(watching: Watching, database: Database) -> None:
    filters = [CallbackDeliveryFilter(callback_host=TextFilter(eq=f"host{n}.example")) for n in range(20)]
    one = CallbackDeliveryFilter(id=IdFilter(eq=identifier(0xDE, 2)))
    watches = [await watch(watching, where) for where in (*filters, *filters, None, one, FAILED)]
    key = (OURS, batch_callback_deliveries)
    (feed_,) = [found for of, found in watching._feeds.items() if of == key]
    assert feed_._looking is not None
    feed_._looking.cancel()  # from here on there is a look when the test wants one
    row = await create(database, OURS, 2, callback_host="host7.example")
    with statements(database) as seen:
        await feed_._look(wide=False)
    assert len(seen) == 2
    kept = [bool(each._watcher.waiting) for each in watches]
    assert kept == [n % 20 == 7 for n in range(40)] + [True, True, False]
    with statements(database) as seen:
        await feed_._look(wide=False)
    assert len(seen) == 1
    assert ids(list(watches[7]._watcher.waiting)) == [row["id"]]
    for each in watches:
        await each.aclose()


async def test_nobody_looks_where_nobody_watches(watching: Watching, database: Database) -> None:
    first, second = await watch(watching), await watch(watching, FAILED)
    assert len(watching) == 1
    await first.aclose()
    assert len(watching) == 1
    await second.aclose()
    assert len(watching) == 0
    tasks = [task for task in asyncio.all_tasks() if "_go_on" in repr(task.get_coro())]
    await asyncio.gather(*tasks, return_exceptions=True)
    with statements(database) as seen:
        await create(database, OURS, 2)
    assert not [text for text in seen if text.startswith("SELECT")]


async def test_another_organization_hears_nothing(watching: Watching, database: Database) -> None:
    await store(database, {batches: [batch(2, THEIRS)]})
    told = await watch(watching)
    await create(database, THEIRS, 2)
    row = await create(database, OURS, 3)
    assert ids(await take(told)) == [row["id"]]
    await told.aclose()


async def test_a_row_that_is_gone_before_it_is_told_is_told_by_nobody(watching: Watching, database: Database) -> None:
    told = await watch(watching)
    (feed_,) = watching._feeds.values()
    rows, table = feed_._rows, batch_callback_deliveries
    was_gone = asyncio.Event()

    async def gone(*arguments: Any) -> Any:
        async with database.transaction() as connection:
            await connection.execute(delete(table).where(table.c.id == identifier(0xDE, 2)))
        was_gone.set()
        return await rows(*arguments)

    feed_._rows = gone  # type: ignore[assignment,method-assign]
    await create(database, OURS, 2)
    await asyncio.wait_for(was_gone.wait(), SECONDS)
    feed_._rows = rows  # type: ignore[method-assign]
    last = await create(database, OURS, 3)
    assert ids(await take(told)) == [last["id"]]
    await told.aclose()


async def test_a_filter_that_a_viewer_may_not_use_is_refused_at_once(watching: Watching) -> None:
    with pytest.raises(PermissionDenied):
        await watch(watching, CallbackDeliveryFilter(callback_url=UrlFilter(starts_with="https://hooks.example/a")))
    assert len(watching) == 0


async def test_a_cursor_behind_which_too_much_has_changed_is_too_old(
    watching: Watching, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CATCH_UP", 3)
    told = await watch(watching)
    await create(database, OURS, 2)
    (first,) = await take(told)
    for number in range(3, 8):
        await create(database, OURS, number)
    with pytest.raises(CursorTooOld):
        await watch(watching, after=first.cursor)
    await told.aclose()


async def test_who_takes_less_than_comes_is_told_so_and_no_more() -> None:
    watcher = Watcher(backlog=2)
    many: Any = [object()] * 3
    watcher.tell(many)  # together they are no backlog yet
    assert [await watcher.take() for _ in many] == many
    watcher.tell(many)
    watcher.tell(many)
    watcher.tell(many)
    assert not watcher.waiting
    with pytest.raises(SubscriberTooSlow):
        await watcher.take()


async def test_a_database_that_does_not_answer_is_a_pause(
    watching: Watching, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = await watch(watching)
    answers: Callable[..., Coroutine[Any, Any, Any]] = database.run
    asked = asyncio.Event()

    async def silence(*_: Any, **__: Any) -> Any:
        asked.set()
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(database, "run", silence)
    row = await create(database, OURS, 2)
    await asyncio.wait_for(asked.wait(), SECONDS)
    monkeypatch.setattr(database, "run", answers)
    assert ids(await take(told)) == [row["id"]]
    assert [record.message for record in caplog.records if "watching" in record.message] == [
        "watching pauses: The database does not answer."
    ]
    await told.aclose()


async def test_what_a_row_says_tells_what_happened(watching: Watching, database: Database) -> None:
    told = await watch(watching)
    row = await create(database, OURS, 2)
    await change(database, row, status_code="pending", attempt_count=1)
    at = now()
    await change(database, row, completed_at=at, updated_at=at)
    await change(database, row, failure_detail="x", updated_at=at + timedelta(seconds=5))
    seen = [(await take(told))[0]]
    while seen[-1].changed_at < at + timedelta(seconds=5):
        seen += await take(told)
    assert seen[-1].change is ChangeKind.CHANGED
    assert len({each.changed_at for each in seen}) == len(seen)
    await told.aclose()


async def test_a_change_without_a_new_time_is_none(watching: Watching, database: Database) -> None:
    told = await watch(watching)
    row = await create(database, OURS, 2)
    await take(told)
    table = batch_callback_deliveries
    async with database.transaction() as connection:
        await connection.execute(update(table).where(table.c.id == row["id"]).values(status_code="x"))
    last = await create(database, OURS, 3)
    assert ids(await take(told)) == [last["id"]]
    await told.aclose()


def test_a_cursor_holds_what_it_was_made_of() -> None:
    binding, floor = binding_of(OURS, "x"), datetime(2026, 5, 6, 10, 0, 0, 7, tzinfo=UTC)
    versions = [Version.of(floor + timedelta(seconds=n), identifier(1, n)) for n in range(3)]
    cursor = Cursor.decode(encode(binding, floor, digests(versions)), binding)
    assert cursor == Cursor(floor, frozenset(version.digest for version in versions))
    with pytest.raises(BadCursor, match="another"):
        Cursor.decode(encode(binding, floor, b""), binding_of(THEIRS, "x"))


def test_a_cursor_that_would_name_too_much_begins_later() -> None:
    floor = datetime(2026, 5, 6, tzinfo=UTC)
    versions = [Version.of(floor + timedelta(seconds=n), identifier(1, n)) for n in range(MOST_KNOWN + 10)]
    later, kept = within(versions, floor)
    assert (later, len(kept)) == (floor + timedelta(seconds=10), MOST_KNOWN)
    assert within(versions[:5], floor) == (floor, versions[:5])
