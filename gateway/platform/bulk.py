"""Many callbacks delivered again: first a plan, from the rows, and then what the plan named and nothing else.

A plan's token holds its batches, each with the delivery that was its latest then. A batch that has got another one
since is refused as changed: so a token that is used twice sends nothing twice.
"""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select, tuple_

from gateway.database.dialects import unindexed
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.deadline import Deadline
from gateway.errors import BadToken, StatementTimeout, Unavailable
from gateway.platform.outcomes import Outcome, Planned, Refusal, Refused
from gateway.platform.redelivery import OF_BATCH, WHOLE, Redeliveries, why_not
from gateway.reading.filters import CallbackDeliveryFilter, Conditions, FilterValues
from gateway.reading.history import OLDEST_FIRST
from gateway.reading.pages import Cursors, Slice
from gateway.reading.questions import CountUpTo, PageOf, RowById
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility
from gateway.signing import EXPIRES, Signer

REDELIVERY_PURPOSE = "redelivery"
TOKEN_SECONDS = 900.0  # from a plan until the last run of it
HIGHEST_COUNT = 10_000
ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class LatestOfBatch:
    """A filter of deliveries that keeps those of `where` which are the latest of their batch."""

    where: CallbackDeliveryFilter

    def parameterised(self, scope: Visibility, name: str = "where") -> tuple["LatestOfBatch", FilterValues]:
        """The same with parameters in the place of values."""
        where, values = self.where.parameterised(scope, name)
        return LatestOfBatch(where), values

    def conditions(self, scope: Visibility) -> Conditions:
        """What a kept delivery satisfies."""
        yield from self.where.conditions(scope)
        later = deliveries.alias("later")
        yield ~exists(
            select(later.c.id).where(
                unindexed(later.c.org_id) == scope.organization,
                later.c.batch_id == deliveries.c.batch_id,
                tuple_(later.c.created_at, later.c.id) > tuple_(deliveries.c.created_at, deliveries.c.id),
            )
        )


@dataclass(frozen=True, slots=True)
class Batches:
    """What came of several batches, each in its place; `token` is for what is still to be done, None where nothing is.

    `count` is how many the filter keeps in all, counted no further than `HIGHEST_COUNT` + 1; None in a run.
    """

    outcomes: Sequence[Outcome]
    token: str | None
    expires_at: datetime | None
    count: int | None = None


class BulkRedeliveries:
    """Plans and runs of one viewer, for one request."""

    def __init__(self, redeliveries: Redeliveries, signer: Signer, deadline: Deadline) -> None:
        self._redeliveries = redeliveries
        self._signer = signer
        self._deadline = deadline

    async def plan(self, reader: Reader, where: CallbackDeliveryFilter, first: int) -> Batches:
        """What a run would do with the first batches whose latest delivery the filter keeps, oldest first."""
        latest = LatestOfBatch(where)
        question = PageOf(deliveries, WHOLE, latest, OLDEST_FIRST, Slice(first))
        (page,) = await reader.fetch(question, [reader.organization])
        (count,) = await reader.fetch(CountUpTo(deliveries, latest, HIGHEST_COUNT), [reader.organization])
        ids = [row.batch_id for row in page.rows]
        outcomes: list[Outcome] = []
        for row, batch in zip(page.rows, await reader.fetch(RowById(batches, OF_BATCH), ids), strict=True):
            reason = Refusal.BATCH_NOT_FOUND if batch is None else why_not(batch, row)
            refused = None if reason is None else Refused.because(row.batch_id, reason)
            outcomes.append(refused or Planned(row.batch_id, dict(row._mapping)))
        if self._redeliveries.platform.is_off:
            outcomes = [Refused.because(of.batch_id, Refusal.NOT_OFFERED) for of in outcomes]
        pairs = [(each.batch_id, str(each.delivery["id"])) for each in outcomes if isinstance(each, Planned)]
        if not pairs:
            return Batches(outcomes, None, None, count)
        ends = self._signer.expiry(TOKEN_SECONDS)
        content = {**self._bound(where), "batches": _packed(pairs), EXPIRES: ends}
        return Batches(outcomes, self._signer.renew(REDELIVERY_PURPOSE, content), _expiry(content), count)

    async def run(self, reader: Reader, where: CallbackDeliveryFilter, token: str) -> Batches:
        """Do what a plan of this viewer and this filter named; `BadToken` for the token of another.

        What cannot end before the deadline, is still to be begun when the gateway is about to stop, or cannot be looked
        at since the database does not answer, is refused as not begun, and the token of the answer is for that.
        """
        content = self._signer.read(REDELIVERY_PURPOSE, token)
        if {name: content.get(name) for name in self._bound(where)} != self._bound(where):
            raise BadToken("The token is of another viewer, organization or filter: ask for a plan of your own.")
        pairs = _unpacked(content["batches"])
        outcomes = await asyncio.gather(*(self._one(reader, *pair) for pair in pairs))
        left = [pair for pair, outcome in zip(pairs, outcomes, strict=True) if _is_left(outcome)]
        if not left:
            return Batches(outcomes, None, None)
        renewed = self._signer.renew(REDELIVERY_PURPOSE, {**content, "batches": _packed(left)})
        return Batches(outcomes, renewed, _expiry(content))

    async def _one(self, reader: Reader, batch_id: str, latest_id: str) -> Outcome:
        """One batch in its turn; the rows are looked at right before anything is sent."""
        started = time.perf_counter()
        redeliveries = self._redeliveries
        platform = redeliveries.platform
        if platform.is_off:
            return redeliveries.noted(Refused.because(batch_id, Refusal.NOT_OFFERED), started)
        async with platform.pace.turn(self._may_begin) as may_begin:
            started = time.perf_counter()
            if not may_begin:
                return redeliveries.noted(Refused.because(batch_id, Refusal.NOT_BEGUN), started)
            try:
                batch, before = await redeliveries.state(reader, batch_id)
            except (Unavailable, StatementTimeout) as failure:  # else what came of the others would be told to nobody
                return redeliveries.noted(Refused(batch_id, Refusal.NOT_BEGUN, failure.message), started)
            if batch is None:
                return redeliveries.noted(Refused.because(batch_id, Refusal.BATCH_NOT_FOUND), started)
            is_changed = not before or before[0].id != latest_id
            reason = Refusal.CHANGED if is_changed else why_not(batch, before[0])
            if reason is not None:
                return redeliveries.noted(Refused.because(batch_id, reason), started)
            return redeliveries.noted(await redeliveries.send(reader, batch_id, batch, before), started)

    def _may_begin(self) -> bool:
        left = self._deadline.left
        return not self._redeliveries.platform.draining and (left is None or left > self._redeliveries.longest)

    def _bound(self, where: CallbackDeliveryFilter) -> dict[str, Any]:
        """What a token is bound to, beside its batches."""
        viewer = self._redeliveries.viewer
        return {
            "credential": viewer.credential,
            "organization": viewer.organization_id,
            "filter": Cursors.of(deliveries.name, where).binding,
        }


def _is_left(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.reason is Refusal.NOT_BEGUN


def _packed(pairs: Sequence[tuple[str, str]]) -> str:
    """Ids of batches and deliveries in 44 characters a pair."""
    raw = b"".join(UUID(id_).bytes for pair in pairs for id_ in pair)
    return base64.b64encode(raw).decode()


def _unpacked(text: str) -> list[tuple[str, str]]:
    raw = base64.b64decode(text)
    ids = [str(UUID(bytes=raw[at : at + ID_BYTES])) for at in range(0, len(raw), ID_BYTES)]
    return list(zip(ids[::2], ids[1::2], strict=True))


def _expiry(content: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(content[EXPIRES], UTC)
