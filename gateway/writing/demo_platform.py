"""The platform of the demo: it takes redeliveries at the platform's own address, and makes their attempts.

A small ASGI app over the demo's database. It has the platform's guards and answers, and no receivers to send anything
to: what its attempts come to is a matter of chance, and the later the better.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.database.types import AnyRow
from gateway.reading.contract import delivery_document
from gateway.writing.demo import FAILURES, MAX_ATTEMPTS, SAMPLE_OUTCOMES
from gateway.writing.derived import derived_columns, masked_error

logger = logging.getLogger(__name__)

PATH = re.compile(r"/v1/batches/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/callback-redeliveries")
PAUSES = (1.0, 2.0, 3.0, 4.0, 5.0)  # seconds before each attempt: somebody is watching
SUCCEEDS = 0.5  # of the attempts

Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that takes nothing; `type` is that of the first of its errors."""

    status: int
    code: str
    message: str
    type: str | None = None

    @property
    def body(self) -> bytes:
        """The answer in the platform's envelope."""
        errors = None if self.type is None else [{"type": self.type, "loc": ["path", "batch_id"], "msg": self.message}]
        return json.dumps({"code": self.code, "message": self.message, "errors": errors}).encode()


NOT_FOUND = Refusal(404, "BATCH_NOT_FOUND", "There is no batch with this id.")
NOT_ENDED = Refusal(422, "VALIDATION_ERROR", "The batch has not ended.", "batch_not_ended")
NO_URL = Refusal(422, "VALIDATION_ERROR", "The batch has no callback URL.", "callback_url_missing")
CONFLICT = Refusal(422, "VALIDATION_ERROR", "A delivery of this batch is in flight.", "conflict")
UNAUTHORIZED = Refusal(401, "UNAUTHORIZED", "The credential is not known.")


class DemoPlatform:
    """Takes redeliveries from whoever has the `credential`; `pauses` are the seconds before each attempt."""

    def __init__(
        self, database: Database, credential: str, pauses: tuple[float, ...] = PAUSES, seed: int | None = None
    ) -> None:
        self._database = database
        self._authorization = f"Bearer {credential}".encode()
        self._pauses = pauses
        self._random = Random(seed)  # noqa: S311 - nothing depends on it
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = dict(scope["headers"])
        found = PATH.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        made: AnyRow | Refusal = NOT_FOUND
        if headers.get(b"authorization") != self._authorization:
            made = UNAUTHORIZED
        elif found is not None:
            made = await self._redeliver(found[1], headers.get(b"x-organization-id", b"").decode("latin-1"))
        status, body = (made.status, made.body) if isinstance(made, Refusal) else (201, _shown(made))
        content = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": content})
        await send({"type": "http.response.body", "body": body})

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._database.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _redeliver(self, batch_id: str, organization_id: str) -> AnyRow | Refusal:
        """The delivery that is made of a batch, or why there is none."""
        wanted = select(batches).where(batches.c.id == batch_id, batches.c.org_id == organization_id)
        found = await self._database.fetch(wanted)
        if not found:
            return NOT_FOUND
        batch = found[0]
        if batch.completed_at is None:
            return NOT_ENDED
        if batch.callback_url is None:
            return NO_URL
        of_batch = select(deliveries).where(deliveries.c.batch_id == batch_id, deliveries.c.org_id == organization_id)
        before = await self._database.fetch(of_batch.order_by(deliveries.c.created_at.desc()).limit(1))
        body = before[0].payload_bytes if before else None
        now = datetime.now(UTC)
        row = {
            "id": str(uuid4()),
            "org_id": organization_id,
            "batch_id": batch_id,
            "callback_url": batch.callback_url,
            "payload_bytes": body,
            "signing_secret_id": before[0].signing_secret_id if before else None,
            "is_automatic": False,
            "status_code": "pending",
            "attempt_count": 0,
            "max_attempts": MAX_ATTEMPTS,
            "next_attempt_at": now + timedelta(seconds=self._pauses[0]),
            "created_at": now,
            "updated_at": now,
            **derived_columns(batch.callback_url, body),
        }
        try:
            async with self._database.transaction() as connection:
                await connection.execute(insert(deliveries), row)
        except IntegrityError:
            return CONFLICT
        task = asyncio.create_task(self._attempts(row))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        (made,) = await self._database.fetch(select(deliveries).where(deliveries.c.id == row["id"]))
        return made

    async def _attempts(self, delivery: dict[str, Any]) -> None:
        """Make the attempts of a delivery, one after the other, until one succeeds or it is given up."""
        with suppress(asyncio.CancelledError):
            try:
                for number, pause in enumerate(self._pauses[:MAX_ATTEMPTS], 1):
                    await asyncio.sleep(pause)
                    if await self._attempt(delivery, number):
                        return
            except SQLAlchemyError:
                logger.warning("the demo's platform gives a delivery up", exc_info=True)

    async def _attempt(self, delivery: dict[str, Any], number: int) -> bool:
        """One attempt; whether it was the last one."""
        outcome = "ok" if self._random.random() < SUCCEEDS else self._random.choice(FAILURES)
        status, response_body, error = self._random.choice(SAMPLE_OUTCOMES[outcome])
        now = datetime.now(UTC)
        attempt = {
            "id": str(uuid4()),
            "org_id": delivery["org_id"],
            "delivery_id": delivery["id"],
            "attempt_number": number,
            "status_code": status,
            "response_body": response_body,
            "response_time_ms": self._random.randint(20, 400) if status else None,
            "error_message": error,
            "error_message_masked": masked_error(error),
            "created_at": now,
        }
        delivered, given_up = outcome == "ok", number == min(MAX_ATTEMPTS, len(self._pauses))
        ends = delivered or given_up
        values = {
            "status_code": "delivered" if delivered else "failed" if given_up else "retrying",
            "failure_reason_code": None if delivered else outcome,
            "failure_detail": None if delivered else error or f"The endpoint answered {status}.",
            "attempt_count": number,
            "next_attempt_at": None if ends else now + timedelta(seconds=self._pauses[number]),
            "updated_at": now,
            "completed_at": now if ends else None,
        }
        async with self._database.transaction() as connection:
            await connection.execute(insert(attempts), attempt)
            await connection.execute(update(deliveries).where(deliveries.c.id == delivery["id"]).values(**values))
        return ends


def _shown(row: AnyRow) -> bytes:
    return delivery_document(row, ()).model_dump_json().encode()
