"""What a filter keeps, in plain Python: written from the filters' descriptions, not from their SQL."""

from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts
from gateway.reading.filters import (
    BatchFilter,
    CallbackAttemptFilter,
    CallbackDeliveryFilter,
    ContainsFilter,
    IdFilter,
    IntFilter,
    MetadataFilter,
    TextFilter,
    TimeFilter,
    UrlFilter,
)
from tests.support.rows import Rows

AnyFilter = BatchFilter | CallbackDeliveryFilter | CallbackAttemptFilter
Row = dict[str, Any]


def keeps(filter_: AnyFilter | None, row: Row, rows: Rows, now: datetime) -> bool:
    """Does the filter keep this row, among these rows, at this time?"""
    if filter_ is None:
        return True
    if isinstance(filter_, BatchFilter):
        return _keeps_batch(filter_, row, rows, now)
    if isinstance(filter_, CallbackDeliveryFilter):
        return _keeps_delivery(filter_, row, rows, now)
    return _keeps_attempt(filter_, row)


def _keeps_attempt(asked: CallbackAttemptFilter, row: Row) -> bool:
    return (
        _listed(asked.id, row["id"])
        and _listed(asked.delivery_id, row["delivery_id"])
        and _compared(asked.attempt_number, row["attempt_number"])
        and _compared(asked.status_code, row.get("status_code"))
        and _compared(asked.response_time_ms, row.get("response_time_ms"))
        and _contains(asked.error_message, row.get("error_message"))
        and _compared(asked.created_at, row["created_at"])
    )


def _keeps_delivery(asked: CallbackDeliveryFilter, row: Row, rows: Rows, now: datetime) -> bool:
    in_flight = row.get("completed_at") is None
    due = row.get("next_attempt_at")
    overdue = in_flight and due is not None and due < now
    some = asked.attempts.some if asked.attempts else None
    return (
        _listed(asked.id, row["id"])
        and _listed(asked.batch_id, row["batch_id"])
        and _listed(asked.status_code, row.get("status_code"))
        and _listed(asked.failure_reason_code, row.get("failure_reason_code"))
        and asked.is_automatic in {None, row.get("is_automatic")}
        and asked.in_flight in {None, in_flight}
        and asked.overdue in {None, overdue}
        and _compared(asked.created_at, row["created_at"])
        and _compared(asked.completed_at, row.get("completed_at"))
        and _compared(asked.next_attempt_at, due)
        and _compared(asked.attempt_count, row.get("attempt_count"))
        and _url(asked.callback_url, row.get("callback_url"))
        and _listed(asked.callback_host, row.get("callback_host"))
        and _listed(asked.event, row.get("event"))
        and (some is None or any(_keeps_attempt(some, attempt) for attempt in attempts_of(row, rows)))
    )


def _keeps_batch(asked: BatchFilter, row: Row, rows: Rows, now: datetime) -> bool:
    some = asked.callback_deliveries.some if asked.callback_deliveries else None
    none = asked.callback_deliveries.none if asked.callback_deliveries else None
    children = [child for child in rows.get(batch_callback_deliveries, []) if child["batch_id"] == row["id"]]
    return (
        _listed(asked.id, row["id"])
        and _listed(asked.status_code, row.get("status_code"))
        and _compared(asked.created_at, row["created_at"])
        and _compared(asked.completed_at, row.get("completed_at"))
        and _listed(asked.failure_code, row.get("failure_code"))
        and _metadata(asked.metadata, row.get("metadata"))
        and (some is None or any(_keeps_delivery(some, child, rows, now) for child in children))
        and (none is None or not any(_keeps_delivery(none, child, rows, now) for child in children))
    )


def attempts_of(delivery: Row, rows: Rows) -> list[Row]:
    """The attempts of a delivery."""
    return [row for row in rows.get(batch_callback_delivery_attempts, []) if row["delivery_id"] == delivery["id"]]


def _listed(asked: IdFilter | TextFilter | None, value: str | None) -> bool:
    if asked is None:
        return True
    return (
        (asked.eq is None or value == asked.eq)
        and (asked.in_ is None or (value is not None and value in asked.in_))
        and (asked.not_in is None or value is None or value not in asked.not_in)
        and _nullness(asked, value)
    )


def _compared(asked: IntFilter | TimeFilter | None, value: Any) -> bool:
    if asked is None:
        return True
    compared = {"eq": eq, "gte": ge, "gt": gt, "lte": le, "lt": lt}
    bounds = {name: getattr(asked, name) for name in compared if getattr(asked, name) is not None}
    return _nullness(asked, value) and all(
        value is not None and compared[name](value, bound) for name, bound in bounds.items()
    )


def _contains(asked: ContainsFilter | None, value: str | None) -> bool:
    if asked is None:
        return True
    return _nullness(asked, value) and (asked.contains is None or (value is not None and asked.contains in value))


def _url(asked: UrlFilter | None, value: str | None) -> bool:
    if asked is None:
        return True
    return (
        _nullness(asked, value)
        and (asked.eq is None or value == asked.eq)
        and (asked.starts_with is None or (value is not None and value.startswith(asked.starts_with)))
    )


def _metadata(asked: MetadataFilter | None, value: Any) -> bool:
    if asked is None:
        return True
    for key in asked.path:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    kinds = (bool, str, (int, float))
    return value == asked.eq and _kind(value, kinds) == _kind(asked.eq, kinds)


def _kind(value: Any, kinds: tuple[Any, ...]) -> int:
    return next((number for number, kind in enumerate(kinds) if isinstance(value, kind)), -1)


def _nullness(asked: Any, value: Any) -> bool:
    is_null = getattr(asked, "is_null", None)
    return is_null is None or is_null == (value is None)
