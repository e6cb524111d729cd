"""The types of the graph. Names and nullability follow the platform's contract; they refer to each other, so they
stand in one module.

An object is made of one database row. Its plain fields are columns; a field that is not one says in `reads` which
columns it is made of. Only columns that somebody selected are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from enum import EnumMeta
from math import ceil
from typing import Annotated, Any, Self

import msgspec
import strawberry
from sqlalchemy import Row, Table
from strawberry.scalars import JSON

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.database.types import AnyRow
from gateway.reading.contract import BatchCallbackEvent, BatchCallbackStatus, body_payload, body_text, plain_payload
from gateway.reading.curl import as_curl
from gateway.reading.failures import failure_of
from gateway.reading.filters import CallbackDeliveryFilter
from gateway.reading.health import CallbackHealth
from gateway.reading.history import IN_SEQUENCE
from gateway.reading.loaders import CountOf, HealthOf, OrganizationOf, RowById, RowsOf
from gateway.reading.masking import mask_json, mask_text, mask_url
from gateway.reading.pages import Order
from gateway.reading.previews import preview
from gateway.schema.context import Context, Info
from gateway.schema.inputs import (
    CallbackDeliveryOrder,
    CallbackDeliveryOrderField,
    First,
    MaxBytes,
    OrderDirection,
    begins,
    page_size,
    preview_size,
)
from gateway.schema.scalars import Long
from gateway.schema.selection import asks, columns_of, makes, masks, reads

OLDEST_DELIVERIES = CallbackDeliveryOrder(field=CallbackDeliveryOrderField.CREATED_AT, direction=OrderDirection.ASC)
DeliveriesKept = Annotated[
    CallbackDeliveryFilter | None, strawberry.argument(description="Which deliveries to keep; all if left out.")
]
DeliveriesOrdered = Annotated[
    CallbackDeliveryOrder | None, strawberry.argument(description="In which order they come.")
]
MASKED = "Credentials in it are replaced by `[masked]` for viewers without the scope `batches:read_secrets`."
LATEST_FIRST = Order("attempt_number", descending=True)
NULL = b"null"


def batch_by_id(columns: frozenset[str]) -> RowById:
    """One batch."""
    return RowById(batches, columns)


def delivery_by_id(columns: frozenset[str]) -> RowById:
    """One delivery."""
    return RowById(batch_callback_deliveries, columns)


def deliveries_of_batch(
    columns: frozenset[str],
    first: int,
    filter: CallbackDeliveryFilter | None = None,  # noqa: A002
    order_by: CallbackDeliveryOrder | None = None,
) -> RowsOf:
    """The first deliveries of each batch."""
    order = (order_by or OLDEST_DELIVERIES).order()
    return RowsOf(batch_callback_deliveries.c.batch_id, columns, order, page_size(first), where=filter)


def delivery_count_of_batch(filter: CallbackDeliveryFilter | None = None) -> CountOf:  # noqa: A002
    """How many deliveries each batch has."""
    return CountOf(batch_callback_deliveries.c.batch_id, filter)


def attempts_of_delivery(columns: frozenset[str], first: int) -> RowsOf:
    """The first attempts of each delivery."""
    return RowsOf(batch_callback_delivery_attempts.c.delivery_id, columns, IN_SEQUENCE, page_size(first))


def latest_of_delivery(columns: frozenset[str]) -> RowsOf:
    """The attempt of each delivery that was made last."""
    return RowsOf(batch_callback_delivery_attempts.c.delivery_id, columns, LATEST_FIRST, first=1)


def _show_enum(of: EnumMeta, description: str, values: Mapping[str, str]) -> None:
    """Let GraphQL know one of the contract's enums; each value with its description."""
    shown: Any = strawberry.enum(of, description=description)
    for value in shown.__strawberry_definition__.values:
        value.description = values[value.name]


_show_enum(
    BatchCallbackEvent,
    "What a callback tells: the `event` of its body.",
    {
        "BATCH_SUCCEEDED": "`batch.succeeded`: every item of the batch succeeded.",
        "BATCH_FAILED": "`batch.failed`: no item succeeded, or the batch itself failed.",
        "BATCH_CANCELLED": "`batch.cancelled`: the batch was cancelled before it was done.",
        "BATCH_PARTIAL_SUCCEEDED": "`batch.partial_succeeded`: some items succeeded, others did not.",
    },
)
_show_enum(
    BatchCallbackStatus,
    "How a batch ended: the `status` of a callback's body.",
    {
        "SUCCEEDED": "Every item succeeded.",
        "FAILED": "No item succeeded, or the batch itself failed.",
        "CANCELLED": "Cancelled before it was done.",
        "PARTIAL_SUCCEEDED": "Some items succeeded, others did not.",
    },
)


_show_enum(
    CallbackHealth,
    "How the callbacks of a batch stand, from best to worst; a batch has the worst state of its deliveries.",
    {
        "NONE": "There is no delivery.",
        "DELIVERED": "Delivered.",
        "PENDING": "In flight, before the first attempt.",
        "RETRYING": "In flight, after an attempt that failed.",
        "UNKNOWN": "Completed with a status that is neither `delivered` nor `failed`.",
        "OVERDUE": "In flight, and the next attempt was due before now: the platform is late.",
        "FAILED": "Given up.",
    },
)


@strawberry.interface(description="Anything that has an id of its own, and can be asked for again by it.")
class Node:
    """An object made of one row; the subclasses name the row's table."""

    id: strawberry.ID = strawberry.field(
        description="The platform's UUID: the same string here, in the REST endpoint and in the database."
    )

    @classmethod
    def of(cls, row: AnyRow | Mapping[str, Any]) -> Self:
        """The object of one row, or of its columns by name."""
        made = object.__new__(cls)
        made.__dict__.update(row._mapping if isinstance(row, Row) else row)
        return made

    @classmethod
    def maybe(cls, row: AnyRow | None) -> Self | None:
        """The object of a row that may be missing."""
        return None if row is None else cls.of(row)

    @classmethod
    def all(cls, rows: Iterable[AnyRow]) -> list[Self]:
        """The objects of many rows, in their order."""
        return [cls.of(row) for row in rows]


@strawberry.type(description="One item of a batch: which run it became and how that stands.")
class BatchItem:
    """An entry of a batch's `items`."""

    id: strawberry.ID | None = strawberry.field(description="The item's own handle.")
    sequence_index: int | None = strawberry.field(description="The item's place in the batch's input, from 0.")
    run_id: strawberry.ID | None = strawberry.field(description="The run that works on this item.")
    status_code: str | None = strawberry.field(description="How the item stands: an open set, like the batch's.")
    client_ref: str | None = strawberry.field(description="The label that the customer gave the item.")


@strawberry.type(
    description="A set of AI jobs that was submitted in one request. When it ends, its callback is delivered."
)
class Batch(Node):
    """A row of `batches`."""

    org_id: strawberry.ID = strawberry.field(description="The organization that the batch belongs to.")
    target_type_code: str | None = strawberry.field(description="What kind of thing the batch runs, as a code.")
    target_type: str | None = strawberry.field(description="What kind of thing the batch runs, such as `model`.")
    target_id: strawberry.ID | None = strawberry.field(description="The thing that the batch runs.")
    status_code: str | None = strawberry.field(
        description="How the batch stands. An open set: `queued`, `dispatching`, `running`, `succeeded`, `failed`, "
        "`canceled` or `cancelled`, `partial_succeeded`, and what the platform adds."
    )
    source_code: str | None = strawberry.field(description="Where the batch came from, such as `api`.")
    items_total: int | None = strawberry.field(description="How many items the batch has.")
    items_succeeded: int | None = strawberry.field(description="How many items have succeeded so far.")
    items_failed: int | None = strawberry.field(description="How many items have failed so far.")
    items_cancelled: int | None = strawberry.field(description="How many items were cancelled.")
    resolved_template_id: strawberry.ID | None = strawberry.field(
        description="The template that the target resolved to when the batch was submitted."
    )
    dispatch_provider_link_id: strawberry.ID | None = strawberry.field(
        description="The link to the provider that the batch was dispatched through."
    )
    cost: str | None = strawberry.field(
        description="The cost of the succeeded items, as decimal digits: never a float."
    )
    metadata: JSON | None = strawberry.field(
        description="The object that the customer passed when submitting the batch."
    )
    duration_ms: Long | None = strawberry.field(description="How long the batch took, in milliseconds.")
    failure_code: str | None = strawberry.field(description="Why the batch failed, as a code.")
    failure_stage_code: str | None = strawberry.field(description="At which stage the batch failed, as a code.")
    created_by: str | None = strawberry.field(description="Who submitted the batch.")
    created_at: datetime = strawberry.field(description="When the batch was submitted.")
    started_at: datetime | None = strawberry.field(description="When the first item was dispatched.")
    completed_at: datetime | None = strawberry.field(description="When the batch ended; null while it runs.")

    @strawberry.field(description=f"Why the batch failed, in words. {MASKED}", metadata=masks(mask_text))
    def failure_message(self, info: Info) -> str | None:
        return info.context.unless_secret(mask_text, self.__dict__["failure_message"])

    @strawberry.field(
        description=f"Where the platform sends the callback when the batch ends. {MASKED}", metadata=masks(mask_url)
    )
    def callback_url(self, info: Info) -> str | None:
        return info.context.unless_secret(mask_url, self.__dict__["callback_url"])

    @strawberry.field(
        description=f"What each item was asked to do, as it was submitted. {MASKED}", metadata=masks(mask_json)
    )
    async def input(self, info: Info) -> list[JSON] | None:
        shown: list[JSON] | None = await info.context.unless_secret_later(mask_json, self.__dict__["input"])
        return shown

    @strawberry.field(
        description=f"The batch's result, an object, once it has one. {MASKED}", metadata=masks(mask_json)
    )
    async def output(self, info: Info) -> JSON | None:
        shown: JSON | None = await info.context.unless_secret_later(mask_json, self.__dict__["output"])
        return shown

    @strawberry.field(description=f"Addresses related to the batch, by name. {MASKED}", metadata=masks(mask_json))
    async def links(self, info: Info) -> JSON | None:
        shown: JSON | None = await info.context.unless_secret_later(mask_json, self.__dict__["links"])
        return shown

    @strawberry.field(description="The items of the batch; null when unknown.")
    def items(self) -> list[BatchItem] | None:
        stored = self.__dict__["items"]
        if not isinstance(stored, list):
            return None
        names = BatchItem.__annotations__
        return [BatchItem(**{name: item.get(name) for name in names}) for item in stored if isinstance(item, dict)]

    @strawberry.field(
        description="The callbacks of this batch that the filter keeps, oldest first unless `orderBy` says otherwise.",
        metadata=asks(deliveries_of_batch, "id"),
    )
    async def callback_deliveries(
        self,
        info: Info,
        first: First = 100,
        filter: DeliveriesKept = None,  # noqa: A002
        order_by: DeliveriesOrdered = OLDEST_DELIVERIES,
    ) -> list[BatchCallbackDelivery]:
        question = deliveries_of_batch(columns_of(info, BatchCallbackDelivery), first, filter, order_by)
        return BatchCallbackDelivery.all(await info.context.reader.ask(question, self.id))

    @strawberry.field(
        description="How many callbacks of this batch the filter keeps, whatever `callbackDeliveries` returns of them.",
        metadata=asks(delivery_count_of_batch, "id"),
    )
    async def callback_delivery_count(self, info: Info, filter: DeliveriesKept = None) -> int:  # noqa: A002
        return await info.context.reader.ask(delivery_count_of_batch(filter), self.id)

    @strawberry.field(description="The worst state of the batch's deliveries.", metadata=asks(HealthOf, "id"))
    async def callback_health(self, info: Info) -> CallbackHealth:
        return await info.context.reader.ask(HealthOf(), self.id)


@strawberry.type(description="The beginning of a text that may be large.")
class TextPreview:
    """A `Preview`, shown."""

    text: str = strawberry.field(description="The beginning, never cut inside a character.")
    truncated: bool = strawberry.field(description="Whether the whole text goes on after it.")
    byte_length: int = strawberry.field(description="How many bytes the whole text has in UTF-8.")


@strawberry.type(description="Why a delivery failed, and what to do about it.")
class CallbackFailure:
    """A `Failure`, shown."""

    code: str = strawberry.field(description="The platform's code: the delivery's `failureReasonCode`.")
    title: str = strawberry.field(description="The reason in a few words.")
    retryable: bool | None = strawberry.field(
        description="Whether the same request is likely to succeed later with nothing changed at the receiver; "
        "null for a reason that is not known."
    )
    advice: str = strawberry.field(description="What the receiver's owner can do.")

    @classmethod
    def of_code(cls, code: str | None) -> Self | None:
        """What the platform's code means; None where there is none."""
        found = failure_of(code)
        return None if found is None else cls(**asdict(found))


@strawberry.type(description="The body of a callback, parsed: exactly the eight keys that the platform signs.")
class BatchCallbackPayload:
    """A stored body that can be read; times as instants."""

    event: BatchCallbackEvent = strawberry.field(description="What happened to the batch.")
    batch_id: strawberry.ID = strawberry.field(description="The batch that ended.")
    status: BatchCallbackStatus = strawberry.field(description="How the batch ended.")
    output: JSON | None = strawberry.field(
        description="The results: `items`, each with its `id`, `sequence_index`, `client_ref`, `run_id`, "
        "`status_code`, `input` and either `output` or `error`; and `succeeded`, `failed`, `cancelled`, `total`."
    )
    duration_ms: Long | None = strawberry.field(description="How long the batch took, in milliseconds.")
    created_at: datetime | None = strawberry.field(description="When the batch was created.")
    completed_at: datetime | None = strawberry.field(description="When the batch ended.")
    metadata: JSON | None = strawberry.field(description="The object passed when the batch was submitted, if any.")

    @classmethod
    def of_body(cls, body: bytes | None) -> Self | None:
        """The payload in a stored body, or None where there is none that can be read."""
        plain = plain_payload(body)
        if plain is None:
            payload = body_payload(body)
            return None if payload is None else cls(**{**dict(payload), "batch_id": str(payload.batch_id)})
        values = msgspec.structs.asdict(plain)
        for name in ("created_at", "completed_at"):
            values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
        for name in ("output", "metadata"):
            values[name] = None if bytes(values[name]) == NULL else values[name]
        return cls(**values)


@strawberry.type(description="One callback of a batch: a signed body, a URL, and the attempts to deliver it there.")
class BatchCallbackDelivery(Node):
    """A row of `batch_callback_deliveries`."""

    batch_id: strawberry.ID = strawberry.field(description="The batch whose end this callback announces.")
    signing_secret_id: strawberry.ID | None = strawberry.field(
        description="The secret that the body was signed with; null when it was sent unsigned."
    )
    is_automatic: bool | None = strawberry.field(
        description="True for the delivery that the platform made when the batch ended; false for a redelivery by hand."
    )
    status_code: str | None = strawberry.field(
        description="How the delivery stands: an open set, such as `pending`, `retrying`, `delivered`, `failed`."
    )
    failure_reason_code: str | None = strawberry.field(
        description="Why the last attempt failed: an open set, such as `timeout`, `connection_refused`, `tls_error`, "
        "`dns_error`, `http_4xx`, `http_5xx`."
    )
    attempt_count: int | None = strawberry.field(
        description="How many attempts the platform has made, as it counted them."
    )
    max_attempts: int | None = strawberry.field(description="After how many attempts the platform gives up.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When the next attempt is due; null when there will be none."
    )
    created_at: datetime = strawberry.field(description="When the delivery was created.")
    updated_at: datetime | None = strawberry.field(description="When the delivery last changed.")
    completed_at: datetime | None = strawberry.field(
        description="When the delivery succeeded or was given up; null while it is in flight."
    )

    @strawberry.field(description=f"Where the callback is sent. {MASKED}", metadata=masks(mask_url))
    def callback_url(self, info: Info) -> str | None:
        return info.context.unless_secret(mask_url, self.__dict__["callback_url"])

    @strawberry.field(
        description=f"The failure in words, where there is more to say. {MASKED}", metadata=masks(mask_text)
    )
    def failure_detail(self, info: Info) -> str | None:
        return info.context.unless_secret(mask_text, self.__dict__["failure_detail"])

    @strawberry.field(
        description="What `failureReasonCode` means; null where there is none.",
        metadata=makes(CallbackFailure.of_code, "failure_reason_code"),
    )
    def failure(self) -> CallbackFailure | None:
        return CallbackFailure.of_code(self.failure_reason_code)

    @strawberry.field(description="True until the delivery succeeded or was given up.", metadata=reads("completed_at"))
    def in_flight(self) -> bool:
        return self.completed_at is None

    @strawberry.field(
        description="True when the delivery is in flight and its next attempt was due before now.",
        metadata=reads("completed_at", "next_attempt_at"),
    )
    def overdue(self, info: Info) -> bool:
        due = self.next_attempt_at
        return self.completed_at is None and due is not None and due < info.context.reader.scope.now

    @strawberry.field(
        description="True when another attempt is planned: the delivery is in flight and has attempts left.",
        metadata=reads("completed_at", "next_attempt_at", "attempt_count", "max_attempts"),
    )
    def will_retry(self) -> bool:
        made, most = self.attempt_count, self.max_attempts
        has_left = made is None or most is None or made < most
        return self.completed_at is None and self.next_attempt_at is not None and has_left

    @strawberry.field(
        description="Seconds until the next attempt, rounded up; 0 when it is due, null when there will be none.",
        metadata=reads("completed_at", "next_attempt_at"),
    )
    def next_attempt_in(self, info: Info) -> int | None:
        if self.completed_at is not None or self.next_attempt_at is None:
            return None
        return max(0, ceil((self.next_attempt_at - info.context.reader.scope.now).total_seconds()))

    @strawberry.field(
        description="A shell command that sends the same callback again. Secrets are placeholders: it signs the body "
        "with the secret that it is given. Null where there is no URL or no body.",
        metadata=reads("callback_url", "payload_bytes", "signing_secret_id"),
    )
    def as_curl(self) -> str | None:
        body = body_text(self.__dict__["payload_bytes"])
        return as_curl(self.__dict__["callback_url"], body, self.signing_secret_id is not None)

    @strawberry.field(
        description="The beginning of `payloadBytes`; null when there is no body.",
        metadata=begins("payload_bytes"),
    )
    def payload_bytes_preview(self, max_bytes: MaxBytes = 512) -> TextPreview | None:
        found = preview(self.__dict__, "payload_bytes", preview_size(max_bytes))
        return None if found is None else TextPreview(**asdict(found))

    @strawberry.field(
        name="payloadBytes",
        description="The body exactly as it was sent and signed. Opaque text: verify a signature over this, "
        "never over `payload` serialised again.",
        metadata=makes(body_text, "payload_bytes"),
    )
    def body(self) -> str | None:
        return body_text(self.__dict__["payload_bytes"])

    @strawberry.field(
        description="The body, parsed; null when there is none, or when it is not JSON with exactly the eight keys.",
        metadata=makes(BatchCallbackPayload.of_body, "payload_bytes"),
    )
    def payload(self) -> BatchCallbackPayload | None:
        return BatchCallbackPayload.of_body(self.__dict__["payload_bytes"])

    @strawberry.field(
        description="The batch whose end this callback announces.", metadata=asks(batch_by_id, "batch_id")
    )
    async def batch(self, info: Info) -> Batch | None:
        question = batch_by_id(columns_of(info, Batch))
        return Batch.maybe(await info.context.reader.ask(question, self.batch_id))

    @strawberry.field(
        description="The attempts of this delivery, in the order they were made.",
        metadata=asks(attempts_of_delivery, "id"),
    )
    async def attempts(self, info: Info, first: First = 100) -> list[BatchCallbackDeliveryAttempt]:
        question = attempts_of_delivery(columns_of(info, BatchCallbackDeliveryAttempt), first)
        return BatchCallbackDeliveryAttempt.all(await info.context.reader.ask(question, self.id))

    @strawberry.field(
        description="The attempt made last; null before the first one.", metadata=asks(latest_of_delivery, "id")
    )
    async def latest_attempt(self, info: Info) -> BatchCallbackDeliveryAttempt | None:
        question = latest_of_delivery(columns_of(info, BatchCallbackDeliveryAttempt))
        return next(iter(BatchCallbackDeliveryAttempt.all(await info.context.reader.ask(question, self.id))), None)


@strawberry.type(description="One try to deliver a callback, and what the receiver answered.")
class BatchCallbackDeliveryAttempt(Node):
    """A row of `batch_callback_delivery_attempts`."""

    delivery_id: strawberry.ID = strawberry.field(description="The delivery that this attempt belongs to.")
    attempt_number: int = strawberry.field(description="Which attempt of its delivery this is, from 1.")
    status_code: int | None = strawberry.field(
        description="The HTTP status that the receiver answered; null when no answer came."
    )
    response_time_ms: int | None = strawberry.field(
        description="How long the receiver took to answer, in milliseconds."
    )
    created_at: datetime = strawberry.field(description="When the attempt was made.")

    @strawberry.field(
        description=f"The body that the receiver answered. It may be large: a preview is not. {MASKED}",
        metadata=masks(mask_text),
    )
    async def response_body(self, info: Info) -> str | None:
        shown: str | None = await info.context.unless_secret_later(mask_text, self.__dict__["response_body"])
        return shown

    @strawberry.field(
        description=f"The beginning of `responseBody`; null when no answer came. {MASKED}",
        metadata=begins("response_body"),
    )
    def response_body_preview(self, info: Info, max_bytes: MaxBytes = 512) -> TextPreview | None:
        found = preview(self.__dict__, "response_body", preview_size(max_bytes))
        if found is None:
            return None
        text = info.context.unless_secret(mask_text, found.text)
        return TextPreview(**{**asdict(found), "text": text})

    @strawberry.field(description=f"Why no answer came, in words. {MASKED}", metadata=masks(mask_text))
    def error_message(self, info: Info) -> str | None:
        return info.context.unless_secret(mask_text, self.__dict__["error_message"])

    @strawberry.field(
        description="The delivery that this attempt belongs to.", metadata=asks(delivery_by_id, "delivery_id")
    )
    async def delivery(self, info: Info) -> BatchCallbackDelivery | None:
        question = delivery_by_id(columns_of(info, BatchCallbackDelivery))
        return BatchCallbackDelivery.maybe(await info.context.reader.ask(question, self.delivery_id))


@strawberry.type(description="The organization that a credential belongs to.")
class Organization:
    """A row of `organizations`."""

    id: strawberry.ID = strawberry.field(description="The organization's UUID.")
    name: str | None = strawberry.field(description="What the organization is called; null when it was given no name.")


@strawberry.type(description="Who asks.")
class Viewer:
    """The credential behind a request."""

    scopes: list[str] = strawberry.field(description="What the credential may do, such as `batches:read`.")
    organization_id: strawberry.Private[str]

    @classmethod
    def of(cls, context: Context) -> Self:
        """The viewer of a request; `Unauthorized` where there is none."""
        viewer = context.known_viewer
        return cls(scopes=sorted(viewer.scopes), organization_id=viewer.organization_id)

    @strawberry.field(description="The organization whose rows are seen.")
    async def organization(self, info: Info) -> Organization:
        row = await info.context.reader.ask_organization(OrganizationOf())
        return Organization(id=strawberry.ID(self.organization_id), name=row.name if row else None)


NODES: dict[Table, type[Node]] = {
    batches: Batch,
    batch_callback_deliveries: BatchCallbackDelivery,
    batch_callback_delivery_attempts: BatchCallbackDeliveryAttempt,
}
