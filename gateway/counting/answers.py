"""Statistics from stored periods and rows, and the same ones asked at once computed once.

What is asked is a stretch of `createdAt` and conditions on what stored periods know deliveries by. Stored periods
answer for the quarters of the stretch that were counted and have not changed since; rows for the rest, by one
statement, which is that of the question over the rest. Everything else is the rows' alone, as without stored periods.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, func, select, union_all
from sqlalchemy.exc import SQLAlchemyError

from gateway.counting.counter import SECONDS_LATE
from gateway.counting.periods import FIRST, Stretch, cover, joined, number_at, number_from, start_of, without
from gateway.counting.stored import MOST_MARKS, Books, Stored
from gateway.counting.tally import decode
from gateway.database.dialects import SLOT, Ids, unindexed
from gateway.database.engine import REFUSED, Database
from gateway.database.lately import Lately
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.types import AnyRow, AnySelect, UtcDateTime
from gateway.errors import ClientError
from gateway.reading import stats
from gateway.reading.changes import SlotsChangedSince
from gateway.reading.filters import CallbackDeliveryFilter, Filter, TextFilter, overdue
from gateway.reading.health import DELIVERED
from gateway.reading.loaders import Question, Reader, prepared_for
from gateway.reading.visibility import Visibility

logger = logging.getLogger(__name__)

A = TypeVar("A")

STATISTICS = (
    stats.TotalsOf,
    stats.AttemptCount,
    stats.DeliveriesBy,
    stats.DeliveriesByHost,
    stats.DeliveriesBySlot,
    stats.AttemptsByStatus,
    stats.ResponseTimesOf,
    stats.ResponseTimesByHost,
)
OUTCOME = ("status_code", "failure_reason_code", "event", "is_automatic", "in_flight")  # in the order of a cell
KNOWN = frozenset({*OUTCOME, "callback_host", "created_at"})
MOST_STRETCHES = 32  # that one statement reads rows of
TRIES = 4
SECONDS_BEHIND = 900.0  # that changes may be unread where nothing watches, before rows are cheaper
SECONDS_TO_ANSWER = 1.0  # for the database of the stored periods
SECONDS_WITHOUT = 5.0  # after it did not
FAILURES = (*REFUSED, SQLAlchemyError, OSError, ClientError, TimeoutError)
LOWEST, HIGHEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
UNLIMITED = 2**31 - 1


class NotStored(Exception):
    """Stored periods do not answer this; rows do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Statistics over deliveries that were created from an instant to another, that one included, and satisfy `where`.

    `where` is what remains of a filter without the time.
    """

    first: datetime
    last: datetime
    where: CallbackDeliveryFilter | None

    @classmethod
    def of(cls, where: Filter | None) -> "Asked | None":
        """The same as a filter; None where stored periods cannot answer it."""
        if where is None:
            return cls(LOWEST, HIGHEST, None)
        if not isinstance(where, CallbackDeliveryFilter):
            return None
        named = {name for name in where.__dataclass_fields__ if getattr(where, name) is not None}
        if not named <= KNOWN:
            return None
        created_at = where.created_at
        if created_at is not None and created_at.is_null:
            return None
        try:
            first, last = stats.span(created_at)
        except OverflowError:
            return None
        rest = None if named <= {"created_at"} else replace(where, created_at=None)
        return cls(first or LOWEST, last or HIGHEST, rest)

    @property
    def quarters(self) -> Stretch:
        """The whole quarters among them."""
        start = FIRST if self.first == LOWEST else max(number_from(self.first), FIRST)
        return start, number_at(self.last) + 1 if self.last == HIGHEST else number_at(self.last + INSTANT)

    @property
    def names_host(self) -> bool:
        """Whether hosts are told apart."""
        return self.where is not None and self.where.callback_host is not None

    @property
    def names_outcome(self) -> bool:
        """Whether anything but hosts and time is told apart."""
        return self.where is not None and any(getattr(self.where, name) is not None for name in OUTCOME)

    def keeps(self, key: Sequence[Any]) -> bool:
        """Whether deliveries are kept whose outcome, and host where it is there, are these."""
        where = self.where
        if where is None:
            return True
        texts = (where.status_code, where.failure_reason_code, where.event)
        return (
            all(_keeps(text, value) for text, value in zip(texts, key, strict=False))
            and where.is_automatic in {None, key[3]}
            and where.in_flight in {None, key[4]}
            and (len(key) == 5 or _keeps(where.callback_host, key[5]))
        )

    def keeps_host(self, host: str | None) -> bool:
        """Whether deliveries to this host are kept, as far as it is for the host."""
        return self.where is None or _keeps(self.where.callback_host, host)


@dataclass(frozen=True, slots=True)
class Rest:
    """The filter of what is read from rows: `where`, and created in one of so many stretches, which are parameters."""

    where: CallbackDeliveryFilter | None
    stretches: int

    @property
    def names_rows(self) -> bool:
        """Whether the conditions find the rows by themselves."""
        return self.stretches > 1

    def conditions(self, scope: Visibility) -> Iterable[ColumnElement[bool]]:
        """What a kept row satisfies."""
        if self.where is not None:
            yield from self.where.conditions(scope)
        if self.stretches == 1:
            yield _created(deliveries, "first_0", "last_0")
            return
        # By id, since SQLite joins no rows that an OR keeps by an index: it would walk all of the organization's.
        each = deliveries.alias("stretch")
        kept = (
            select(each.c.id).where(each.c.org_id == scope.organization, _created(each, f"first_{n}", f"last_{n}"))
            for n in range(self.stretches)
        )
        yield deliveries.c.id.in_(union_all(*kept))


@dataclass(frozen=True, slots=True)
class TotalsOfRest(Question[stats.Totals]):
    """Counts of the rest, and how many of all that is asked for are overdue: these are read from the rows in flight."""

    rest: Rest

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:  # noqa: ARG002
        counted = stats.totals(scope, cast("Any", self.rest))
        # By id again: SQLite would walk an index of what the filter asks for, with all that was ever so.
        each = deliveries.alias("flying")
        flying = select(each.c.id).where(
            each.c.org_id == scope.organization, each.c.completed_at.is_(None), _created(each, "first", "last")
        )
        late = select(func.count()).where(
            unindexed(deliveries.c.org_id) == scope.organization, overdue(scope), deliveries.c.id.in_(flying)
        )
        if self.rest.where is not None:
            late = late.where(*self.rest.where.conditions(scope))
        kept = [column for column in counted.selected_columns if column.key != "overdue"]
        return counted.with_only_columns(*kept, late.correlate(None).scalar_subquery().label("overdue"))

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[stats.Totals]:
        row = rows[0]
        return [stats.Totals(stats.Counts(row.deliveries, row.completed, row.delivered), row.overdue)] * len(ids)


Parts = Sequence[Mapping[str, Any]]


class Statistics:
    """The shortcut of readers of one database: its statistics with the stored periods of another, or the same one.

    Without `stored` they are the rows', and only shared between requests.
    """

    def __init__(self, rows: Database, stored: Database | None = None) -> None:
        self.rows = rows
        self.stored = None if stored is None else Stored(stored)
        self.apart = None if stored is None or stored is rows else Stored(rows)  # marks where the rows are
        self._flights = Flights()
        self._gone: Lately[str] = Lately(1, SECONDS_WITHOUT)

    async def answer(self, reader: Reader, question: Question[A]) -> A | None:
        """The answer to a statistic, computed once for all that ask it at once; None to other questions."""
        if not isinstance(question, STATISTICS):
            return None
        key = (reader.organization, reader.scope.sees_secrets, question)
        return cast("A", await self._flights.join(key, reader, lambda shared: self._answer(shared, question)))

    async def known_until(self, reader: Reader, where: Filter | None) -> datetime:
        """The present; where stored periods of rows that nothing watches are part of the answer, an earlier time."""
        asked = Asked.of(where)
        if asked is None or self.stored is None or "stored" in self._gone:
            return reader.scope.now
        with suppress(*FAILURES):
            async with asyncio.timeout(SECONDS_TO_ANSWER):
                reader.statements += 1
                books = await self.stored.books(reader.organization)
            if books is not None and not books.watched:
                start, end = asked.quarters
                if start < min(end, books.counted_until):
                    return min(books.verified_at, reader.scope.now)
        return reader.scope.now

    async def _answer(self, reader: Reader, question: Any) -> Any:
        asked = Asked.of(question.where)
        if asked is not None and self.stored is not None and "stored" not in self._gone:
            try:
                return await Counted(self, self.stored, reader, asked).answer(question)
            except NotStored:
                pass
        return await reader.ask_organization(question)

    def is_gone(self, failure: BaseException) -> None:
        """Its database does not answer: for a while it is not asked."""
        if "stored" not in self._gone:
            logger.warning("statistics are read from rows: stored periods cannot be read: %s", failure)
        self._gone.note("stored")


class Counted:
    """One question, answered with stored periods. `NotStored` where rows have to do."""

    def __init__(self, of: Statistics, stored: Stored, reader: Reader, asked: Asked) -> None:
        self.of = of
        self.stored = stored
        self.reader = reader
        self.asked = asked

    async def answer(self, question: Any) -> Any:
        """The answer as of one instant."""
        columns, pattern, combine = _recipe(self.asked, question)
        books: Books | None = None
        changed: set[int] | None = None
        for _ in range(TRIES):
            if books is None or changed is None:
                books = await self._books()
                changed = await self._changed(books)
                if changed is None:
                    continue
            start, end = self.asked.quarters
            end = min(end, books.counted_until)
            holes = joined((number for number in changed if start <= number < end), MOST_STRETCHES - 2)
            wanted = without(start, end, holes)
            if not wanted:
                raise NotStored
            parts = await self._parts(books, wanted, columns)
            rest = await self._rest(pattern, wanted)
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
            (told,) = await self.reader.ask_many(SlotsChangedSince(since, before), [self.reader.organization])
            changed |= told.keys()
        elif self.of.apart is not None:
            self.reader.statements += 1
            marks = await self.of.apart.marks(self.reader.organization, books.counted_until)
            changed |= {number for number, _ in marks}
            if len(marks) >= MOST_MARKS:
                raise NotStored
        # Last: a mark is taken away only after the books have become others.
        version, marked = await self._stored(self.stored.marked(self.reader.organization))
        if max(len(marked), len(changed)) >= MOST_MARKS:
            raise NotStored
        return None if version != books.version else changed | marked

    async def _parts(self, books: Books, wanted: Sequence[Stretch], columns: Sequence[str]) -> Parts:
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

    async def _rest(self, pattern: Callable[[Rest], Question[Any]], wanted: Sequence[Stretch]) -> Any:
        """What the pattern's question answers for all that is asked and not stored."""
        end = self.asked.last + INSTANT if self.asked.last < HIGHEST else HIGHEST
        edges = [self.asked.first, *(start_of(edge) for stretch in wanted for edge in stretch), end]
        pairs = list(zip(edges[::2], edges[1::2], strict=True))
        spans = [(low, high - INSTANT if high < HIGHEST else HIGHEST) for low, high in pairs if low < high]
        count = 1 << max(0, len(spans) - 1).bit_length()
        spans += [(HIGHEST, LOWEST)] * (count - len(spans))
        question: Any = pattern(Rest(self.asked.where, count))
        values: dict[str, Any] = {"first": self.asked.first, "last": self.asked.last}
        for number, (first, last) in enumerate(spans):
            values |= {f"first_{number}": first, f"last_{number}": last}
        reader, scope = self.reader, self.reader.scope
        prepared = prepared_for(cast("Hashable", question), scope.sees_secrets, reader.database.engine.dialect)
        reader.statements += 1
        rows = await reader.database.run(prepared, {"organization": scope.organization, "now": scope.now, **values})
        return question.answers([scope.organization], prepared.rows(rows))[0]

    async def _stored(self, asking: Any) -> Any:
        self.reader.statements += 1
        try:
            async with asyncio.timeout(SECONDS_TO_ANSWER):
                return await asking
        except FAILURES as failure:
            self.of.is_gone(failure)
            raise NotStored from failure


Recipe = tuple[Sequence[str], Callable[[Rest], Question[Any]], Callable[[Parts, Any], Any]]


def _recipe(asked: Asked, question: Any) -> Recipe:  # noqa: PLR0911
    """The columns that answer a question, the question to the rows, and how the two are put together."""
    counts = "cells" if asked.names_host else "outcomes"
    plain = not (asked.names_host or asked.names_outcome)

    def about(rest: Rest, **values: Any) -> Question[Any]:
        return cast("Question[Any]", replace(question, where=cast("Any", rest), **values))

    def cells(parts: Parts, column: str = counts) -> Iterable[Any]:
        return (row for part in parts for row in part[column] if asked.keeps(row[:-2]))

    if isinstance(question, stats.TotalsOf):
        if plain:
            names = ("deliveries", "completed", "delivered")
            return (
                names,
                TotalsOfRest,
                lambda parts, rest: stats.Totals(
                    stats.Counts(*(sum(part[name] for part in parts) for name in names)) + rest.counts, rest.overdue
                ),
            )
        return (
            (counts,),
            TotalsOfRest,
            lambda parts, rest: stats.Totals(_counts(cells(parts)) + rest.counts, rest.overdue),
        )
    if isinstance(question, stats.AttemptCount):
        if plain:
            return ("attempts",), about, lambda parts, rest: sum(part["attempts"] for part in parts) + rest
        return (counts,), about, lambda parts, rest: sum(sum(row[-1].values()) for row in cells(parts)) + rest
    if isinstance(question, stats.DeliveriesBy):
        place = OUTCOME.index(question.column)
        return (counts,), about, lambda parts, rest: _shares([(row[place], row[-2]) for row in cells(parts)], rest)
    if isinstance(question, stats.AttemptsByStatus):
        return (
            (counts,),
            about,
            lambda parts, rest: _shares((each for row in cells(parts) for each in row[-1].items()), rest),
        )
    if isinstance(question, stats.DeliveriesByHost):
        every = lambda rest: about(rest, first=UNLIMITED)  # noqa: E731
        return ("cells",), every, lambda parts, rest: _hosts(cells(parts, "cells"), rest)[: question.first]
    if isinstance(question, stats.DeliveriesBySlot):
        if not plain:
            raise NotStored
        return ("slots",), about, _slots
    if isinstance(question, stats.ResponseTimesOf):
        if asked.names_host and asked.names_outcome:
            raise NotStored
        column = "times" if plain else "times_by_host" if asked.names_host else "times_by_outcome"
        keeps = asked.keeps if asked.names_outcome else lambda key: asked.keeps_host(key[0])
        return (
            (column,),
            _times_of_rest,
            lambda parts, rest: stats.times_of(
                _times([part["times"] for part in parts] if plain else _kept_times(parts, column, keeps), rest[None])
            ),
        )
    if isinstance(question, stats.ResponseTimesByHost) and not asked.names_outcome:
        return (
            ("times_by_host",),
            _times_of_rest_by_host,
            lambda parts, rest: _times_by_host(question.hosts, parts, rest),
        )
    raise NotStored


def _times_of_rest(rest: Rest) -> Question[Any]:
    return stats.ResponseTimeCounts(cast("Any", rest))


def _times_of_rest_by_host(rest: Rest) -> Question[Any]:
    return stats.ResponseTimeCounts(cast("Any", rest), by_host=True)


def _times_by_host(
    hosts: Sequence[str | None], parts: Parts, rest: Mapping[str | None, Mapping[int, int]]
) -> dict[str | None, stats.ResponseTimes]:
    found: dict[str | None, list[Mapping[int, int]]] = {host: [rest.get(host, {})] for host in hosts}
    for part in parts:
        for host, times in part["times_by_host"]:
            if host in found:
                found[host].append(times)
    return {host: stats.times_of(_times(times, {})) for host, times in found.items()}


def _counts(rows: Iterable[Any]) -> stats.Counts:
    deliveries_, completed, delivered = 0, 0, 0
    for row in rows:
        deliveries_ += row[-2]
        completed += 0 if row[4] else row[-2]
        delivered += row[-2] if row[0] == DELIVERED and not row[4] else 0
    return stats.Counts(deliveries_, completed, delivered)


def _shares(stored: Iterable[tuple[Any, int]], rest: Iterable[stats.Share]) -> list[stats.Share]:
    total: dict[Any, int] = {}
    for value, count in (*stored, *rest):
        total[value] = total.get(value, 0) + count
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0] is None, item[0] if item[0] is not None else 0))
    return [stats.Share(value, count) for value, count in ordered]


def _hosts(
    stored: Iterable[Any], rest: Iterable[tuple[str | None, stats.Counts]]
) -> list[tuple[str | None, stats.Counts]]:
    by_host: dict[str | None, list[Any]] = {}
    for row in stored:
        by_host.setdefault(row[5], []).append(row)
    total = {host: _counts(rows) for host, rows in by_host.items()}
    for host, counts in rest:
        total[host] = total.get(host, stats.Counts()) + counts
    return sorted(total.items(), key=lambda item: (-item[1].deliveries, item[0] is None, item[0] or ""))


def _slots(parts: Parts, rest: stats.SlotCounts) -> stats.SlotCounts:
    """Stored periods hold no quarter that is read from rows, and no two the same: they stand one behind the other."""
    chunks = [([number * SLOT for number in numbers], counts) for numbers, *counts in (part["slots"] for part in parts)]
    chunks += [([slot], [[count] for count in counts]) for slot, *counts in rest.rows()]
    chunks.sort(key=lambda chunk: chunk[0])
    slots = [slot for numbers, _ in chunks for slot in numbers]
    return stats.SlotCounts(slots, *([n for _, counts in chunks for n in counts[place]] for place in range(3)))


def _kept_times(parts: Parts, column: str, keeps: Callable[[Any], bool]) -> Iterable[dict[int, int]]:
    return (row[-1] for part in parts for row in part[column] if keeps(row[:-1]))


def _times(stored: Iterable[Mapping[int, int]], rest: Mapping[int, int]) -> dict[int, int]:
    total = dict(rest)
    get = total.get
    for times in stored:
        for ms, count in times.items():
            total[ms] = get(ms, 0) + count
    return total


def _keeps(asked: TextFilter | None, value: str | None) -> bool:
    if asked is None:
        return True
    return (
        (asked.eq is None or value == asked.eq)
        and (asked.in_ is None or (value is not None and value in asked.in_))
        and (asked.not_in is None or value is None or value not in asked.not_in)
        and (asked.is_null is None or asked.is_null == (value is None))
    )


def _created(of: FromClause, first: str, last: str) -> ColumnElement[bool]:
    created_at = of.c.created_at
    return and_(created_at >= bindparam(first, type_=UtcDateTime()), created_at <= bindparam(last, type_=UtcDateTime()))


@dataclass(eq=False, slots=True)
class Flight:
    """One computation for all that wait for it."""

    reader: Reader
    task: "asyncio.Task[Any] | None" = None
    waiting: int = 0
    readers: list[Reader] = field(default_factory=list)


class Flights:
    """Computes once what is asked at once.

    Nobody joins a computation that has begun, since it may not know what was written just before the question: who
    comes later shares the next one, which begins when the first has ended. So of each there are two at the most.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, Flight] = {}
        self._begun: dict[Hashable, Flight] = {}

    async def join(self, key: Hashable, reader: Reader, compute: Callable[[Reader], Any]) -> Any:
        """What `compute` returns, which is given a reader of its own, as of the last that joined."""
        flight = self._next.get(key)
        if flight is None:
            flight = self._next[key] = Flight(reader)
            flight.task = asyncio.create_task(self._fly(key, flight, compute))
        elif reader.scope.now > flight.reader.scope.now:
            flight.reader = reader
        flight.waiting += 1
        flight.readers.append(reader)
        task = cast("asyncio.Task[Any]", flight.task)
        try:
            return await asyncio.shield(task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not task.done():
                if self._next.get(key) is flight:
                    del self._next[key]
                task.cancel()

    async def _fly(self, key: Hashable, flight: Flight, compute: Callable[[Reader], Any]) -> Any:
        while (before := self._begun.get(key)) is not None and before.task is not None:
            await asyncio.wait({before.task})
        self._next.pop(key, None)
        self._begun[key] = flight
        try:
            of = flight.reader
            reader = Reader(of.database, of.organization, of.scope.now, sees_secrets=of.scope.sees_secrets)
            answer = await compute(reader)
            for each in flight.readers[:1]:
                each.statements += reader.statements
            return answer
        finally:
            if self._begun.get(key) is flight:
                del self._begun[key]
