"""Statistics from stored periods and rows, and the same ones asked at once computed once.

What is asked is a stretch of `createdAt` and conditions on what stored periods know deliveries by. Stored periods
answer for the quarters of the stretch that were counted and have not changed since; rows for the rest, by one
statement, which is that of the question over the rest. Everything else is the rows' alone, as without stored periods.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from gateway.counting.asked import HIGHEST, INSTANT, NO_SPAN, Asked, Remainder
from gateway.counting.combining import RECIPES, NotStored, Parts, recipe_of
from gateway.counting.counter import SECONDS_LATE
from gateway.counting.periods import Quarters, cover, joined, start_of, without
from gateway.counting.shared import SharedComputations
from gateway.counting.stored import MOST_CHANGED, Books, Stored
from gateway.counting.tally import decode
from gateway.database.engine import REFUSED, Database
from gateway.errors import ClientError
from gateway.reading.changes import SlotsChangedSince
from gateway.reading.filters import Filter
from gateway.reading.questions import Question
from gateway.reading.reader import Reader

logger = logging.getLogger(__name__)

A = TypeVar("A")

MOST_SPANS = 32  # that one statement reads rows of
MOST_TRIES = 4
SECONDS_BEHIND = 900.0  # that changes may be unread where nothing watches, before rows are cheaper
SECONDS_FOR_STORED = 1.0  # for the database of the stored periods
SECONDS_WITHOUT = 5.0  # after it did not
SILENT_FAILURES = (*REFUSED, SQLAlchemyError, OSError, ClientError, TimeoutError)


class Statistics:
    """The shortcut of readers of one database: its statistics with the stored periods of another, or the same one.

    Without `stored` they are the rows', and only shared between requests.
    """

    def __init__(self, rows: Database, stored: Database | None = None) -> None:
        self.rows = rows
        self.stored = None if stored is None else Stored(stored)
        self.apart = None if stored is None or stored is rows else Stored(rows)  # marks where the rows are
        self._shared = SharedComputations()
        self.silent_until = 0.0  # by the clock that never goes back: the stored periods are not asked before

    async def answer(self, reader: Reader, question: Question[A]) -> A | None:
        """The answer to a statistic, computed once for all that ask it at once; None to other questions."""
        if type(question) not in RECIPES:
            return None
        key = (reader.organization, reader.scope.sees_secrets, question)
        return cast("A", await self._shared.join(key, reader, lambda shared: self._answer(shared, question)))

    async def known_until(self, reader: Reader, where: Filter | None) -> datetime:
        """The present; where stored periods of rows that nothing watches are part of the answer, an earlier time."""
        asked = Asked.of(where)
        if asked is None or self.stored is None or self.is_silent:
            return reader.scope.now
        with suppress(*SILENT_FAILURES):
            async with asyncio.timeout(SECONDS_FOR_STORED):
                reader.statements += 1
                books = await self.stored.books(reader.organization)
            if books is not None and not books.watched:
                start, end = asked.quarters
                if start < min(end, books.counted_until):
                    return min(books.verified_at, reader.scope.now)
        return reader.scope.now

    async def _answer(self, reader: Reader, question: Any) -> Any:
        asked = Asked.of(question.where)
        if asked is not None and self.stored is not None and not self.is_silent:
            # Of the primary, as all that is stored is: replicas may be of different times.
            scope = reader.scope
            newest = Reader(self.rows, scope.organization, scope.now, sees_secrets=scope.sees_secrets, newest=True)
            try:
                return await Counted(self, self.stored, newest, asked).answer(question)
            except NotStored:
                pass
            finally:
                reader.statements += newest.statements
        return await reader.load(question)

    @property
    def is_silent(self) -> bool:
        """Whether the database of the stored periods did not answer a moment ago."""
        return time.monotonic() < self.silent_until

    def is_gone(self, failure: BaseException) -> None:
        """Its database does not answer: for a while it is not asked."""
        if not self.is_silent:
            logger.warning("statistics are read from rows: stored periods cannot be read: %s", failure)
        self.silent_until = time.monotonic() + SECONDS_WITHOUT


class Counted:
    """One question, answered with stored periods. `NotStored` where rows have to do."""

    def __init__(self, of: Statistics, stored: Stored, reader: Reader, asked: Asked) -> None:
        self.of = of
        self.stored = stored
        self.reader = reader
        self.asked = asked

    async def answer(self, question: Any) -> Any:
        """The answer as of one instant."""
        columns, pattern, combine = recipe_of(self.asked, question)
        books: Books | None = None
        changed: set[int] | None = None
        for _ in range(MOST_TRIES):
            if books is None or changed is None:
                books = await self._books()
                changed = await self._changed(books)
                if changed is None:
                    continue
            start, end = self.asked.quarters
            end = min(end, books.counted_until)
            holes = joined((number for number in changed if start <= number < end), MOST_SPANS - 2)
            wanted = without(start, end, holes)
            if not wanted:
                raise NotStored
            parts = await self._parts(books, wanted, columns)
            rest = await self._remainder(pattern, wanted)
            again = await self._changed(books)
            if again is not None and not any(low <= number < high for number in again for low, high in wanted):
                return combine(parts, rest)
            changed = None if again is None else changed | again
        raise NotStored

    async def _books(self) -> Books:
        books: Books | None = await self._stored(self.stored.books(self.reader.organization))
        start, end = self.asked.quarters
        if books is None or min(end, books.counted_until) <= start:
            raise NotStored
        if not books.watched and (datetime.now(UTC) - books.read_until).total_seconds() > SECONDS_BEHIND:
            raise NotStored
        return books

    async def _changed(self, books: Books) -> set[int] | None:
        """The quarters that changed since they were counted; None where the books are others by now."""
        changed: set[int] = set()
        if not books.watched:
            since = books.read_until - timedelta(seconds=SECONDS_LATE)
            before = start_of(books.counted_until)
            # Not as the organization's, which a reader asks once.
            (told,) = await self.reader.fetch(SlotsChangedSince(since, before), [self.reader.organization])
            changed |= told.keys()
        elif self.of.apart is not None:
            self.reader.statements += 1
            marks = await self.of.apart.marks(self.reader.organization, books.counted_until)
            changed |= {number for number, _ in marks}
            if len(marks) >= MOST_CHANGED:
                raise NotStored
        # Last: a mark is taken away only after the books have become others.
        version, marked = await self._stored(self.stored.marked(self.reader.organization))
        if max(len(marked), len(changed)) >= MOST_CHANGED:
            raise NotStored
        return None if version != books.version else changed | marked

    async def _parts(self, books: Books, wanted: Sequence[Quarters], columns: Sequence[str]) -> Parts:
        periods = list(cover(books.longest, wanted))
        rows = await self._stored(self.stored.periods(self.reader.organization, periods, columns))
        parts = []
        for row in rows:
            part = dict(row._mapping)
            for name in columns:
                if part[name] is None:
                    raise NotStored
                if isinstance(part[name], bytes):
                    part[name] = decode(name, part[name])
            parts.append(part)
        return parts

    async def _remainder(self, pattern: Callable[[Remainder], Question[Any]], wanted: Sequence[Quarters]) -> Any:
        """What the pattern's question answers for all that is asked and not stored."""
        end = self.asked.last + INSTANT if self.asked.last < HIGHEST else HIGHEST
        edges = [self.asked.first, *(start_of(edge) for stretch in wanted for edge in stretch), end]
        pairs = list(zip(edges[::2], edges[1::2], strict=True))
        spans = [(low, high - INSTANT if high < HIGHEST else HIGHEST) for low, high in pairs if low < high]
        count = 1 << max(0, len(spans) - 1).bit_length()  # few different statements
        spans += [NO_SPAN] * (count - len(spans))
        rest = Remainder(self.asked.where, (self.asked.first, self.asked.last), tuple(spans))
        (answer,) = await self.reader.fetch(pattern(rest), [self.reader.organization])
        return answer

    async def _stored(self, asking: Any) -> Any:
        self.reader.statements += 1
        try:
            async with asyncio.timeout(SECONDS_FOR_STORED):
                return await asking
        except SILENT_FAILURES as failure:
            self.of.is_gone(failure)
            raise NotStored from failure
