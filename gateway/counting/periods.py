"""Periods of time: quarters of an hour of UTC since 1970, and periods of 8, 64, 512 … quarters.

A period is one number: its level above, its number on that level below. Any stretch of quarters is a few periods, since
of each level it needs no more than 7 at either end.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

QUARTER = timedelta(minutes=15)
FACTOR = 8
TOP = 7  # the level of the longest, 60 years
FIRST_QUARTER = 315_532_800 // 900  # 1980, since when hours and days of all zones start with a quarter
_SHIFT = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Quarters = tuple[int, int]  # quarters, the end excluded


def number_at(time: datetime) -> int:
    """The number of the quarter that an instant lies in."""
    return (time - _EPOCH) // QUARTER


def number_from(time: datetime) -> int:
    """The number of the first quarter that starts at an instant or later."""
    return -((_EPOCH - time) // QUARTER)


def start_of(number: int) -> datetime:
    """The first instant of a quarter."""
    return _EPOCH + number * QUARTER


def period(level: int, number: int) -> int:
    """The period of that number on a level; a quarter is its own number."""
    return level << _SHIFT | number


def level_of(of: int) -> int:
    """The level of a period: 0 for quarters."""
    return of >> _SHIFT


def stretch_of(of: int) -> Quarters:
    """The quarters of a period."""
    size = FACTOR ** level_of(of)
    start = (of & (1 << _SHIFT) - 1) * size
    return start, start + size


def parent_of(of: int) -> int:
    """The period of the next level that holds it."""
    return period(level_of(of) + 1, (of & (1 << _SHIFT) - 1) // FACTOR)


def children_of(of: int) -> list[int]:
    """The periods of the level below."""
    first = (of & (1 << _SHIFT) - 1) * FACTOR
    return [period(level_of(of) - 1, first + n) for n in range(FACTOR)]


def ancestors_of(of: int) -> list[int]:
    """The longer periods that hold it, the shortest first."""
    found = []
    while level_of(of) < TOP:
        of = parent_of(of)
        found.append(of)
    return found


def cover(stored: Iterable[int], wanted: Sequence[Quarters]) -> Iterator[int]:
    """The longest periods that are among the stored ones, or parts of them, and make up the wanted stretches."""
    for of in stored:
        yield from _parts(of, wanted)


def _parts(of: int, wanted: Sequence[Quarters]) -> Iterator[int]:
    start, end = stretch_of(of)
    within = [stretch for stretch in wanted if stretch[0] < end and start < stretch[1]]
    if not within:
        return
    if within[0][0] <= start and end <= within[0][1]:
        yield of
        return
    for child in children_of(of):
        yield from _parts(child, within)


def joined(numbers: Iterable[int], most: int) -> list[Quarters]:
    """Stretches that hold these quarters, at most so many: those that lie nearest are joined, with what is between."""
    stretches: list[Quarters] = []
    for number in sorted(numbers):
        if stretches and stretches[-1][1] >= number:
            stretches[-1] = stretches[-1][0], number + 1
        else:
            stretches.append((number, number + 1))
    if len(stretches) <= most:
        return stretches
    gaps = sorted(range(1, len(stretches)), key=lambda n: stretches[n][0] - stretches[n - 1][1], reverse=True)
    cuts = [0, *sorted(gaps[: most - 1]), len(stretches)]
    return [(stretches[low][0], stretches[high - 1][1]) for low, high in pairwise(cuts)]


def without(start: int, end: int, holes: Sequence[Quarters]) -> list[Quarters]:
    """What a stretch is without these, which are in order and apart."""
    left = []
    for low, high in holes:
        if start < min(low, end):
            left.append((start, min(low, end)))
        start = max(start, high)
    if start < end:
        left.append((start, end))
    return left
