"""The types of the graph. Names and nullability follow the platform's contract; they refer to each other, so they
stand in one module.

The types of rows name the source of each field, see `fields`; the fields of all others are attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import EnumMeta
from typing import Annotated, Any, Self

import msgspec
import strawberry
from strawberry.scalars import JSON

from gateway.database.odd import Unreadable
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import UnreadableValue
from gateway.reading.curl import as_curl
from gateway.reading.failures import failure_of
from gateway.reading.filters import CallbackDeliveryFilter
from gateway.reading.health import CallbackHealth
from gateway.reading.history import IN_SEQUENCE
from gateway.reading.masking import mask_json, mask_text, mask_url
from gateway.reading.pages import Order
from gateway.reading.payload import BatchCallbackEvent, BatchCallbackStatus, body_payload, body_text, plain_payload
from gateway.reading.previews import Wanted
from gateway.reading.progress import has_next_attempt, is_in_flight, is_overdue, seconds_to_next_attempt
from gateway.reading.questions import CountOf, HealthOf, OrganizationOf, RowById, RowsOf
from gateway.schema.context import Context, Info
from gateway.schema.fields import column, derived, loaded, masked, previewed
from gateway.schema.inputs import CallbackDeliveryOrder, CallbackDeliveryOrderField, First, OrderDirection, page_size
from gateway.schema.nodes import Node, row_type
from gateway.schema.scalars import Long
from gateway.schema.strawberry_internals import enum_definition

OLDEST_DELIVERIES = CallbackDeliveryOrder(field=CallbackDeliveryOrderField.CREATED_AT, direction=OrderDirection.ASC)
DeliveriesKept = Annotated[
    CallbackDeliveryFilter | None, strawberry.argument(description="Which deliveries to keep; all if left out.")
]
DeliveriesOrdered = Annotated[
    CallbackDeliveryOrder | None, strawberry.argument(description="In which order they come.")
]
USUAL_CHILDREN = 100  # of each parent, where a client names no number
LATEST_FIRST = Order("attempt_number", descending=True)
NULL = b"null"


def batch_by_id(columns: frozenset[Wanted]) -> RowById:
    """One batch."""
    return RowById(batches, columns)


def delivery_by_id(columns: frozenset[Wanted]) -> RowById:
    """One delivery."""
    return RowById(batch_callback_deliveries, columns)


def deliveries_of_batch(
    columns: frozenset[Wanted],
    first: First = USUAL_CHILDREN,
    filter: DeliveriesKept = None,
    order_by: DeliveriesOrdered = OLDEST_DELIVERIES,
) -> RowsOf:
    """The first deliveries of each batch."""
    order = (order_by or OLDEST_DELIVERIES).order()
    return RowsOf(batch_callback_deliveries.c.batch_id, columns, order, page_size(first), where=filter)


def delivery_count_of_batch(filter: DeliveriesKept = None) -> CountOf:
    """How many deliveries each batch has."""
    return CountOf(batch_callback_deliveries.c.batch_id, filter)


def attempts_of_delivery(columns: frozenset[Wanted], first: First = USUAL_CHILDREN) -> RowsOf:
    """The first attempts of each delivery."""
    return RowsOf(batch_callback_delivery_attempts.c.delivery_id, columns, IN_SEQUENCE, page_size(first))


def latest_of_delivery(columns: frozenset[Wanted]) -> RowsOf:
    """The attempt of each delivery that was made last."""
    return RowsOf(batch_callback_delivery_attempts.c.delivery_id, columns, LATEST_FIRST, first=1)


def as_curl_command(url: str | None, body: bytes | None, signing_secret_id: str | None) -> str | None:
    """The command that sends a callback again, from the columns of its delivery."""
    return as_curl(url, body_text(body), signing_secret_id is not None)


def show_enum(of: EnumMeta, description: str, values: Mapping[str, str]) -> None:
    """Let GraphQL know one of the contract's enums; each value with its description."""
    strawberry.enum(of, description=description)
    for value in enum_definition(of).values:
        value.description = values[value.name]


show_enum(
    BatchCallbackEvent,
    "What a callback tells: the `event` of its body.",
    {
        "BATCH_SUCCEEDED": "`batch.succeeded`: every item of the batch succeeded.",
        "BATCH_FAILED": "`batch.failed`: no item succeeded, or the batch itself failed.",
        "BATCH_CANCELLED": "`batch.cancelled`: the batch was cancelled before it was done.",
        "BATCH_PARTIAL_SUCCEEDED": "`batch.partial_succeeded`: some items succeeded, others did not.",
    },
)
show_enum(
    BatchCallbackStatus,
    "How a batch ended: the `status` of a callback's body.",
    {
        "SUCCEEDED": "Every item succeeded.",
        "FAILED": "No item succeeded, or the batch itself failed.",
        "CANCELLED": "Cancelled before it was done.",
        "PARTIAL_SUCCEEDED": "Some items succeeded, others did not.",
    },
)


show_enum(
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


@strawberry.type(description="One item of a batch: which run it became and how that stands.")
class BatchItem:
    """An entry of a batch's `items`."""

    id: strawberry.ID | None = strawberry.field(description="The item's own handle.")
    sequence_index: int | None = strawberry.field(description="The item's place in the batch's input, from 0.")
    run_id: strawberry.ID | None = strawberry.field(description="The run that works on this item.")
    status_code: str | None = strawberry.field(description="How the item stands: an open set, like the batch's.")
    client_ref: str | None = strawberry.field(description="The label that the customer gave the item.")

    @classmethod
    def all_of(cls, stored: Any) -> list[Self] | None:
        """What can be read of a stored list of items; None where it is no list.

        `UnreadableValue` for what is not JSON.
        """
        if isinstance(stored, Unreadable):
            raise UnreadableValue
        if not isinstance(stored, list):
            return None
        names = cls.__annotations__
        return [cls(**{name: item.get(name) for name in names}) for item in stored if isinstance(item, dict)]


@row_type(
    batches, description="A set of AI jobs that was submitted in one request. When it ends, its callback is delivered."
)
class Batch(Node):
    """A row of `batches`."""

    org_id: strawberry.ID = column(description="The organization that the batch belongs to.")
    target_type_code: str | None = column(description="What kind of thing the batch runs, as a code.")
    target_type: str | None = column(description="What kind of thing the batch runs, such as `model`.")
    target_id: strawberry.ID | None = column(description="The thing that the batch runs.")
    status_code: str | None = column(
        description="How the batch stands. An open set: `queued`, `dispatching`, `running`, `succeeded`, `failed`, "
        "`canceled` or `cancelled`, `partial_succeeded`, and what the platform adds."
    )
    source_code: str | None = column(description="Where the batch came from, such as `api`.")
    items_total: int | None = column(description="How many items the batch has.")
    items_succeeded: int | None = column(description="How many items have succeeded so far.")
    items_failed: int | None = column(description="How many items have failed so far.")
    items_cancelled: int | None = column(description="How many items were cancelled.")
    input: list[JSON] | None = masked(mask_json, description="What each item was asked to do, as it was submitted.")
    resolved_template_id: strawberry.ID | None = column(
        description="The template that the target resolved to when the batch was submitted."
    )
    dispatch_provider_link_id: strawberry.ID | None = column(
        description="The link to the provider that the batch was dispatched through."
    )
    cost: str | None = column(description="The cost of the succeeded items, as decimal digits: never a float.")
    output: JSON | None = masked(mask_json, description="The batch's result, an object, once it has one.")
    metadata: JSON | None = column(description="The object that the customer passed when submitting the batch.")
    duration_ms: Long | None = column(description="How long the batch took, in milliseconds.")
    failure_code: str | None = column(description="Why the batch failed, as a code.")
    failure_stage_code: str | None = column(description="At which stage the batch failed, as a code.")
    created_by: str | None = column(description="Who submitted the batch.")
    created_at: datetime = column(description="When the batch was submitted.")
    started_at: datetime | None = column(description="When the first item was dispatched.")
    completed_at: datetime | None = column(description="When the batch ended; null while it runs.")
    links: JSON | None = masked(mask_json, description="Addresses related to the batch, by name.")

    failure_message: str | None = masked(mask_text, description="Why the batch failed, in words.")

    callback_url: str | None = masked(
        mask_url, description="Where the platform sends the callback when the batch ends."
    )

    items: list[BatchItem] | None = derived(
        BatchItem.all_of, "items", description="The items of the batch; null when unknown."
    )
    callback_deliveries: list[BatchCallbackDelivery] = loaded(
        deliveries_of_batch,
        key="id",
        description="The callbacks of this batch that the filter keeps, oldest first unless `orderBy` says otherwise.",
    )
    callback_delivery_count: int = loaded(
        delivery_count_of_batch,
        key="id",
        cost=1,  # a statement that counts rows
        description="How many callbacks of this batch the filter keeps, whatever `callbackDeliveries` returns of them.",
    )
    callback_health: CallbackHealth = loaded(
        HealthOf, key="id", description="The worst state of the batch's deliveries."
    )


@strawberry.type(description="The beginning of a text that may be large.")
class TextPreview:
    """A `PreviewedText`, shown."""

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


def _instant(time: datetime | None) -> datetime | None:
    """None for a time that tells no instant, since it has no offset."""
    return None if time is None or time.tzinfo is None else time


@strawberry.type(
    name="BatchCallbackPayload",
    description="The body of a callback, parsed: exactly the eight keys that the platform signs.",
)
class BatchCallbackPayloadType:
    """A stored body that can be read; times as instants."""

    event: BatchCallbackEvent = strawberry.field(description="What happened to the batch.")
    batch_id: strawberry.ID = strawberry.field(description="The batch that ended.")
    status: BatchCallbackStatus = strawberry.field(description="How the batch ended.")
    output: JSON | None = strawberry.field(
        description="The results: `items`, each with its `id`, `sequence_index`, `client_ref`, `run_id`, "
        "`status_code`, `input` and either `output` or `error`; and `succeeded`, `failed`, `cancelled`, `total`."
    )
    duration_ms: Long | None = strawberry.field(description="How long the batch took, in milliseconds.")
    created_at: datetime | None = strawberry.field(
        description="When the batch was created. Null, too, where the body tells a time without an offset."
    )
    completed_at: datetime | None = strawberry.field(
        description="When the batch ended. Null, too, where the body tells a time without an offset."
    )
    metadata: JSON | None = strawberry.field(description="The object passed when the batch was submitted, if any.")

    @classmethod
    def of_body(cls, body: bytes | None) -> Self | None:
        """The payload in a stored body, or None where there is none that can be read."""
        plain = plain_payload(body)
        if plain is None:
            payload = body_payload(body)
            if payload is None:
                return None
            times = {"created_at": _instant(payload.created_at), "completed_at": _instant(payload.completed_at)}
            return cls(**{**dict(payload), **times, "batch_id": str(payload.batch_id)})
        values = msgspec.structs.asdict(plain)
        for name in ("created_at", "completed_at"):
            values[name] = None if values[name] is None else _instant(datetime.fromisoformat(values[name]))
        for name in ("output", "metadata"):
            values[name] = None if bytes(values[name]) == NULL else values[name]
        return cls(**values)


@row_type(
    batch_callback_deliveries,
    description="One callback of a batch: a signed body, a URL, and the attempts to deliver it there.",
)
class BatchCallbackDelivery(Node):
    """A row of `batch_callback_deliveries`."""

    batch_id: strawberry.ID = column(description="The batch whose end this callback announces.")
    signing_secret_id: strawberry.ID | None = column(
        description="The secret that the body was signed with; null when it was sent unsigned."
    )
    is_automatic: bool | None = column(
        description="True for the delivery that the platform made when the batch ended; false for a redelivery by hand."
    )
    status_code: str | None = column(
        description="How the delivery stands: an open set, such as `pending`, `retrying`, `delivered`, `failed`."
    )
    failure_reason_code: str | None = column(
        description="Why the last attempt failed: an open set, such as `timeout`, `connection_refused`, `tls_error`, "
        "`dns_error`, `http_4xx`, `http_5xx`."
    )
    attempt_count: int | None = column(description="How many attempts the platform has made, as it counted them.")
    max_attempts: int | None = column(description="After how many attempts the platform gives up.")
    next_attempt_at: datetime | None = column(description="When the next attempt is due; null when there will be none.")
    created_at: datetime = column(description="When the delivery was created.")
    updated_at: datetime | None = column(description="When the delivery last changed.")
    completed_at: datetime | None = column(
        description="When the delivery succeeded or was given up; null while it is in flight."
    )

    callback_url: str | None = masked(mask_url, description="Where the callback is sent.")

    failure_detail: str | None = masked(mask_text, description="The failure in words, where there is more to say.")

    failure: CallbackFailure | None = derived(
        CallbackFailure.of_code,
        "failure_reason_code",
        description="What `failureReasonCode` means; null where there is none.",
    )
    in_flight: bool = derived(
        is_in_flight, "completed_at", description="True until the delivery succeeded or was given up."
    )
    overdue: bool = derived(
        is_overdue,
        "completed_at",
        "next_attempt_at",
        with_now=True,
        description="True when the delivery is in flight and its next attempt was due before now.",
    )
    will_retry: bool = derived(
        has_next_attempt,
        "completed_at",
        "next_attempt_at",
        "attempt_count",
        "max_attempts",
        description="True when another attempt is planned: the delivery is in flight and has attempts left.",
    )
    next_attempt_in: int | None = derived(
        seconds_to_next_attempt,
        "completed_at",
        "next_attempt_at",
        with_now=True,
        description="Seconds until the next attempt, rounded up; 0 when it is due, null when there will be none.",
    )
    as_curl: str | None = derived(
        as_curl_command,
        "callback_url",
        "payload_bytes",
        "signing_secret_id",
        description="A shell command that sends the same callback again. Secrets are placeholders: it signs the body "
        "with the secret that it is given. Null where there is no URL or no body.",
    )
    payload_bytes_preview: TextPreview | None = previewed(
        "payload_bytes", description="The beginning of `payloadBytes`; null when there is no body."
    )
    payload_bytes: str | None = derived(
        body_text,
        "payload_bytes",
        description="The body exactly as it was sent and signed. Opaque text: verify a signature over this, "
        "never over `payload` serialised again.",
    )
    payload: BatchCallbackPayloadType | None = derived(
        BatchCallbackPayloadType.of_body,
        "payload_bytes",
        description="The body, parsed; null when there is none, or when it is not JSON with exactly the eight keys.",
    )
    batch: Batch | None = loaded(
        batch_by_id, key="batch_id", description="The batch whose end this callback announces."
    )
    attempts: list[BatchCallbackDeliveryAttempt] = loaded(
        attempts_of_delivery, key="id", description="The attempts of this delivery, in the order they were made."
    )
    latest_attempt: BatchCallbackDeliveryAttempt | None = loaded(
        latest_of_delivery, key="id", description="The attempt made last; null before the first one."
    )


@row_type(
    batch_callback_delivery_attempts, description="One try to deliver a callback, and what the receiver answered."
)
class BatchCallbackDeliveryAttempt(Node):
    """A row of `batch_callback_delivery_attempts`."""

    delivery_id: strawberry.ID = column(description="The delivery that this attempt belongs to.")
    attempt_number: int = column(description="Which attempt of its delivery this is, from 1.")
    status_code: int | None = column(
        description="The HTTP status that the receiver answered; null when no answer came."
    )
    response_time_ms: int | None = column(description="How long the receiver took to answer, in milliseconds.")
    created_at: datetime = column(description="When the attempt was made.")

    response_body: str | None = masked(
        mask_text, description="The body that the receiver answered. It may be large: a preview is not."
    )

    response_body_preview: TextPreview | None = previewed(
        "response_body", mask_text, description="The beginning of `responseBody`; null when no answer came."
    )
    error_message: str | None = masked(mask_text, description="Why no answer came, in words.")

    delivery: BatchCallbackDelivery | None = loaded(
        delivery_by_id, key="delivery_id", description="The delivery that this attempt belongs to."
    )


@strawberry.type(name="Organization", description="The organization that a credential belongs to.")
class OrganizationType:
    """A row of `organizations`."""

    id: strawberry.ID = strawberry.field(description="The organization's UUID.")
    name: str | None = strawberry.field(description="What the organization is called; null when it was given no name.")


@strawberry.type(name="Viewer", description="Who asks.")
class ViewerType:
    """The credential behind a request."""

    scopes: list[str] = strawberry.field(description="What the credential may do, such as `batches:read`.")
    organization_id: strawberry.Private[str]

    @classmethod
    def of(cls, context: Context) -> Self:
        """The viewer of a request; `Unauthorized` where there is none."""
        viewer = context.known_viewer
        return cls(scopes=sorted(viewer.scopes), organization_id=viewer.organization_id)

    @strawberry.field(description="The organization whose rows are seen.")
    async def organization(self, info: Info) -> OrganizationType:
        row = await info.context.reader.load(OrganizationOf())
        return OrganizationType(id=strawberry.ID(self.organization_id), name=row.name if row else None)
