"""Columns that follow from others, kept so that lists can be filtered by them."""

from typing import Any

from gateway.reading.contract import BatchCallbackPayload
from gateway.reading.hosts import host_of
from gateway.reading.masking import mask_text


def derived_columns(callback_url: str | None, payload: BatchCallbackPayload | None) -> dict[str, Any]:
    """`callback_host` and `event` of a delivery; `payload` is its body parsed, None where it cannot be read."""
    return {"callback_host": host_of(callback_url), "event": None if payload is None else payload.event.value}


def masked_error(error_message: str | None) -> str | None:
    """`error_message_masked` of an attempt: None where there is nothing to mask."""
    masked = None if error_message is None else mask_text(error_message)
    return None if masked == error_message else masked
