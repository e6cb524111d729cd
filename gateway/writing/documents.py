"""What a file must look like to be imported: strict shapes, whose keys are those of the tables and of the contract."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json


def _instant(value: Any, parse: ValidatorFunctionWrapHandler) -> datetime:
    """RFC 3339 with an offset; Pydantic alone would also take seconds since 1970."""
    if not isinstance(value, str) or "-" not in value[1:]:
        raise PydanticCustomError("instant", "Input should be an RFC 3339 time with an offset")
    try:
        instant: datetime = parse(value)
        return instant.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("instant", "Input should be a time between the years 1 and 9999 in UTC") from None


def _decimal(value: str) -> str:
    """Digits as every database gives them back: no exponent, no leading zeros, no negative zero."""
    if not re.fullmatch(r"-?[0-9]{1,100}(\.[0-9]{1,100})?", value):
        raise PydanticCustomError("decimal", 'Input should be a decimal number in quotes, such as "0.1200"')
    number = Decimal(value)
    return format(number or abs(number), "f")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no Infinity; a parser lets them through, a database may not."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise PydanticCustomError("finite", "Input should have no NaN, no Infinity and no overlong number") from None
    return value


Keys = tuple[str | int, ...]
Instant = Annotated[AwareDatetime, Strict(strict=False), WrapValidator(_instant)]
StoredText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Integer = Annotated[int, Field(ge=-(2**31), lt=2**31)]
BigInteger = Annotated[int, Field(ge=-(2**63), lt=2**63)]
DecimalText = Annotated[str, AfterValidator(_decimal)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_finite)]
JsonObjects = Annotated[list[dict[str, Any]], AfterValidator(_finite)]


class Document(BaseModel):
    """An object of a file: no type is guessed and no key is overlooked."""

    model_config = ConfigDict(strict=True, extra="forbid")


class AttemptInFile(Document):
    """One try to deliver a callback."""

    id: UUID
    delivery_id: UUID | None = None
    attempt_number: Integer
    status_code: Integer | None = None
    response_body: StoredText | None = None
    response_time_ms: Integer | None = None
    error_message: StoredText | None = None
    created_at: Instant


class DeliveryInFile(Document):
    """A delivery as the REST endpoint returns it. Beside `payload_bytes`, `payload` says nothing new and is ignored."""

    id: UUID
    batch_id: UUID
    callback_url: StoredText | None = None
    payload_bytes: str | None = None
    payload: Any = None
    signing_secret_id: UUID | None = None
    is_automatic: bool | None = None
    status_code: StoredText | None = None
    failure_reason_code: StoredText | None = None
    failure_detail: StoredText | None = None
    attempt_count: Integer | None = None
    max_attempts: Integer | None = None
    next_attempt_at: Instant | None = None
    created_at: Instant
    updated_at: Instant | None = None
    completed_at: Instant | None = None
    attempts: list[AttemptInFile] | None = None

    @model_validator(mode="after")
    def _body_is_known(self) -> Self:
        if self.payload is not None and self.payload_bytes is None:
            raise PydanticCustomError("payload", "payload without payload_bytes: the body as it was sent is needed")
        return self


class BatchInFile(Document):
    """A batch without its deliveries: the columns of the table."""

    id: UUID
    org_id: UUID | None = None
    target_type_code: StoredText | None = None
    target_type: StoredText | None = None
    target_id: StoredText | None = None
    status_code: StoredText | None = None
    source_code: StoredText | None = None
    items_total: Integer | None = None
    items_succeeded: Integer | None = None
    items_failed: Integer | None = None
    items_cancelled: Integer | None = None
    input: JsonObjects | None = None
    resolved_template_id: StoredText | None = None
    dispatch_provider_link_id: StoredText | None = None
    cost: DecimalText | None = None
    output: JsonObject | None = None
    metadata: JsonObject | None = None
    callback_url: StoredText | None = None
    duration_ms: BigInteger | None = None
    failure_code: StoredText | None = None
    failure_message: StoredText | None = None
    failure_stage_code: StoredText | None = None
    created_by: StoredText | None = None
    created_at: Instant | None = None
    started_at: Instant | None = None
    completed_at: Instant | None = None
    links: JsonObject | None = None
    items: JsonObjects | None = None


def first_problem(invalid: ValidationError, text: str) -> tuple[Keys, str]:
    """The keys that lead to what is wrong in the JSON `text`, and in one line what that is."""
    error = invalid.errors(include_url=False)[0]
    keys: Keys = error["loc"]
    message = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    match error["type"]:
        case "json_invalid":
            keys, problem = _not_storable(json.loads(text))
        case "missing":
            problem = "is missing"
        case "extra_forbidden":
            problem = "is not a key of this object"
        case "string_pattern_mismatch":
            problem = "has a NUL character: expected text that every database can store"
        case "payload":
            keys, problem = ("payload_bytes",), "is missing: expected the body as it was sent beside payload"
        case "uuid_type":
            problem = f"{_shown(error['input'])} is wrong: input should be a UUID in quotes"
        case _:
            problem = f"{_shown(error['input'])} is wrong: {message}"
    return keys, problem


def field_path(keys: Keys) -> str:
    """The way to a field as it is written in JavaScript: `attempts[0].status_code`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _not_storable(value: Any, keys: Keys = ()) -> tuple[Keys, str]:
    """The innermost value that Python's parser takes and Pydantic's does not."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if len(keys) < 8 and not _is_parsed(child):
            return _not_storable(child, (*keys, key))
    if isinstance(value, str):
        return keys, "has a lone surrogate: expected text that UTF-8 can encode"
    return keys, "is nested too deeply, or has a lone surrogate or an overlong number"


def _is_parsed(value: Any) -> bool:
    try:
        from_json(json.dumps(value))
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    """A wrong value, short enough for one line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
