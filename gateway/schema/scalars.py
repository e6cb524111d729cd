"""The scalars beside GraphQL's own, and how ids are read."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from msgspec import Raw
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types.scalar import ScalarDefinition

from gateway.database.odd import FIRST, LAST, Unreadable
from gateway.errors import UnreadableValue, ValidationFailed

Long = NewType("Long", int)
SMALLEST_LONG, LARGEST_LONG = -(2**63), 2**63 - 1
DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def canonical_id(value: str, argument: str = "id") -> str:
    """An id as the database writes it: lower case, hyphens. `ValidationFailed` where it is no UUID."""
    try:
        return str(UUID(value))
    except ValueError:
        raise ValidationFailed(f"{argument} must be a UUID such as 7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f11.") from None


def format_time(value: datetime) -> str:
    """The contract's form of an instant: UTC with a `Z`, six fraction digits where there are any.

    One beyond the years 1 to 9999 in UTC is the first or the last instant of these. `UnreadableValue` for what is no
    instant, since it has no offset.
    """
    if isinstance(value, Unreadable) or value.tzinfo is None:
        raise UnreadableValue
    try:
        time = value.astimezone(UTC)
    except OverflowError:
        time = FIRST if value.year == 1 else LAST
    return f"{time.replace(tzinfo=None).isoformat()}Z"


def parse_time(value: Any) -> datetime:
    """An instant from the text that RFC 3339 calls `date-time`; digits beyond the sixth of a fraction are cut.

    There is no leap second, no year 0, and no instant beyond the years 1 to 9999 in UTC.
    """
    if isinstance(value, str) and DATE_TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("expected a time with an offset such as 2026-05-06T10:00:00Z")


def format_long(value: Any) -> int:
    """A whole number of 64 bits; `UnreadableValue` for any other."""
    if type(value) is not int or not SMALLEST_LONG <= value <= LARGEST_LONG:
        raise UnreadableValue
    return value


def parse_long(value: Any) -> int:
    """The same from a client; `1e3` is a whole number, too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not SMALLEST_LONG <= value <= LARGEST_LONG:
        raise ValueError("expected a whole number of 64 bits")
    return value


def json_value(value: Any) -> Any:
    """A JSON value, which may be kept as its text; `UnreadableValue` for what is none."""
    if isinstance(value, Unreadable):
        raise UnreadableValue
    return json.loads(bytes(value)) if isinstance(value, Raw) else value


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, the `date-time` of RFC 3339. In answers always UTC with a `Z`, with six fraction "
        "digits or none; in arguments with any offset.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        serialize=format_time,
        parse_value=parse_time,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number from -2^63 to 2^63 - 1, as a JSON number.",
        serialize=format_long,
        parse_value=parse_long,
    ),
    JSON: replace(DEFAULT_SCALAR_REGISTRY[JSON], serialize=json_value),
}

CONFIG = StrawberryConfig(scalar_map=SCALARS)
