"""One callback delivered again: asked of the platform once, and found out from the rows where its answer is lost."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from pydantic import ValidationError

from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.database.types import AnyRow
from gateway.errors import AnswerLost, BatchNotFound, ClientError, PlatformUnavailable, StatementTimeout, Unavailable
from gateway.observability.record import exchange
from gateway.platform.client import Platform, PlatformAnswer
from gateway.platform.outcomes import Made, Outcome, Refusal, Refused, Row, Unknown, code_of
from gateway.reading.contract import DeliveryDocument
from gateway.reading.masking import mask_text
from gateway.reading.pages import Order
from gateway.reading.questions import RowById, RowsOf
from gateway.reading.reader import Reader
from gateway.viewer import Viewer

audit = logging.getLogger("audit")

LOOKS = (0.0, 0.1, 0.3, 0.6)  # the share of the time for it that passes before each look at the rows
LOOKED_AT = 5  # of a batch's newest deliveries: more cannot have come while one request was on its way
NEWEST_FIRST = Order("created_at", descending=True)
WHOLE = frozenset(deliveries.c.keys())
OF_BATCH = frozenset({"status_code", "completed_at", "callback_url"})
ENDED = frozenset({"succeeded", "failed", "canceled", "cancelled", "partial_succeeded"})
CONFLICT_TYPE = "conflict"  # of the first of `errors`, in the platform's 422
SAYS_NOTHING = {408}  # the one 4xx that does not tell whether the request was read


class Redeliveries:
    """What one viewer may have the platform do, for one request."""

    def __init__(self, platform: Platform, viewer: Viewer, token: str) -> None:
        self.platform = platform
        self.viewer = viewer
        self._token = token

    @property
    def longest(self) -> float:
        """How many seconds one redelivery may take at the most, once it is begun."""
        return self.platform.answer_seconds + self.platform.look_seconds

    def allow(self) -> None:
        """Raise `ImpersonationReadOnly` or `PermissionDenied` for a viewer who may not."""
        try:
            self.viewer.require_write(self.platform.scope)
        except ClientError as error:
            self._note("redelivery denied", outcome=error.code)
            raise

    async def one(self, reader: Reader, batch_id: str) -> Outcome:
        """Have the callback of a batch delivered again. The reader must be one that reads what was just written."""
        started = time.perf_counter()
        if self.platform.is_off:
            return self.noted(Refused.because(batch_id, Refusal.NOT_OFFERED), started)
        async with self.platform.pace.turn(self._may_begin) as may_begin:
            if not may_begin:
                return self.noted(Refused.because(batch_id, Refusal.NOT_BEGUN), started)
            batch, before = await self.state(reader, batch_id)
            if batch is None:
                return self.noted(Refused.because(batch_id, Refusal.BATCH_NOT_FOUND), started)
            return self.noted(await self.send(reader, batch_id, batch, before), started)

    async def answer(self, reader: Reader, batch_id: str) -> PlatformAnswer | Made:
        """The same for whoever wants the platform's own answer; what was found in the rows where it is lost.

        Raises `BatchNotFound`, `PlatformUnavailable` and `AnswerLost`.
        """
        started = time.perf_counter()
        async with self.platform.pace.turn(self._may_begin) as may_begin:
            if not may_begin:
                self.noted(Refused.because(batch_id, Refusal.NOT_BEGUN), started)
                raise PlatformUnavailable(Refusal.NOT_BEGUN.value)
            batch, before = await self.state(reader, batch_id)
            if batch is None:
                self.noted(Refused.because(batch_id, Refusal.BATCH_NOT_FOUND), started)
                raise BatchNotFound("There is no batch with this id.")
            answer, outcome = await self._ask(reader, batch_id, batch, before)
            self.noted(outcome, started)
            if answer is not None:
                return answer
            if isinstance(outcome, Made):
                return outcome
            if isinstance(outcome, Refused):
                raise PlatformUnavailable(outcome.message)
            raise AnswerLost(Unknown(batch_id).message)

    async def state(self, reader: Reader, batch_id: str) -> tuple[AnyRow | None, list[AnyRow]]:
        """A batch of the viewer's organization, None where there is none, and its newest deliveries, newest first."""
        (batch,) = await reader.fetch(RowById(batches, OF_BATCH), [batch_id])
        return batch, [] if batch is None else await self.newest(reader, batch_id)

    async def newest(self, reader: Reader, batch_id: str) -> list[AnyRow]:
        """The newest deliveries of a batch, newest first."""
        (found,) = await reader.fetch(RowsOf(deliveries.c.batch_id, WHOLE, NEWEST_FIRST, LOOKED_AT), [batch_id])
        return found

    async def send(self, reader: Reader, batch_id: str, batch: AnyRow, before: Sequence[AnyRow]) -> Outcome:
        """Ask the platform, once; `batch` and `before` are what the rows said until then."""
        _, outcome = await self._ask(reader, batch_id, batch, before)
        return outcome

    async def _ask(
        self, reader: Reader, batch_id: str, batch: AnyRow, before: Sequence[AnyRow]
    ) -> tuple[PlatformAnswer | None, Made | Refused | Unknown]:
        """The platform's own answer, None where there is none that tells anything, and what came of it."""
        self._begun(batch_id)
        try:
            answer = await self.platform.redeliver(batch_id, self.viewer.organization_id, self._token)
            return answer, understood(answer, batch_id, batch)
        except PlatformUnavailable as error:
            return None, Refused(batch_id, Refusal.PLATFORM_UNAVAILABLE, error.message)
        except AnswerLost:
            return None, await self.found_out(reader, batch_id, before)

    async def found_out(self, reader: Reader, batch_id: str, before: Sequence[AnyRow]) -> Made | Unknown:
        """What came of a redelivery whose answer is lost: the delivery made by hand that was not there before.

        Where the database does not answer either, it stays unknown.
        """
        known = {row.id for row in before}
        for share in LOOKS if self.platform.look_seconds else LOOKS[:1]:
            await asyncio.sleep(share * self.platform.look_seconds)
            try:
                rows = await self.newest(reader, batch_id)
            except (Unavailable, StatementTimeout):
                continue
            made = [row for row in rows if row.id not in known and row.is_automatic is False]
            if made:
                return Made(batch_id, dict(made[0]._mapping), found_in_rows=True)
        return Unknown(batch_id)

    def noted(self, outcome: Outcome, started: float) -> Outcome:
        """The same outcome, which the audit log and the metrics now know; `started` is a time of `perf_counter`."""
        code = code_of(outcome)
        seconds = time.perf_counter() - started
        metrics = exchange.get().metrics
        if metrics is not None:
            metrics.redelivery(code, seconds)
        made = {"delivery": outcome.delivery["id"]} if isinstance(outcome, Made) else {}
        self._note("redelivery", batch=outcome.batch_id, outcome=code, **made, duration_ms=round(seconds * 1000, 3))
        return outcome

    def _may_begin(self) -> bool:
        return not self.platform.closed

    def _begun(self, batch_id: str) -> None:
        """Written before anything is sent: where the process is killed, what has no outcome is not known."""
        self._note("redelivery begun", batch=batch_id)

    def _note(self, message: str, **more: Any) -> None:
        viewer = self.viewer
        who = {"credential": viewer.credential, "organization": viewer.organization_id}
        audit.info(message, extra={**who, **more})


def understood(answer: PlatformAnswer, batch_id: str, batch: AnyRow) -> Made | Refused:
    """What an answer says; `AnswerLost` for one that does not tell whether the platform took the request.

    Gateways in between answer 5xx also where the platform has already taken it; an answer in the platform's own
    envelope is its own.
    """
    if 200 <= answer.status < 300:
        return Made(batch_id, _delivery(answer.body, batch_id))
    envelope = _envelope(answer.body)
    own = envelope.get("message")
    message = mask_text(own) if isinstance(own, str) else None
    if answer.status == 503 and message is not None:
        return Refused(batch_id, Refusal.PLATFORM_UNAVAILABLE, message)
    if not 400 <= answer.status < 500 or answer.status in SAYS_NOTHING:
        raise AnswerLost(f"The platform was asked, and answered {answer.status}.")
    reason = _reason(answer.status, envelope, batch)
    return Refused(batch_id, reason, message or reason.value)


def why_not(batch: AnyRow, latest: AnyRow | None) -> Refusal | None:
    """Why the platform would refuse, as far as the rows tell; None where it would not."""
    if batch.callback_url is None:
        return Refusal.NO_CALLBACK_URL
    if batch.completed_at is None and batch.status_code not in ENDED:
        return Refusal.NOT_ENDED
    return Refusal.CONFLICT if latest is not None and latest.completed_at is None else None


def _reason(status: int, envelope: Mapping[str, Any], batch: AnyRow) -> Refusal:
    if status in {401, 403}:
        return Refusal.NOT_ALLOWED
    if status == 404:
        return Refusal.BATCH_NOT_FOUND
    if status == 429:
        return Refusal.PLATFORM_UNAVAILABLE
    if status == 409 or _first_type(envelope) == CONFLICT_TYPE:
        return Refusal.CONFLICT
    return (why_not(batch, None) if status == 422 else None) or Refusal.REFUSED


def _first_type(envelope: Mapping[str, Any]) -> Any:
    errors = envelope.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first.get("type") if isinstance(first, dict) else None


def _envelope(body: bytes) -> Mapping[str, Any]:
    """The error envelope of an answer; empty where it is something else."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) and isinstance(read.get("code"), str) else {}


def _delivery(body: bytes, batch_id: str) -> Row:
    """The delivery of an answer as a row of its table; `AnswerLost` for what is none, or one of another batch."""
    try:
        read = DeliveryDocument.model_validate_json(body)
    except ValidationError as invalid:
        raise AnswerLost("The platform was asked, and answered something that is no delivery.") from invalid
    if read.id is None or read.created_at is None or str(read.batch_id) != batch_id:
        raise AnswerLost("The platform was asked, and answered with a delivery of another batch.")
    row = dict.fromkeys(WHOLE)
    for name, value in read.model_dump(exclude={"attempts", "payload"}).items():
        if name.endswith("_at") and value is not None:
            row[name] = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        elif name.endswith("id") and value is not None:
            row[name] = str(value)
        else:
            row[name] = value.encode() if name == "payload_bytes" and value is not None else value
    return row
