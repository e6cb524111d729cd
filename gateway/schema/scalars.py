"""The scalars beside GraphQL's own, and how ids are read."""

import json
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

from gateway.errors import ValidationFailed

Long = NewType("Long", int)


def canonical_id(value: str, argument: str = "id") -> str:
    """An id as the database writes it: lower case, hyphens. `ValidationFailed` where it is no UUID."""
    try:
        return str(UUID(value))
    except ValueError:
        raise ValidationFailed(f"{argument} must be a UUID such as 7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f11.") from None


def format_time(value: datetime) -> str:
    """The contract's form of an instant: UTC with a `Z`, six fraction digits where there are any.

    A time without an offset, which only a payload can hold, stays without one; so does an offset that leads out of
    all years.
    """
    try:
        return (
            value.isoformat() if value.tzinfo is None else f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
        )
    except OverflowError:
        return value.isoformat()


def parse_time(value: Any) -> datetime:
    """An instant from RFC 3339 text; an offset is required."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("expected a time with an offset such as 2026-05-06T10:00:00Z")


def json_value(value: Any) -> Any:
    """A JSON value, which may be kept as its text."""
    return json.loads(value) if isinstance(value, Raw) else value


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, RFC 3339. Always UTC with a `Z`; six fraction digits where there are any.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=format_time,
        parse_value=parse_time,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of up to 64 bits, as a JSON number.",
        serialize=int,
        parse_value=int,
    ),
    JSON: replace(DEFAULT_SCALAR_REGISTRY[JSON], serialize=json_value),
}

CONFIG = StrawberryConfig(scalar_map=SCALARS)
