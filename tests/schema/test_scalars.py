"""What the scalars promise, both ways."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.database.odd import read_json, read_time
from gateway.errors import UnreadableValue
from gateway.schema.query import sdl
from gateway.schema.scalars import DATE_TIME, format_long, format_time, json_value, parse_long, parse_time

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20t10:00:00z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00+00:00", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00-00:00", "2026-11-20T10:00:00Z"),
        ("2026-11-20T15:30:00+05:30", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00.5Z", "2026-11-20T10:00:00.500000Z"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_an_instant_is_read_as_rfc_3339_writes_it(text: str, instant: str) -> None:
    assert format_time(parse_time(text)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-W47-5T10Z", "2026-W47-5T10:00:00Z", "2026-324T10:00:00Z", "20261120T100000Z", "2026-11-20T10:00Z",
        "2026-11-20T10Z", "2026-11-20", "2026-11-20T10:00:00", "2026-11-20 10:00:00Z", "2026-11-20T10:00:00+05:30:15",
        "2026-11-20T10:00:00+0530", "2026-11-20T10:00:00+05", "2026-11-20T10:00:00+24:00", "2026-11-20T10:00:00+05:60",
        "2026-11-20T10:00:00,5Z", "2026-11-20T10:00:00.Z", "2026-11-20T24:00:00Z", "2026-11-20T23:59:60Z",
        "2026-02-30T10:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-05:00",
        "2026-11-20T10:00:00Z\n", " 2026-11-20T10:00:00Z", "٢٠٢٦-11-20T10:00:00Z", "+2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00 Z", "2026-11-20T10:00:00UTC", "", "now", 1778061600, 1.5, True, None, [], {},
    ],
)  # fmt: skip
def test_what_rfc_3339_does_not_write_is_no_instant(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a time with an offset"):
        parse_time(text)


@given(st.datetimes(datetime(2, 1, 1), datetime(9999, 1, 1), timezones=OFFSETS | st.just(UTC)))  # noqa: DTZ001
def test_every_instant_is_written_as_rfc_3339_and_read_back(time: datetime) -> None:
    written = format_time(time)
    assert DATE_TIME.fullmatch(written)
    assert written.endswith("Z")
    assert parse_time(written) == time


@pytest.mark.parametrize("time", [datetime(2026, 11, 20, 10), read_time("soon", nullable=True)])  # noqa: DTZ001
def test_what_is_no_instant_is_not_written(time: datetime) -> None:
    with pytest.raises(UnreadableValue):
        format_time(time)


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_a_long_is_a_whole_number_of_64_bits(number: int) -> None:
    assert format_long(number) == parse_long(number) == number


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**20, 10**400, 1.5, "1", True, None, [], 1e300, float("inf")])
def test_nothing_else_is_a_long(value: Any) -> None:
    with pytest.raises(UnreadableValue):
        format_long(value)
    with pytest.raises(ValueError, match="expected a whole number of 64 bits"):
        parse_long(value)


def test_a_long_may_be_written_with_an_exponent() -> None:
    assert parse_long(1e3) == 1000


def test_json_may_be_kept_as_its_text() -> None:
    assert json_value(Raw(b'{"a":[1,1.5,null,"\xc3\xa9"]}')) == {"a": [1, 1.5, None, "é"]}
    assert json_value({"a": 1}) == {"a": 1}
    with pytest.raises(UnreadableValue):
        json_value(read_json("{"))


def test_the_specification_that_is_named_is_the_one_that_is_kept() -> None:
    assert 'scalar DateTime @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")' in sdl()
