"""The stored periods of one database: what is read of them, and what the process that counts writes.

Every statement names the organization, so that on a database that places rows by it each has one place to go.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, delete, false, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.counting.periods import ancestors_of, children_of, period, start_of
from gateway.counting.tally import STORED_COLUMNS
from gateway.database.dialects import Numbers, at_most, is_among
from gateway.database.engine import Database
from gateway.database.tables import changed_periods as changed
from gateway.database.tables import counted_organizations as organizations
from gateway.database.tables import counted_periods as periods
from gateway.database.tables import counting_lease
from gateway.database.types import AnyRow, AnySelect
from gateway.errors import LeaseLost
from gateway.reading.reader import ORGANIZATION

COUNT_COLUMNS = ("deliveries", "completed", "delivered", "attempts")
MOST_CHANGED = 10_000  # beyond which all is answered from rows, until they are counted
QUARTERS = period(1, 0)  # every quarter is less, every longer period is not

Mark = tuple[int, int]  # a quarter, and what tells one change from the next


@dataclass(frozen=True, slots=True)
class Books:
    """How far an organization is counted, and its longest stored periods."""

    version: int
    counted_until: int
    watched: bool
    read_until: datetime
    verified_at: datetime
    longest: tuple[int, ...]


def books_of(organization: Any) -> AnySelect:
    """A row for each period that no longer one covers, beside the organization's own."""
    own = organizations.c
    return (
        select(own.version, own.counted_until, own.watched, own.read_until, own.verified_at, periods.c.period)
        .join_from(
            organizations,
            periods,
            and_(periods.c.org_id == organization, periods.c.covered.is_(false())),
            isouter=True,
        )
        .where(own.org_id == organization)
    )


def marks_of(organization: Any) -> AnySelect:
    """The organization's version, in a row for each quarter that is marked as changed; one at least."""
    own = organizations.c
    marked = and_(changed.c.org_id == organization, changed.c.number < own.counted_until)
    return (
        select(own.version, changed.c.number)
        .join_from(organizations, changed, marked, isouter=True)
        .where(own.org_id == organization)
        .distinct()  # a quarter that is written to all the time has many marks
        .limit(at_most(MOST_CHANGED))
    )


def marked_before(organization: Any) -> AnySelect:
    """The marks of quarters before one, as the database of the rows has them."""
    before: BindParameter[int] = bindparam("before", type_=changed.c.number.type)
    marked = select(changed.c.number, changed.c.mark).where(changed.c.org_id == organization, changed.c.number < before)
    return marked.order_by(changed.c.number, changed.c.mark).limit(at_most(MOST_CHANGED))


def stored_periods(organization: Any, *columns: str) -> AnySelect:
    """These columns of some periods, which are the parameter `periods`."""
    wanted: BindParameter[list[int]] = bindparam("periods", type_=Numbers())
    shown = [periods.c[name] for name in columns]
    return select(periods.c.period, *shown).where(periods.c.org_id == organization, is_among(periods.c.period, wanted))


def own_row(organization: Any) -> AnySelect:
    """The organization's own row."""
    return select(organizations).where(organizations.c.org_id == organization)


def uncovered_periods(organization: Any) -> AnySelect:
    """The periods that no longer one covers, and when something in each changed last."""
    kept = and_(periods.c.org_id == organization, periods.c.covered.is_(false()))
    return select(periods.c.period, periods.c.changed_at).where(kept).order_by(periods.c.period)


def first_quarter(organization: Any) -> AnySelect:
    """The first quarter from a number on that is stored."""
    number: BindParameter[int] = bindparam("number", type_=periods.c.period.type)
    kept = and_(periods.c.org_id == organization, periods.c.period >= number, periods.c.period < QUARTERS)
    return select(periods.c.period).where(kept).order_by(periods.c.period).limit(at_most(1))


class Stored:
    """The stored periods in a database, always the newest: replicas may be of different times."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def books(self, organization: str) -> Books | None:
        """The organization's books; None where nothing of it is counted."""
        rows = await self._rows(books_of, organization)
        if not rows:
            return None
        version, until, watched, read_until, verified_at, _ = rows[0]
        longest = tuple(row.period for row in rows if row.period is not None)
        return Books(version, until, watched, read_until, verified_at, longest)

    async def marked(self, organization: str) -> tuple[int | None, set[int]]:
        """The books' version, None where there are none, and the quarters that are marked as changed."""
        rows = await self._rows(marks_of, organization)
        return (rows[0].version if rows else None), {row.number for row in rows if row.number is not None}

    async def marks(self, organization: str, before: int) -> list[Mark]:
        """The marks of quarters before one, those of the oldest quarters first."""
        return [(row.number, row.mark) for row in await self._rows(marked_before, organization, before=before)]

    async def periods(self, organization: str, wanted: Sequence[int], columns: Sequence[str]) -> Sequence[AnyRow]:
        """These columns of these periods; one that is not there has no rows."""
        if not wanted:
            return []
        shown = tuple(columns)
        return await self._rows(stored_periods, organization, *shown, periods=list(wanted))

    async def first_counted(self, organization: str, number: int) -> int | None:
        """The first quarter from that one on that has rows, as it was counted."""
        found = await self._rows(first_quarter, organization, number=number)
        return found[0].period if found else None

    async def uncovered(self, organization: str) -> Sequence[AnyRow]:
        """The periods that no longer one covers, and when each was counted."""
        return await self._rows(uncovered_periods, organization)

    async def organization(self, id_: str) -> AnyRow | None:
        """The organization's own row."""
        rows = await self._rows(own_row, id_)
        return rows[0] if rows else None

    async def _rows(
        self, statement: Callable[..., AnySelect], organization: str, *shape: str, **values: Any
    ) -> Sequence[AnyRow]:
        compiled = self.database.compiled((statement, shape), lambda: statement(ORGANIZATION, *shape))
        given = {"organization": organization, **values}
        return compiled.rows(await self.database.run(compiled, given, newest=True))

    @asynccontextmanager
    async def writing(self, holder: str) -> AsyncIterator["PeriodWriter"]:
        """A transaction of the process that counts; `LeaseLost`, and nothing written, where another one does."""
        async with self.database.transaction() as connection:
            # First of all: on SQLite it makes this the writer, on PostgreSQL it holds up whoever would take over.
            beaten = await connection.execute(
                update(counting_lease)
                .where(counting_lease.c.id == 1, counting_lease.c.holder == holder)
                .values(beat=counting_lease.c.beat + 1)
            )
            if beaten.rowcount != 1:
                raise LeaseLost("Another process has begun to count.")
            yield PeriodWriter(connection)


@dataclass(frozen=True, slots=True)
class PeriodWriter:
    """Writes what was counted, in one transaction."""

    connection: AsyncConnection

    async def open_books(self, id_: str, now: datetime, *, watched: bool) -> None:
        """The organization's row, with nothing counted; what there may be of it is gone."""
        await self.close_books(id_)
        row = {"org_id": id_, "version": 0, "counted_until": 0, "watched": watched, "read_until": now}
        await self.connection.execute(insert(organizations), {**row, "verified_at": now, "verified_until": 0})

    async def close_books(self, id_: str) -> None:
        """Nothing of an organization is counted any more."""
        for table in (periods, changed, organizations):
            await self.connection.execute(delete(table).where(table.c.org_id == id_))

    async def note(self, id_: str, **values: Any) -> None:
        """Change the organization's row. Its version is another one afterwards."""
        await self.connection.execute(
            update(organizations)
            .where(organizations.c.org_id == id_)
            .values(version=organizations.c.version + 1, **values)
        )

    async def mark(self, id_: str, marks: Mapping[int, int]) -> None:
        """Mark quarters as changed, each with its newest mark."""
        if marks:
            await self._unmark(id_, list(marks))
            rows = [{"org_id": id_, "number": number, "mark": mark} for number, mark in marks.items()]
            await self.connection.execute(insert(changed), rows)

    async def unmark(self, id_: str, marks: Iterable[Mark]) -> None:
        """These marks are done with; younger ones of the same quarters stay."""
        condition = and_(
            changed.c.org_id == id_, changed.c.number == bindparam("of"), changed.c.mark == bindparam("seen")
        )
        rows = [{"of": number, "seen": mark} for number, mark in marks]
        if rows:
            await self.connection.execute(delete(changed).where(condition), rows)

    async def _unmark(self, id_: str, numbers: Sequence[int]) -> None:
        wanted = and_(changed.c.org_id == id_, is_among(changed.c.number, _numbers(numbers)))
        await self.connection.execute(delete(changed).where(wanted))

    async def replace(
        self, id_: str, counted: Mapping[int, dict[str, Any] | None], changed_at: datetime | None = None
    ) -> None:
        """Quarters as they were counted anew, None for one without rows; longer periods that held them are gone.

        They changed at that time, or else as they ended.
        """
        numbers = list(counted)
        await self._forget(id_, numbers)
        gone = sorted({longer for number in numbers for longer in ancestors_of(number)})
        there = await self.connection.execute(
            select(periods.c.period).where(periods.c.org_id == id_, is_among(periods.c.period, _numbers(gone)))
        )
        gone = [row.period for row in there]
        await self._forget(id_, gone)
        await self._cover(id_, [child for longer in gone for child in children_of(longer)], covered=False)
        rows = [
            self._row(id_, number, {**row, "changed_at": changed_at or start_of(number + 1)})
            for number, row in counted.items()
            if row is not None
        ]
        if rows:
            await self.connection.execute(insert(periods), rows)

    async def build(self, id_: str, built: Mapping[int, dict[str, Any]]) -> None:
        """Longer periods, which cover what they are made up of."""
        if built:
            await self.connection.execute(insert(periods), [self._row(id_, *of) for of in built.items()])
            await self._cover(id_, [child for longer in built for child in children_of(longer)], covered=True)

    async def _forget(self, id_: str, numbers: Sequence[int]) -> None:
        if numbers:
            wanted = and_(periods.c.org_id == id_, is_among(periods.c.period, _numbers(numbers)))
            await self.connection.execute(delete(periods).where(wanted))

    async def _cover(self, id_: str, numbers: Sequence[int], *, covered: bool) -> None:
        if numbers:
            wanted = and_(periods.c.org_id == id_, is_among(periods.c.period, _numbers(numbers)))
            await self.connection.execute(update(periods).where(wanted).values(covered=covered))

    @staticmethod
    def _row(id_: str, of: int, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"org_id": id_, "period": of, "covered": False, **row}


def is_same(stored: AnyRow, row: Mapping[str, Any] | None) -> bool:
    """Whether a quarter was counted to what is stored of it."""
    return row is not None and all(stored._mapping[name] == row[name] for name in (*COUNT_COLUMNS, *STORED_COLUMNS))


def _numbers(numbers: Sequence[int]) -> BindParameter[list[int]]:
    return bindparam(None, list(numbers), type_=Numbers())
