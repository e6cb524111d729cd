"""Local hours and days, where clocks move and where they are odd."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from gateway.database.dialects import SLOT, SLOTS_SINCE
from gateway.errors import ValidationFailed
from gateway.reading.local_time import Stretch, edges, instant, zone_named

HOUR, DAY = Stretch.HOUR, Stretch.DAY


def _between(zone: str, stretch: Stretch, first: str, last: str) -> list[str]:
    found = edges(zone_named(zone), stretch, datetime.fromisoformat(first), datetime.fromisoformat(last))
    return [instant(edge).strftime("%d %H:%M:%S").removesuffix(":00") for edge in found]


@pytest.mark.parametrize(
    ("zone", "first", "last", "expected"),
    [
        ("UTC", "2026-05-06T00:00Z", "2026-05-06T23:59:59.999999Z", ["06 00:00", "07 00:00"]),
        ("Europe/Berlin", "2026-03-29T12:00Z", "2026-03-30T12:00Z", ["28 23:00", "29 22:00", "30 22:00"]),
        ("Europe/Berlin", "2026-10-25T12:00Z", "2026-10-25T22:59Z", ["24 22:00", "25 23:00"]),
        ("America/New_York", "2026-03-08T12:00Z", "2026-03-08T12:00Z", ["08 05:00", "09 04:00"]),
        ("America/New_York", "2026-11-01T12:00Z", "2026-11-01T12:00Z", ["01 04:00", "02 05:00"]),
        ("Asia/Kathmandu", "2026-05-06T18:14:59Z", "2026-05-06T18:15Z", ["05 18:15", "06 18:15", "07 18:15"]),
        ("Australia/Lord_Howe", "2026-04-04T20:00Z", "2026-04-04T20:00Z", ["04 13:00", "05 13:30"]),
        ("Australia/Lord_Howe", "2026-10-03T20:00Z", "2026-10-03T20:00Z", ["03 13:30", "04 13:00"]),
        # Midnight is skipped: the day starts at one o'clock.
        ("America/Santiago", "2026-09-06T12:00Z", "2026-09-06T12:00Z", ["06 04:00", "07 03:00"]),
        # The clock jumped from half past eleven to half past twelve.
        ("America/Toronto", "1919-03-30T12:00Z", "1919-03-31T12:00Z", ["30 05:00", "31 04:30", "01 04:00"]),
        # One minute after midnight it was an hour earlier again: the day starts at the first midnight.
        ("America/St_Johns", "2011-11-06T03:00Z", "2011-11-06T03:00Z", ["06 02:30", "07 03:30"]),
        ("America/St_Johns", "2011-11-09T03:00Z", "2011-11-09T03:00Z", ["08 03:30", "09 03:30"]),
        # The thirtieth of December was none.
        ("Pacific/Apia", "2011-12-29T12:00Z", "2011-12-31T12:00Z", ["29 10:00", "30 10:00", "31 10:00", "01 10:00"]),
        # Before 1893 Berlin was 53 minutes and 28 seconds ahead.
        ("Europe/Berlin", "1892-12-31T12:00Z", "1892-12-31T12:00Z", ["30 23:06:32", "31 23:06:32"]),
        ("Europe/Berlin", "1893-04-01T12:00Z", "1893-04-01T12:00Z", ["31 23:06:32", "01 23:00"]),
    ],
)
def test_days(zone: str, first: str, last: str, expected: list[str]) -> None:
    assert _between(zone, DAY, first, last) == expected


@pytest.mark.parametrize(
    ("zone", "first", "last", "expected"),
    [
        ("UTC", "2026-05-06T10:00Z", "2026-05-06T11:00Z", ["06 10:00", "06 11:00", "06 12:00"]),
        ("Asia/Kathmandu", "2026-05-06T10:00Z", "2026-05-06T10:15Z", ["06 09:15", "06 10:15", "06 11:15"]),
        ("Europe/Berlin", "2026-03-29T00:30Z", "2026-03-29T01:30Z", ["29 00:00", "29 01:00", "29 02:00"]),
        ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T01:30Z", ["25 00:00", "25 01:00", "25 02:00"]),
        # Lord Howe moves by half an hour: the hour that the jump cuts is as long as what is left of it.
        (
            "Australia/Lord_Howe",
            "2026-10-03T15:00Z",
            "2026-10-03T16:30Z",
            ["03 14:30", "03 15:30", "03 16:00", "03 17:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T14:00Z",
            "2026-04-04T15:59Z",
            ["04 14:00", "04 15:00", "04 15:30", "04 16:30"],
        ),
        # At half past two it was three.
        ("America/Caracas", "2016-05-01T06:45Z", "2016-05-01T07:15Z", ["01 06:30", "01 07:00", "01 08:00"]),
        # One minute after midnight the clock was put back by an hour.
        (
            "America/St_Johns",
            "2011-11-06T02:00Z",
            "2011-11-06T03:45Z",
            ["06 01:30", "06 02:30", "06 03:30", "06 04:30"],
        ),
        ("America/St_Johns", "2011-03-13T03:00Z", "2011-03-13T04:00Z", ["13 02:30", "13 03:30", "13 04:30"]),
        ("Europe/Berlin", "1893-03-31T22:30Z", "1893-03-31T23:30Z", ["31 22:06:32", "31 23:06:32", "01 00:00"]),
    ],
)
def test_hours(zone: str, first: str, last: str, expected: list[str]) -> None:
    assert _between(zone, HOUR, first, last) == expected


def test_the_last_stretch_holds_the_last_instant() -> None:
    first, tick = datetime(2026, 5, 6, tzinfo=UTC), timedelta(microseconds=1)
    day = timedelta(days=1)
    assert len(edges(ZoneInfo("UTC"), DAY, first, first + 2000 * day - tick)) == 2001
    with pytest.raises(ValidationFailed):
        edges(ZoneInfo("UTC"), DAY, first, first + 2000 * day)


@pytest.mark.parametrize("years", [(1980, 1990), (2011, 2014), (2026, 2031)])
def test_since_1980_every_day_of_every_zone_starts_with_a_slot(years: tuple[int, int]) -> None:
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    span = range(int(begin.timestamp()), int(end.timestamp()), 45 * 86400)
    assert begin >= datetime.fromisoformat(SLOTS_SINCE)
    for name in sorted(available_timezones()):
        offsets = {instant(second).astimezone(ZoneInfo(name)).utcoffset() for second in span}
        assert not any(offset is None or offset % timedelta(seconds=SLOT) for offset in offsets), name


def test_stretches_follow_each_other(subtests: pytest.Subtests) -> None:
    for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Antarctica/Vostok", "Africa/Cairo"):
        with subtests.test(zone):
            found = edges(ZoneInfo(zone), DAY, datetime(1985, 1, 1, tzinfo=UTC), datetime(1990, 1, 1, tzinfo=UTC))
            assert all(before < after for before, after in pairwise(found))
            assert not any(edge % SLOT for edge in found)
