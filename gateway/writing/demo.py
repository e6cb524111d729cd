"""A sample history: a month of two imaginary studios, with everything that can happen to a callback.

It is the same for the same `now` and seed, ids included.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.writing.derived import derived_columns, masked_error
from gateway.writing.organizations import add_organization

SAMPLE_BATCHES = 500
SPAN = timedelta(days=30)
MAX_ATTEMPTS = 5
FIRST_PAUSE = timedelta(seconds=30)  # and four times as long after each further failure
ROWS_AT_ONCE = 500
LARGE_BODY_BYTES = 64 * 1024

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SampleHistory:
    """What was written: two organizations, the first of which has the batch worth looking at, and numbers of rows."""

    organization_ids: tuple[str, str]
    batch_id: str
    batches: int
    deliveries: int
    attempts: int

    @property
    def organization_id(self) -> str:
        """The organization that the batch belongs to."""
        return self.organization_ids[0]


@dataclass(frozen=True, slots=True)
class _Studio:
    """An organization: where its callbacks go, what it makes and what that costs an item."""

    name: str
    urls: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    prompts: tuple[str, ...]


STUDIOS = (
    _Studio(
        "Northlight Studio",
        (
            "https://hooks.northlight.example/batches",
            "https://hooks.northlight.example/batches?token=demo-token-7f3a91c2&region=eu",
            "https://render:demo-password@farm.northlight.example:8443/callback",
        ),
        (("aurora-xl", "0.0400"), ("aurora-video", "0.3500")),
        ("a lighthouse in a snow storm, 35 mm", "полярное сияние над фьордом", "crème brûlée, macro, soft light"),
    ),
    _Studio(
        "Paper Lantern",
        (
            "https://api.paperlantern.example/v2/callbacks",
            "http://intake.paperlantern.example:8080/cb?api_key=demo-key-5521&shop=kyoto",
        ),
        (("lantern-2", "0.0125"),),
        ("紙の灯籠、雨の夜", "festival poster, 🏮 in the wind", "a paper crane, folded from a city map"),
    ),
)
BROKEN_URLS = {
    "dns_error": "https://gone.{name}.example/hooks",
    "tls_error": "https://expired.{name}.example/hooks",
    "connection_refused": "https://standby.{name}.example:9443/hooks",
}
# What an attempt comes to: the HTTP status, the response's body and the transport's error.
SAMPLE_OUTCOMES: dict[str, tuple[tuple[int | None, str | None, str | None], ...]] = {
    "ok": ((200, '{"received":true}', None), (200, "ok", None), (202, "", None), (204, None, None)),
    "http_4xx": (
        (401, '{"error":"bad token","authorization":"Bearer demo-token-7f3a91c2"}', None),
        (404, "<html><body><h1>404 Not Found</h1></body></html>", None),
        (410, '{"error":"endpoint removed","api_key":"demo-key-5521"}', None),
    ),
    "http_5xx": (
        (500, "Traceback: KeyError 'batch'; DATABASE_URL=postgres://app:demo-password@db/app", None),
        (502, "<html><body>Bad Gateway — 網關錯誤</body></html>", None),
        (503, '{"error":"busy","retry_after":30}', None),
        (500, "<pre>" + "stack frame … " * (LARGE_BODY_BYTES // 14) + "</pre>", None),
    ),
    "timeout": ((None, None, "no response within 10 s"),),
    "connection_refused": ((None, None, "connect: connection refused"),),
    "tls_error": ((None, None, "certificate has expired"),),
    "dns_error": ((None, None, "name or service not known"),),
}
FAILURES = ("http_5xx", "http_5xx", "timeout", "timeout", "http_4xx", "connection_refused", "tls_error", "dns_error")
SAMPLE_EVENTS = {"succeeded": 80, "partial_succeeded": 10, "failed": 7, "cancelled": 3}
SHOWN = ["http_5xx", "timeout", "http_5xx", "timeout", "http_5xx"]


async def write_sample(database: Database, now: datetime, seed: int = 1) -> SampleHistory:
    """Write the sample history of the month before `now`, which must have a time zone; all of it or nothing."""
    story = _Story(now, Random(seed))  # noqa: S311
    organization_ids = (story.new_id(), story.new_id())
    for number in range(SAMPLE_BATCHES):
        age = SPAN * ((SAMPLE_BATCHES - number) / SAMPLE_BATCHES) ** 1.5
        story.tell(organization_ids, number, now - age - timedelta(microseconds=story.random.randrange(10**9)))
    shown = story.show(organization_ids[0])
    tables = {
        batches: story.batches,
        batch_callback_deliveries: story.deliveries,
        batch_callback_delivery_attempts: story.attempts,
    }
    async with database.transaction() as connection:
        for organization_id, studio in zip(organization_ids, STUDIOS, strict=True):
            await add_organization(connection, organization_id, studio.name, now - SPAN)
        for table, rows in tables.items():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                await connection.execute(insert(table), rows[start : start + ROWS_AT_ONCE])
    return SampleHistory(organization_ids, shown, *map(len, tables.values()))


@dataclass(slots=True)
class _Story:
    """The rows so far, and the chance that decides on the next."""

    now: datetime
    random: Random
    batches: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)

    def new_id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def tell(self, organization_ids: tuple[str, str], number: int, created_at: datetime) -> None:
        """One batch and what happened to its callbacks. The newest batches are the ones still under way."""
        which = self.random.choices((0, 1), (3, 1))[0]
        studio, chance = STUDIOS[which], self.random.random()
        left = SAMPLE_BATCHES - number
        if left <= 3:
            self.batches.append(
                self._running_batch(organization_ids[which], studio, self.now - timedelta(seconds=left))
            )
            return
        if left <= 20:
            created_at = self.now - timedelta(minutes=left)
        failure = self.random.choice(FAILURES)
        if failure in BROKEN_URLS and chance >= 0.6:
            url = BROKEN_URLS[failure].format(name=studio.name.split()[-1].lower())
        else:
            url = self.random.choice(studio.urls)
        batch = self._batch(organization_ids[which], studio, created_at, url, large=number % 100 == 7)
        if left == 4:
            self._deliver(batch, [], due_in=timedelta(seconds=20))
        elif left <= 12:
            self._deliver(batch, [failure] * MAX_ATTEMPTS)
        elif number % 60 == 13:
            self._deliver(batch, [failure, failure], due_in=timedelta(minutes=2))
        elif number == 99:
            self._deliver(batch, ["ok"], body=b"status=succeeded&encoding=form")
        elif chance < 0.72:
            self._deliver(batch, ["ok"])
        elif chance < 0.88:
            self._deliver(batch, [*self.random.choices(FAILURES[:4], k=self.random.randint(1, 3)), "ok"])
        else:
            failed = self._deliver(batch, [failure] * MAX_ATTEMPTS)
            if chance >= 0.94 and failed["completed_at"] is not None:
                self._redeliver(batch, failed, [self.random.choice(["ok", "ok", failure])])

    def show(self, organization_id: str) -> str:
        """The batch worth looking at: given up after five attempts, sent again by hand, and delivered after all."""
        created_at = self.now - timedelta(hours=9)
        batch = self._batch(organization_id, STUDIOS[0], created_at, STUDIOS[0].urls[1], event="partial_succeeded")
        self._redeliver(batch, self._deliver(batch, SHOWN), ["http_5xx", "ok"])
        id_: str = batch["id"]
        return id_

    def _running_batch(self, organization_id: str, studio: _Studio, created_at: datetime) -> Row:
        """A batch that has not ended and so has no callback yet."""
        batch = self._batch(organization_id, studio, created_at, studio.urls[0], keep=False)
        unknown = dict.fromkeys(("output", "duration_ms", "completed_at", "cost"))
        items = [item | {"status_code": "running"} for item in batch["items"]]
        done = {"items_succeeded": 0, "items_failed": 0, "items_cancelled": 0, "status_code": "running", "items": items}
        failure = dict.fromkeys(("failure_code", "failure_message", "failure_stage_code"))
        return batch | unknown | done | failure

    def _batch(
        self,
        organization_id: str,
        studio: _Studio,
        created_at: datetime,
        url: str,
        *,
        event: str | None = None,
        large: bool = False,
        keep: bool = True,
    ) -> Row:
        """A batch that has ended, with its items, their inputs and outputs, and what they cost."""
        status = event or self.random.choices(tuple(SAMPLE_EVENTS), tuple(SAMPLE_EVENTS.values()))[0]
        model, price = self.random.choice(studio.models)
        inputs = [
            {"prompt": self.random.choice(studio.prompts), "seed": self.random.randrange(10**6)}
            for _ in range(self.random.randint(2, 6))
        ]
        if large:
            inputs[0]["reference"] = "data:text/plain," + "ink and rain; " * (LARGE_BODY_BYTES // 14)
        id_ = self.new_id()
        items = [self._item(index, model, given, _item_status(status, index)) for index, given in enumerate(inputs)]
        counts = {
            code: sum(item["status_code"] == code for item in items) for code in ("succeeded", "failed", "cancelled")
        }
        duration_ms = self.random.randint(1_500, 95_000)
        started_at = created_at + timedelta(milliseconds=self.random.randint(20, 900))
        failed = status == "failed"
        row = {
            "id": id_,
            "org_id": organization_id,
            "target_type_code": "model",
            "target_type": "Model",
            "target_id": model,
            "status_code": status,
            "source_code": self.random.choice(("api", "api", "api", "dashboard")),
            "items_total": len(items),
            **{f"items_{code}": count for code, count in counts.items()},
            "input": inputs,
            "resolved_template_id": self.new_id(),
            "dispatch_provider_link_id": self.new_id(),
            "cost": str(Decimal(price) * counts["succeeded"]),
            "output": {"items": items, **counts, "total": len(items)},
            "metadata": {"project": self.random.choice(("winter", "été", "提灯")), "run": self.random.randrange(1000)},
            "callback_url": url,
            "duration_ms": duration_ms,
            "failure_code": "provider_error" if failed else None,
            "failure_message": "The provider refused every item." if failed else None,
            "failure_stage_code": "execution" if failed else None,
            "created_by": self.new_id(),
            "created_at": created_at,
            "started_at": started_at,
            "completed_at": started_at + timedelta(milliseconds=duration_ms),
            "links": {"self": f"/v1/batches/{id_}", "callback": f"/v1/batches/{id_}/callback"},
            "items": [
                {key: item[key] for key in ("id", "sequence_index", "run_id", "status_code", "client_ref")}
                for item in items
            ],
        }
        if keep:
            self.batches.append(row)
        return row

    def _item(self, index: int, model: str, given: dict[str, Any], status: str) -> dict[str, Any]:
        """An item as the callback's body lists it."""
        item = {
            "id": self.new_id(),
            "sequence_index": index,
            "status_code": status,
            "client_ref": f"shot-{index + 1:03}",
            "run_id": self.new_id(),
            "input": given,
        }
        if status == "succeeded":
            return item | {"output": {"url": f"https://media.example/{model}/{item['id']}.webp", "width": 1024}}
        return item | {"error": {"code": "content_rejected" if status == "failed" else "cancelled", "message": status}}

    def _redeliver(self, batch: Row, failed: Row, outcomes: list[str]) -> None:
        """Send a callback again, by hand, some time after it was given up."""
        asked_at = failed["completed_at"] + timedelta(minutes=self.random.randint(9, 90))
        if asked_at < self.now:
            self._deliver(batch, outcomes, created_at=asked_at, is_automatic=False)

    def _deliver(
        self,
        batch: Row,
        outcomes: list[str],
        *,
        created_at: datetime | None = None,
        is_automatic: bool = True,
        due_in: timedelta | None = None,
        body: bytes | None = None,
    ) -> Row:
        """A delivery whose attempts come to these outcomes, as far as there was time for them until now.

        It is in flight where the next attempt is still to come, or where it is `due_in` so long after the last one.
        """
        created_at = created_at or batch["completed_at"] + timedelta(milliseconds=self.random.randint(5, 80))
        body = body or _body(batch)
        delivery: Row = {
            "id": self.new_id(),
            "org_id": batch["org_id"],
            "batch_id": batch["id"],
            "callback_url": batch["callback_url"],
            "payload_bytes": body,
            "signing_secret_id": str(UUID(int=UUID(batch["org_id"]).int ^ 1)) if is_automatic else None,
            "is_automatic": is_automatic,
            "status_code": "pending",
            "failure_reason_code": None,
            "failure_detail": None,
            "attempt_count": 0,
            "max_attempts": MAX_ATTEMPTS,
            "next_attempt_at": None,
            "created_at": created_at,
            "updated_at": created_at,
            "completed_at": None,
            **derived_columns(batch["callback_url"], body),
        }
        self.deliveries.append(delivery)
        due_at, pause = created_at + timedelta(milliseconds=self.random.randint(1, 40)), FIRST_PAUSE
        for number, outcome in enumerate(outcomes, 1):
            if due_at + timedelta(seconds=11) > self.now:
                delivery["next_attempt_at"] = due_at
                return delivery
            ended_at = self._attempt(delivery, number, outcome, due_at)
            if outcome == "ok":
                delivery.update(status_code="delivered", failure_reason_code=None, failure_detail=None)
                delivery["completed_at"] = ended_at
                return delivery
            due_at, pause = ended_at + pause, pause * 4
        if due_in is not None:
            delivery["next_attempt_at"] = delivery["updated_at"] + due_in
        else:
            delivery.update(status_code="failed", completed_at=delivery["updated_at"])
        return delivery

    def _attempt(self, delivery: Row, number: int, outcome: str, at: datetime) -> datetime:
        """One try, and when it ended."""
        status, response_body, error = self.random.choice(SAMPLE_OUTCOMES[outcome])
        milliseconds = 10_000 if outcome == "timeout" else int(self.random.lognormvariate(4.8, 0.7))
        self.attempts.append(
            {
                "id": self.new_id(),
                "org_id": delivery["org_id"],
                "delivery_id": delivery["id"],
                "attempt_number": number,
                "status_code": status,
                "response_body": response_body,
                "response_time_ms": milliseconds if status or outcome == "timeout" else None,
                "error_message": error,
                "error_message_masked": masked_error(error),
                "created_at": at,
            }
        )
        ended_at = at + timedelta(milliseconds=milliseconds)
        delivery.update(status_code="retrying", attempt_count=number, updated_at=ended_at)
        delivery.update(failure_reason_code=outcome, failure_detail=error or f"The endpoint answered {status}.")
        return ended_at


def _item_status(batch_status: str, index: int) -> str:
    """A partly succeeded batch has both kinds; in any other, all items share its fate."""
    if batch_status == "partial_succeeded":
        return "failed" if index % 2 else "succeeded"
    return batch_status


def _body(batch: Row) -> bytes:
    """The body of a callback, byte for byte as it was signed."""
    payload = {
        "event": f"batch.{batch['status_code']}",
        "batch_id": batch["id"],
        "status": batch["status_code"],
        "output": batch["output"],
        "duration_ms": batch["duration_ms"],
        "created_at": batch["created_at"].isoformat(),
        "completed_at": batch["completed_at"].isoformat(),
        "metadata": batch["metadata"],
    }
    return json.dumps(payload, ensure_ascii=False).encode()
