"""Hours and days of a time zone, as stretches of time.

The clock of a zone is put forward and back. A local day starts at the first midnight that the clock shows, or when it
jumps over midnight; it has as many hours as that leaves, and a date that a zone skipped is no day. A local hour starts
when the clock shows a full hour, by the offset before a change or the one after: an hour that the clock shows twice is
two, one that it skips is none, and where it moves by half an hour one hour has thirty minutes.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from gateway.errors import ValidationFailed

MOST_STRETCHES = 2000
UNIX_EPOCH = datetime.fromtimestamp(0, UTC)
SECOND = timedelta(seconds=1)
HOUR = 3600
DAY = 24 * HOUR


class Stretch(Enum):
    """What time is cut into."""

    HOUR = HOUR
    DAY = DAY


def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone; `ValidationFailed` where there is none of this name."""
    if name not in _zone_names():
        raise ValidationFailed(f"timeZone {name!r} is not an IANA time zone such as `Europe/Berlin`.")
    return ZoneInfo(name)


def edges(zone: ZoneInfo, stretch: Stretch, first: datetime, last: datetime) -> list[int]:
    """The starts of the stretches from the one that holds `first` to the one that holds `last`, and the last one's end.

    In seconds since 1970. `ValidationFailed` where there are more than 2,000 stretches.
    """
    begin, end = (first - UNIX_EPOCH) // SECOND, (last - UNIX_EPOCH) // SECOND
    start = following = _following(zone, stretch, begin - 3 * stretch.value)
    while following <= begin:
        start, following = following, _following(zone, stretch, following)
    found = [start, following]
    while following <= end:
        if len(found) > MOST_STRETCHES:
            raise ValidationFailed(
                f"A timeline has at most {MOST_STRETCHES} buckets: narrow `createdAt` in the filter, or ask for days."
            )
        following = _following(zone, stretch, following)
        found.append(following)
    return found


def instant(seconds: int) -> datetime:
    """The instant so many seconds after 1970."""
    return UNIX_EPOCH + timedelta(seconds=seconds)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime"}  # what a machine is set to is nobody's zone by name


def _following(zone: ZoneInfo, stretch: Stretch, after: int) -> int:
    """The first start of a stretch after a second."""
    return _following_hour(zone, after) if stretch is Stretch.HOUR else _following_day(zone, after)


def _following_hour(zone: ZoneInfo, after: int) -> int:
    offset = _offset(zone, after)
    full = after + HOUR - (after + offset) % HOUR
    if _offset(zone, full - 1) == offset:
        return full
    changed = after + bisect_left(range(full - after), True, key=lambda second: _offset(zone, after + second) != offset)
    return changed + -(changed + _offset(zone, changed)) % HOUR


def _following_day(zone: ZoneInfo, after: int) -> int:
    day = _local(zone, after).date()
    while True:
        day += timedelta(days=1)
        start = _start_of_day(zone, day)
        if start > after:
            return start


def _start_of_day(zone: ZoneInfo, day: date) -> int:
    midnight = datetime.combine(day, time())
    start = (midnight.replace(tzinfo=zone) - UNIX_EPOCH) // SECOND
    if _local(zone, start).replace(tzinfo=None) == midnight:
        return start
    # The clock skips this midnight: the day starts when it jumps.
    offset = _offset(zone, start)
    return start - DAY + bisect_left(range(DAY), True, key=lambda second: _offset(zone, start - DAY + second) == offset)


def _offset(zone: ZoneInfo, second: int) -> int:
    return (_local(zone, second).utcoffset() or timedelta()) // SECOND


def _local(zone: ZoneInfo, second: int) -> datetime:
    return instant(second).astimezone(zone)
