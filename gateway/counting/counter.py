"""The process that counts: it counts what is over, counts again what changed, and all again after a while.

It takes small steps. A step reads rows, a few thousand, without holding anything, then writes what it has counted in
one short transaction in the database of the stored periods. After each it rests `REST` times as long, so that it takes
a tenth of the time of one connection. Whenever it is killed, what it has written is whole, and the next one goes on
there.
"""

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from gateway.counting.lease import Lease
from gateway.counting.periods import (
    FIRST_QUARTER,
    TOP,
    children_of,
    joined,
    level_of,
    number_at,
    parent_of,
    start_of,
    stretch_of,
)
from gateway.counting.rows import Rows
from gateway.counting.stored import COUNT_COLUMNS, Mark, PeriodWriter, Stored, is_same
from gateway.counting.tally import STORED_COLUMNS, sum_of, to_row
from gateway.counting.triggers import is_watched
from gateway.database.engine import REFUSED, Database
from gateway.database.types import AnyRow
from gateway.errors import ClientError, GatewayError, LeaseLost, Uncountable
from gateway.reading.changes import SlotsChangedSince
from gateway.reading.reader import Reader

logger = logging.getLogger(__name__)

SECONDS_LATE = 120  # from the time that a transaction writes down as that of its change, to its commit
SECONDS_OPEN = 10  # after the end of a quarter, until it is counted, where every change is noticed
SECONDS_BETWEEN_PASSES = {False: 600.0, True: 86_400.0}  # over all that is counted; where it is watched, to be sure
SECONDS_BETWEEN_ROUNDS = 5.0
SECONDS_AFTER_FAILURE = 10.0
SECONDS_TO_RELEASE = 2.0
SECONDS_TO_SETTLE = (0, 0, 0, 30, 120, 600, 3600, 3600)  # without a change, until a period of that level is built
SECONDS_BETWEEN_READINGS = 5.0
ROWS_OF_A_STEP = 2_000
REST = 9.0
LARGE = 100_000  # bytes to add up: a thread does it
STRETCHES = 8  # of changed quarters that are counted in one step
RETRIED_FAILURES = (*REFUSED, SQLAlchemyError, OSError, ClientError)

Advance = Callable[[str, int, int, int, int], None]


class Counter:
    """Counts the rows of a database into stored periods, while it has the lease.

    `rows_of_a_step` is about how many groups of rows one step reads. `advance` is told of what is counted the first
    time: the organization, the quarters that are done, the last quarter of all, and how many deliveries it found.
    """

    def __init__(
        self,
        rows: Database,
        stored: Database,
        lease: Lease | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rows_of_a_step: int = ROWS_OF_A_STEP,
        advance: Advance = lambda *_: None,
    ) -> None:
        self.rows = Rows(rows)
        self.stored = Stored(stored)
        self.marks = self.stored if stored is rows else Stored(rows)
        self.lease = lease or Lease(stored)
        self.now = now
        self.rows_of_a_step = rows_of_a_step
        self.advance = advance
        self.watched = False
        self._size = 8  # quarters of the next step
        self.unable: dict[str, str] = {}  # why organizations cannot be counted
        self._proving: set[str] = set()  # organizations that are watched, and counted again before that is relied on

    async def run(self) -> None:
        """Count, without end, as long as the task lives. What fails is tried again."""
        while True:
            try:
                busy = await self.lease.acquire() and await self.round()
                await asyncio.sleep(0 if busy else SECONDS_BETWEEN_ROUNDS)
            except LeaseLost:
                await asyncio.sleep(SECONDS_BETWEEN_ROUNDS)
            except RETRIED_FAILURES as failure:
                logger.warning("counting is interrupted: %s", _in_a_line(failure))
                await asyncio.sleep(SECONDS_AFTER_FAILURE)
            except Exception:  # nobody looks at this task: without a line of its own, counting would just have ended
                logger.exception("counting fails, and is tried again")
                await asyncio.sleep(SECONDS_AFTER_FAILURE)

    async def stop(self) -> None:
        """Leave the lease to the next one."""
        with suppress(*RETRIED_FAILURES):
            await self.lease.release()

    async def round(self) -> bool:
        """A step for each organization, with rests between; whether any had something to do."""
        busy = False
        self.watched = await is_watched(self.rows.database)
        await self._beat()
        beaten = time.monotonic()
        for organization in await self.rows.organizations():
            started = time.monotonic()
            if started - beaten > SECONDS_BETWEEN_READINGS:
                beaten = started
                await self._beat()
            busy = await self.step(organization) or busy
            await asyncio.sleep((time.monotonic() - started) * REST)
        return busy

    async def _beat(self) -> None:
        """Say that this process is there."""
        async with self.stored.writing(self.lease.holder):
            pass

    async def complete(self, organization: str) -> None:
        """Take steps until there is nothing to do for an organization but to count all again."""
        self.watched = await is_watched(self.rows.database)
        while await self.step(organization, again=False):
            pass

    async def verify(self, organization: str) -> None:
        """Count all of an organization again, and mend what is not as it was counted."""
        await self.complete(organization)
        await self._begin_to_verify(organization)
        if self.watched:
            self._proving.add(organization)
        while (row := await self.stored.organization(organization)) and row.verifying_since is not None:
            await self._verify(row)

    async def step(self, organization: str, *, again: bool = True) -> bool:
        """The next thing to do for an organization; False where there is nothing.

        Organizations whose rows no column allows, as SQLite lets them, are left to be read.
        """
        if organization in self.unable:
            return False
        try:
            return await self._step(organization, again=again)
        except Uncountable as odd:
            logger.warning("organization %s is not counted: %s", organization, odd.message)
            self.unable[organization] = odd.message
            async with self.stored.writing(self.lease.holder) as writer:
                await writer.close_books(organization)
            return False

    async def _step(self, organization: str, *, again: bool) -> bool:
        row = await self.stored.organization(organization)
        if row is None:
            return await self._begin(organization)
        if row.watched and not self.watched:
            return await self._unwatch(row)
        if self.watched and not row.watched and organization not in self._proving:
            return await self._prove(row)
        if not row.watched:
            row = await self._read_changes(row)
        return (
            await self._count_changed(row)
            or await self._build(row)
            or await self._count_next(row)
            or (again and await self._count_again(row))
        )

    async def _begin(self, id_: str) -> bool:
        """Open the books of an organization that has deliveries."""
        if await self.rows.next_number(id_, FIRST_QUARTER) is None:
            return False
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.open_books(id_, self.now(), watched=self.watched)
        return True

    async def _unwatch(self, row: AnyRow) -> bool:
        """The triggers are gone: all that changed since it was last counted again is looked for."""
        logger.warning("deliveries and attempts are watched by triggers no longer")
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.note(row.org_id, watched=False, read_until=row.verified_at)
        return True

    async def _prove(self, row: AnyRow) -> bool:
        """There are triggers now: count all again, since when nothing can have changed without a mark."""
        self._proving.add(row.org_id)
        await self._begin_to_verify(row.org_id)
        return True

    async def _read_changes(self, row: AnyRow) -> AnyRow:
        """Mark the quarters in which something changed, where nothing else does."""
        now = self.now()
        if (now - row.read_until).total_seconds() < SECONDS_BETWEEN_READINGS:
            return row
        late = timedelta(seconds=SECONDS_LATE)
        asked = SlotsChangedSince(row.read_until - late, start_of(row.counted_until))
        changed = await Reader(self.rows.database, row.org_id, newest=True).load(asked)
        marks = {number: int(at.timestamp() * 1_000_000) for number, at in changed.items() if number >= FIRST_QUARTER}
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.mark(row.org_id, marks)
            await writer.note(row.org_id, read_until=now)
        return await self.stored.organization(row.org_id) or row

    async def _count_changed(self, row: AnyRow) -> bool:
        """Count quarters again that are marked."""
        marks, elsewhere = await self._marks(row.org_id, row.counted_until)
        if not row.watched:
            before = int((self.now() - timedelta(seconds=SECONDS_LATE)).timestamp() * 1_000_000)
            marks = [mark for mark in marks if mark[1] < before]
        numbers = sorted({number for number, _ in (*marks, *elsewhere)})
        if not numbers:
            return False
        numbers = [number for number in numbers if number >= FIRST_QUARTER]
        step = joined(numbers[: max(1, self._size)], STRETCHES)
        await self._count(row, step, marks, elsewhere)
        return True

    async def _count_next(self, row: AnyRow) -> bool:
        """Count quarters that are over and were never counted."""
        open_ = SECONDS_OPEN if row.watched else SECONDS_LATE
        target = number_at(self.now() - timedelta(seconds=open_))
        until = max(row.counted_until, FIRST_QUARTER)
        if until >= target:
            return False
        # Their marks first: what changes from here on leaves another one.
        marks, elsewhere = await self._marks(row.org_id, target)
        start = await self.rows.next_number(row.org_id, until)
        end = target if start is None or start >= target else min(start + self._size, target)
        stretch = [] if start is None or start >= end else [(start, end)]
        found = await self._count(row, stretch, marks, elsewhere, until=end, since=row.counted_until)
        if start is not None:
            self.advance(row.org_id, start, end, target, found)
        return True

    async def _marks(self, organization: str, before: int) -> tuple[list[Mark], list[Mark]]:
        """Marks beside the stored periods, and those in another database where the rows are."""
        marks = await self.stored.marks(organization, before)
        if self.marks is self.stored or not self.watched:
            return marks, []
        return marks, await self.marks.marks(organization, before)

    async def _count(
        self,
        row: AnyRow,
        stretches: Iterable[tuple[int, int]],
        marks: Sequence[Mark],
        elsewhere: Sequence[Mark],
        *,
        until: int | None = None,
        since: int = 0,
    ) -> int:
        """Count these quarters, write what they were counted to, and take away the marks that they had before."""
        id_ = row.org_id
        counted: dict[int, dict[str, Any] | None] = {}
        done = [(since, until)] if until is not None else []
        for start, end in stretches:
            found, read = await self.rows.count(id_, start, end)
            self._pace(end - start, read)
            counted |= {number: to_row(tally) for number, tally in found.items()}
            done.append((start, end))
        deliveries: int = sum(kept["deliveries"] for kept in counted.values() if kept is not None)
        if until is None:
            counted = {number: counted.get(number) for start, end in done for number in range(start, end)}
            done.append((-(2**62), FIRST_QUARTER))
        seen, seen_elsewhere = (
            [mark for mark in each if any(start <= mark[0] < end for start, end in done)] for each in (marks, elsewhere)
        )
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.replace(id_, counted, self.now() if until is None else None)
            await writer.unmark(id_, seen)
            await writer.note(id_, **({} if until is None else {"counted_until": until}))
        if seen_elsewhere:
            # Only now: whoever finds no mark there must find another version here.
            async with self.marks.database.transaction() as connection:
                await PeriodWriter(connection).unmark(id_, seen_elsewhere)
        return deliveries

    async def _build(self, row: AnyRow) -> bool:
        """Add up periods that are over to longer ones, a level at a time."""
        now = self.now()
        families: dict[int, datetime] = {}
        for part in await self.stored.uncovered(row.org_id):
            if level_of(part.period) < TOP:
                parent = parent_of(part.period)
                families[parent] = max(families.get(parent, part.changed_at), part.changed_at)
        settled = {
            parent: changed_at
            for parent, changed_at in families.items()
            if stretch_of(parent)[1] <= row.counted_until
            and (now - changed_at).total_seconds() >= SECONDS_TO_SETTLE[level_of(parent)]
        }
        if not settled:
            return False
        marks, elsewhere = await self._marks(row.org_id, row.counted_until)
        changed = sorted({number for number, _ in (*marks, *elsewhere)})
        ready = [
            parent
            for parent in settled
            if bisect_left(changed, stretch_of(parent)[0]) == bisect_left(changed, stretch_of(parent)[1])
        ]
        lowest = min(map(level_of, ready), default=0)
        ready = sorted(parent for parent in ready if level_of(parent) == lowest)[: 64 >> min(5, 2 * lowest)]
        built = {parent: {**await self._sum(row.org_id, parent), "changed_at": families[parent]} for parent in ready}
        if built:
            async with self.stored.writing(self.lease.holder) as writer:
                await writer.build(row.org_id, built)
                await writer.note(row.org_id)
        return bool(built)

    async def _sum(self, organization: str, parent: int) -> dict[str, Any]:
        names = (*COUNT_COLUMNS, *STORED_COLUMNS)
        parts = await self.stored.periods(organization, children_of(parent), names)
        rows: list[Mapping[str, Any]] = [dict(part._mapping) for part in parts]
        size = sum(len(row[name]) for row in rows for name in STORED_COLUMNS if row[name] is not None)
        return sum_of(rows) if size < LARGE else await asyncio.to_thread(sum_of, rows)

    async def _count_again(self, row: AnyRow) -> bool:
        """A step of counting all again, once it is time to."""
        if row.verifying_since is None:
            passed = (self.now() - row.verified_at).total_seconds()
            if passed < SECONDS_BETWEEN_PASSES[bool(row.watched)]:
                return False
            await self._begin_to_verify(row.org_id)
            return True
        await self._verify(row)
        return True

    async def _begin_to_verify(self, id_: str) -> None:
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.note(id_, verifying_since=self.now(), verified_until=0)

    async def _verify(self, row: AnyRow) -> None:
        """Count the next quarters again, and write those that are not as they were counted."""
        id_, until = row.org_id, max(row.verified_until, FIRST_QUARTER)
        nexts = [await self.rows.next_number(id_, until), await self.stored.first_counted(id_, until)]
        start = min((number for number in nexts if number is not None), default=row.counted_until)
        if start >= row.counted_until:
            await self._verified(row)
            return
        end = min(start + self._size, row.counted_until)
        found, read = await self.rows.count(id_, start, end)
        self._pace(end - start, read)
        counted = {number: to_row(tally) for number, tally in found.items()}
        names = (*COUNT_COLUMNS, *STORED_COLUMNS)
        stored = await self.stored.periods(id_, list(range(start, end)), names)
        known = {each.period: each for each in stored}
        differing = {
            number: counted.get(number)
            for number in {*counted, *known}
            if number not in known or not is_same(known[number], counted.get(number))
        }
        marked = {number for marks in await self._marks(id_, end) for number, _ in marks}
        if row.watched and (unnoticed := sorted(differing.keys() - marked)):
            logger.warning("%s quarters of organization %s changed without a mark", len(unnoticed), id_)
        async with self.stored.writing(self.lease.holder) as writer:
            await writer.replace(id_, differing, self.now())
            await writer.note(id_, verified_until=end)

    async def _verified(self, row: AnyRow) -> None:
        proven = row.org_id in self._proving and self.watched
        self._proving.discard(row.org_id)
        async with self.stored.writing(self.lease.holder) as writer:
            watched = {"watched": True} if proven else {}
            await writer.note(
                row.org_id, verified_at=row.verifying_since, verifying_since=None, verified_until=0, **watched
            )

    def _pace(self, quarters: int, read: int) -> None:
        """Make the next step about as large as it should be."""
        if read * 2 < self.rows_of_a_step:
            self._size = min(max(self._size, quarters) * 2, 4096)
        elif read > self.rows_of_a_step:
            self._size = max(1, quarters * self.rows_of_a_step // read)


@asynccontextmanager
async def counting(rows: Database, stored: Database | None) -> AsyncIterator[None]:
    """Count meanwhile, beside everything else that this process does, whenever it is its turn."""
    if stored is None:
        yield
        return
    counter = Counter(rows, stored)
    task = asyncio.create_task(counter.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_RELEASE):
                await counter.stop()


def _in_a_line(failure: BaseException) -> str:
    told = failure.message if isinstance(failure, GatewayError) else str(getattr(failure, "orig", None) or failure)
    return (told.strip().splitlines() or [type(failure).__name__])[0]
