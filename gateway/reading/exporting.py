"""Batches with all that happened to them, as the lines that `gateway import` takes.

A line has every column of the tables but those that follow from others, so that a column that is added is in it, too:
first the keys of the contract in their order, then what the tables have beyond them.
"""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from typing import Any

from pydantic import ConfigDict
from pydantic_core import to_json
from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.database.odd import Unreadable
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.database.types import AnyRow
from gateway.errors import BatchNotFound
from gateway.reading.contract import AttemptDocument, DeliveryDocument, delivery_document
from gateway.reading.filters import BatchFilter, TimeFilter
from gateway.reading.history import IN_SEQUENCE, OLDEST_FIRST
from gateway.reading.pages import Slice
from gateway.reading.questions import PageOf, RowById, RowsOf
from gateway.reading.reader import Reader

logger = logging.getLogger(__name__)

# What one statement returns must fit in memory, bodies included.
BATCHES_AT_ONCE = 20
FIRST_DELIVERIES = 16  # of each batch: hardly any has more
FURTHER_DELIVERIES = 200
OF_THE_BATCH = "org_id"  # of a delivery and of an attempt: the line tells it once


def _whole(table: Table) -> frozenset[str]:
    """The columns of a delivery or of an attempt that a file has."""
    return frozenset(column.name for column in table.c if not column.info.get("derived")) - {OF_THE_BATCH}


WHOLE_BATCH = frozenset(batches.c.keys())
DELIVERIES = RowsOf(
    batch_callback_deliveries.c.batch_id, _whole(batch_callback_deliveries), OLDEST_FIRST, FIRST_DELIVERIES
)
ATTEMPTS = RowsOf(batch_callback_delivery_attempts.c.delivery_id, _whole(batch_callback_delivery_attempts), IN_SEQUENCE)


class AttemptRecord(AttemptDocument):
    """An attempt as the contract shows it, and what the table has beyond that."""

    model_config = ConfigDict(extra="allow")


class DeliveryRecord(DeliveryDocument):
    """A delivery as the contract shows it, and what the table has beyond that."""

    model_config = ConfigDict(extra="allow")

    attempts: list[AttemptRecord] | None = None  # type: ignore[assignment]


async def export_lines(
    database: Database,
    organization_id: str,
    batch_ids: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[bytes]:
    """NDJSON: a batch a line, oldest first, its columns and then `callback_deliveries` in the contract's form.

    Either the batches with these canonical ids or all of the organization, created in `[since, until)`. A line comes
    in several pieces. An unknown id raises `BatchNotFound` before the first.
    """
    reader = Reader(database, organization_id)
    pages = (
        _batches_between(reader, since, until) if batch_ids is None else _batches_of(reader, batch_ids, since, until)
    )
    async for page in pages:
        deliveries = await reader.fetch(DELIVERIES, [batch.id for batch in page])
        documents = iter(await _documents(reader, list(chain.from_iterable(deliveries))))
        for batch, first in zip(page, deliveries, strict=True):
            line = to_json(_readable(batch))[:-1] + b',"callback_deliveries":['
            yield line + b",".join(islice(documents, len(first)))
            read, asked = first, FIRST_DELIVERIES
            while len(read) == asked:
                position, asked = OLDEST_FIRST.position(batch_callback_deliveries.c, read[-1]), FURTHER_DELIVERIES
                (read,) = await reader.fetch(replace(DELIVERIES, first=asked, after=position), [batch.id])
                for document in await _documents(reader, read):
                    yield b"," + document
            yield b"]}\n"


def _readable(batch: AnyRow) -> dict[str, Any]:
    """The columns of a batch; null where one cannot be read, which the log tells."""
    wrong = [name for name, value in batch._mapping.items() if isinstance(value, Unreadable)]
    if wrong:
        logger.warning("the batch %s cannot be read whole: %s", batch.id, ", ".join(wrong))
    return {**batch._mapping, **dict.fromkeys(wrong)}


async def _documents(reader: Reader, deliveries: Sequence[AnyRow]) -> list[bytes]:
    found = await reader.fetch(ATTEMPTS, [delivery.id for delivery in deliveries])
    documents = (
        delivery_document(*pair, DeliveryRecord, AttemptRecord) for pair in zip(deliveries, found, strict=True)
    )
    return [document.model_dump_json().encode() for document in documents]


async def _batches_between(
    reader: Reader, since: datetime | None, until: datetime | None
) -> AsyncIterator[Sequence[AnyRow]]:
    kept = BatchFilter(created_at=TimeFilter(gte=since, lt=until))
    after = None
    while True:
        question = PageOf(batches, WHOLE_BATCH, kept, OLDEST_FIRST, Slice(BATCHES_AT_ONCE, after=after))
        (page,) = await reader.fetch(question, [reader.organization])
        yield page.rows
        if not page.has_next:
            return
        after = OLDEST_FIRST.position(batches.c, page.rows[-1])


async def _batches_of(
    reader: Reader, ids: Collection[str], since: datetime | None, until: datetime | None
) -> AsyncIterator[Sequence[AnyRow]]:
    wanted = list(dict.fromkeys(ids))
    dated: list[tuple[datetime, str]] = []
    for id_, batch in zip(wanted, await reader.fetch(RowById(batches, frozenset({"created_at"})), wanted), strict=True):
        if batch is None:
            raise BatchNotFound(f"There is no batch {id_} in this organization.")
        if (since is None or since <= batch.created_at) and (until is None or batch.created_at < until):
            dated.append((batch.created_at, id_))
    ordered = [id_ for _, id_ in sorted(dated)]
    for start in range(0, len(ordered), BATCHES_AT_ONCE):
        page = await reader.fetch(RowById(batches, WHOLE_BATCH), ordered[start : start + BATCHES_AT_ONCE])
        yield [batch for batch in page if batch is not None]
