"""What is read from a payload: the stored body of a callback as text, as an object, and as JSON.

The body is what was signed, byte for byte. Most bodies are as the platform writes them and pass through unchanged; one
that is not JSON with exactly the eight keys is a text alone. Times inside keep the `.isoformat()` form of the body:
`2026-05-06T10:00:00+00:00`.
"""

import logging
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

logger = logging.getLogger(__name__)


class _Values(StrEnum):
    """A closed set of strings. The platform publishes such a set by its values alone: no title, no description."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shown = handler(schema)
        named = handler.resolve_ref_schema(shown)
        named.pop("title", None)
        named.pop("description", None)
        return shown


class BatchCallbackEvent(_Values):
    """What happened to the batch."""

    BATCH_SUCCEEDED = "batch.succeeded"
    BATCH_FAILED = "batch.failed"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_PARTIAL_SUCCEEDED = "batch.partial_succeeded"


class BatchCallbackStatus(_Values):
    """The status in which the batch ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIAL_SUCCEEDED = "partial_succeeded"


# A time as the signed body writes it: `+00:00` where Pydantic would write `Z`, any other offset kept, none added.
# Pydantic documents what a serializer returns, a string; the platform documents the time that it is.
SignedTime = Annotated[
    datetime,
    PlainSerializer(
        datetime.isoformat, return_type=Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
    ),
]


class BatchCallbackPayload(BaseModel):
    """The body of a callback, parsed: exactly these eight keys. What is signed is `payload_bytes`, never this."""

    model_config = ConfigDict(extra="forbid")

    event: BatchCallbackEvent = Field(description="What happened to the batch.")
    batch_id: UUID = Field(description="The batch that ended.")
    status: BatchCallbackStatus = Field(description="How the batch ended.")
    output: dict[str, Any] | None = Field(
        description="The results: `items`, each with its `id`, `sequence_index`, `client_ref`, `run_id`, "
        "`status_code`, `input` and either `output` or `error`; and `succeeded`, `failed`, `cancelled`, `total`."
    )
    duration_ms: int | None = Field(description="How long the batch took, in milliseconds.")
    created_at: SignedTime | None = Field(description="When the batch was created.")
    completed_at: SignedTime | None = Field(description="When the batch ended.")
    metadata: dict[str, Any] | None = Field(description="The object passed when the batch was submitted, if any.")


def body_text(body: bytes | None) -> str | None:
    """A stored body as text: UTF-8, bytes that are none replaced by U+FFFD."""
    return None if body is None else body.decode(errors="replace")


def body_payload(body: bytes | None) -> BatchCallbackPayload | None:
    """A stored body parsed, or None where it is not JSON with exactly the eight keys. Never raises."""
    if body is None:
        return None
    try:
        return BatchCallbackPayload.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        logger.warning("a stored callback body cannot be read: %s", first["msg"])
        return None


CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """A body as the platform writes it: the eight keys in their order."""

    event: BatchCallbackEvent
    batch_id: str
    status: BatchCallbackStatus
    output: dict[str, Any] | None
    duration_ms: int | None
    created_at: str | None
    completed_at: str | None
    metadata: dict[str, Any] | None


class PlainPayload(msgspec.Struct):
    """A payload that stands in its body just as it would be written; `output` and `metadata` as JSON, `null` included.

    Times are as they are written, `2026-05-06T10:00:00+00:00`.
    """

    event: BatchCallbackEvent
    batch_id: str
    status: BatchCallbackStatus
    output: msgspec.Raw
    duration_ms: int | None
    created_at: str | None
    completed_at: str | None
    metadata: msgspec.Raw


def _plain_float(text: str) -> float:
    number = float(text)
    if "e" in text or repr(number) != text:
        raise ValueError(text)  # of which there are several spellings
    return number


_decode = msgspec.json.Decoder(_Plain, float_hook=_plain_float).decode
_read = msgspec.json.Decoder(PlainPayload).decode
_encode = msgspec.json.Encoder().encode


def plain_payload(body: bytes | None) -> PlainPayload | None:
    """What stands in a stored body that needs no more than being read, as the platform writes it, else None."""
    return _read(body) if body is not None and _is_plain(body) else None


def payload_json(body: bytes | None) -> bytes | None:
    """A stored body's payload as JSON, as `body_payload` would be written. Never raises."""
    if body is not None and _is_plain(body):
        return body
    payload = body_payload(body)
    return None if payload is None else payload.model_dump_json().encode()


def _is_plain(body: bytes) -> bool:
    """Whether a body is in exactly the form that would come out."""
    try:
        plain = _decode(body)
        for time in (plain.created_at, plain.completed_at):
            if time is not None and datetime.fromisoformat(time).isoformat() != time:
                return False
    except (ValueError, RecursionError):
        return False
    return _encode(plain) == body and CANONICAL.fullmatch(plain.batch_id) is not None
