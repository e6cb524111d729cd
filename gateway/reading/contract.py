"""The contract's shapes: a delivery and its attempts, as the REST endpoint publishes them.

Keys stand in the contract's order. Delivery and attempt times are UTC with a `Z`. The payload is `reading.payload`'s.

The published OpenAPI document is generated from these classes, so they also carry its oddities, each explained where
it stands: names of another code base, enums without a title, a string that says it is a date.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
)

from gateway.database.odd import Unreadable
from gateway.database.types import AnyRow
from gateway.reading.payload import BatchCallbackPayload, body_payload, body_text

logger = logging.getLogger(__name__)


class AttemptDocument(BaseModel):
    """One try to deliver a callback, and what the receiver answered."""

    # The platform publishes its own class names: two nested classes of one name, told apart by their modules.
    # Pydantic makes `models__batch_callback_delivery__…__FullValidator` of them, as it did there.
    __module__ = "models.batch_callback_delivery"
    __qualname__ = "BatchCallbackDeliveryAttempt.FullValidator"
    model_config = ConfigDict(title="FullValidator")

    id: UUID | None = None
    delivery_id: UUID | None = None
    attempt_number: int | None = None
    status_code: int | None = None
    response_body: str | None = None
    response_time_ms: int | None = None
    error_message: str | None = None
    created_at: datetime | None = None


class DeliveryDocument(BaseModel):
    """One callback of a batch with all its attempts."""

    __module__ = "models.batch_callback_delivery"  # as with an attempt
    __qualname__ = "BatchCallbackDelivery.FullValidator"
    model_config = ConfigDict(title="FullValidator")

    id: UUID | None = None
    batch_id: UUID | None = None
    callback_url: str | None = None
    payload_bytes: str | None = None
    payload: BatchCallbackPayload | None = None
    signing_secret_id: UUID | None = None
    is_automatic: bool | None = None
    status_code: str | None = None
    failure_reason_code: str | None = None
    failure_detail: str | None = None
    attempt_count: int | None = None
    max_attempts: int | None = None
    next_attempt_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: list[AttemptDocument] | None = None


def delivery_document(
    delivery: AnyRow,
    attempts: Iterable[AnyRow],
    of: type[DeliveryDocument] = DeliveryDocument,
    of_attempt: type[AttemptDocument] = AttemptDocument,
) -> DeliveryDocument:
    """The document of a whole delivery row and its attempts' whole rows. What cannot be read is null."""
    body = delivery.payload_bytes
    values = {
        **delivery._mapping,
        "payload_bytes": body_text(body),
        "payload": body_payload(body),
        "attempts": [_readable(of_attempt, attempt._asdict()) for attempt in attempts],
    }
    return _readable(of, values)


D = TypeVar("D", bound=BaseModel)


def _readable(document: type[D], values: Mapping[str, Any]) -> D:
    """The document of these values; null where one is not what the contract says, which the log tells."""
    wrong = {name for name, value in values.items() if isinstance(value, Unreadable)}
    readable = {**values, **dict.fromkeys(wrong)}
    try:
        read = document.model_validate(readable)
    except ValidationError as invalid:
        wrong |= {str(error["loc"][0]) for error in invalid.errors(include_url=False, include_context=False)}
        read = document.model_validate({**readable, **dict.fromkeys(wrong)})
    if wrong:
        logger.warning("the row %s cannot be read whole: %s", values["id"], ", ".join(sorted(wrong)))
    return read
