"""Columns that follow from others, kept so that lists can be filtered by them.

`gateway.doctor.repairs` has the SQL by which a platform's own tables keep the first two; tests hold it against these.
"""

import json
from typing import Any, NoReturn

from gateway.reading.hosts import host_of
from gateway.reading.masking import mask_text
from gateway.reading.payload import BatchCallbackEvent

KNOWN_EVENTS = frozenset(event.value for event in BatchCallbackEvent)


def derived_columns(callback_url: str | None, body: bytes | None) -> dict[str, Any]:
    """`callback_host` and `event` of a delivery."""
    return {"callback_host": host_of(callback_url), "event": event_of(body)}


def event_of(body: bytes | None) -> str | None:
    """The event that a body tells, whatever else is in it: `batch.failed` for `{"event": "batch.failed"}`.

    The body is a JSON object, whose last `event` is one of the four. Its texts may be of any encoding that keeps ASCII,
    UTF-8 or none.
    """
    try:
        told = json.loads((body or b"").decode("latin-1"), parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    event = told.get("event") if isinstance(told, dict) else None
    return event if isinstance(event, str) and event in KNOWN_EVENTS else None


def masked_error(error_message: str | None) -> str | None:
    """`error_message_masked` of an attempt: None where there is nothing to mask."""
    masked = None if error_message is None else mask_text(error_message)
    return None if masked == error_message else masked


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
