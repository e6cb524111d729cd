"""What stands for a stored value that its column should not hold.

SQLite takes any value in any column; PostgreSQL has years, infinities and numbers that Python or GraphQL has not. Such
a value spoils its own place in an answer, nothing beside it. A time beyond the years 1 to 9999 is shown as the first or
the last instant of these, as infinity is. Whatever else is not what its column says is an `Unreadable`: null, with an
error where there is a place for one.

Rows are ordered by what the database holds: `stored` is that, for cursors.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.errors import UnreadableValue

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
ONE_MICROSECOND = timedelta(microseconds=1)
AS_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
LAST_NUMBER = 2**63 - 1
BEYOND_64_BITS = 2**63
LARGEST = 2**31 - 1  # that a column of whole numbers is declared to hold


class Unreadable:
    """A value that is not what its column says; the subclasses stand for those of one kind of column."""

    stored: Any


class UnreadableText(Unreadable):
    """One in a column of JSON, of decimal digits or of booleans."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored

    def __str__(self) -> str:
        # GraphQL's own scalars write whatever can be written as text.
        raise UnreadableValue


class UnreadableNumber(Unreadable, int):
    """One in a column of whole numbers: greater than any of them, so that it can be compared, and is never written."""

    def __new__(cls, stored: Any) -> "UnreadableNumber":
        made = int.__new__(cls, BEYOND_64_BITS)
        made.stored = stored
        return made


class OddTime(datetime):
    """An instant that the database holds in another form, or beyond Python's years: then the nearest that there is."""

    stored: Any

    @classmethod
    def at(cls, time: datetime, stored: Any) -> "OddTime":
        """The same instant, in UTC, that is stored so."""
        made = cls.combine(time.date(), time.time(), UTC)
        made.stored = stored
        return made


class UnreadableTime(OddTime, Unreadable):
    """A value in a column of times that tells none; it compares as what stands where it stands in an order."""


def read_microseconds(since: datetime, microseconds: int) -> datetime:
    """The instant so many microseconds after another; PostgreSQL's infinities are the ends of 64 bits."""
    try:
        return since + timedelta(0, 0, microseconds)
    except OverflowError:
        return OddTime.at(FIRST if microseconds < 0 else LAST, microseconds)


def read_time(stored: Any, *, nullable: bool) -> datetime:
    """The instant in a column of SQLite, whatever it is: a text without a zone is taken for UTC, as SQLite takes it.

    What is none is unreadable, but in a column that is never null, which has no place for an error: there it is the
    first or last instant, whichever it is nearer to in the order of the rows.
    """
    if isinstance(stored, str):
        try:
            time = datetime.fromisoformat(stored)
        except ValueError:
            pass
        else:
            if AS_WRITTEN.fullmatch(stored):
                return time
            try:
                return OddTime.at(time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC), stored)
            except OverflowError:
                return OddTime.at(FIRST if time.year == 1 else LAST, stored)
    first = isinstance(stored, int | float) or (isinstance(stored, str) and stored < "0001")
    return (UnreadableTime if nullable else OddTime).at(FIRST if first else LAST, stored)


def read_number(stored: Any, *, nullable: bool) -> int:
    """The whole number in a column, whatever it holds. Where null cannot be, no number goes beyond 32 bits."""
    if nullable:
        return stored if type(stored) is int else UnreadableNumber(stored)
    if isinstance(stored, int | float) and stored == stored:  # noqa: PLR0124 - not NaN
        return int(min(max(stored, -LARGEST), LARGEST))
    return LARGEST


def read_json(stored: Any) -> Any:
    """The JSON value in a column, unless it is none that Python can read: too deep, a number of 5,000 digits."""
    if not isinstance(stored, str | bytes):
        return stored
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return UnreadableText(stored)
