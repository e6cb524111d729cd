"""How a delivery in flight stands, told from the values of its row."""

from datetime import datetime
from math import ceil


def is_in_flight(completed_at: datetime | None) -> bool:
    """Whether the delivery neither succeeded nor was given up yet."""
    return completed_at is None


def is_overdue(completed_at: datetime | None, next_attempt_at: datetime | None, now: datetime) -> bool:
    """Whether the delivery is in flight and its next attempt was due before now."""
    return completed_at is None and next_attempt_at is not None and next_attempt_at < now


def has_next_attempt(
    completed_at: datetime | None, next_attempt_at: datetime | None, attempt_count: int | None, max_attempts: int | None
) -> bool:
    """Whether the delivery is in flight, has a next attempt planned, and attempts left."""
    has_left = attempt_count is None or max_attempts is None or attempt_count < max_attempts
    return completed_at is None and next_attempt_at is not None and has_left


def seconds_to_next_attempt(
    completed_at: datetime | None, next_attempt_at: datetime | None, now: datetime
) -> int | None:
    """Seconds until the next attempt, rounded up: 0 where it is due, None where there will be none."""
    if completed_at is not None or next_attempt_at is None:
        return None
    return max(0, ceil((next_attempt_at - now).total_seconds()))
