"""What is exported can be imported, and comes out the same."""

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Integer, LargeBinary, Table, Text, select

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.database.types import DecimalString, Id, UtcDateTime
from gateway.errors import BatchNotFound, ImportRefused
from gateway.reading import exporting
from gateway.reading.contract import AttemptDocument, DeliveryDocument
from gateway.reading.exporting import export_lines
from gateway.writing.demo import write_sample
from gateway.writing.importing import import_file
from tests.support.rows import OURS, START, THEIRS, attempt, batch, delivery, history, identifier, store


async def exported(
    database: Database,
    organization: str = OURS,
    ids: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> bytes:
    return b"".join([piece async for piece in export_lines(database, organization, ids, since, until)])


async def ids_of(database: Database, *arguments: Any) -> list[str]:
    return [json.loads(line)["id"] for line in (await exported(database, *arguments)).splitlines()]


async def test_a_line_is_a_batch_with_deliveries_in_the_contract_s_form(database: Database) -> None:
    of = batch(1, cost="0.1200", metadata={"é": 1})
    sent = delivery(of, 1, payload_bytes=b"no json")
    rows = {batches: [of], batch_callback_deliveries: [sent], batch_callback_delivery_attempts: [attempt(sent, 1)]}
    await store(database, rows)
    line = json.loads(await exported(database))
    assert list(line) == [*batches.c.keys(), "callback_deliveries"]
    assert (line["cost"], line["metadata"], line["created_at"]) == ("0.1200", {"é": 1}, "2026-05-06T10:01:00Z")
    (document,) = line["callback_deliveries"]
    assert list(document) == list(DeliveryDocument.model_fields)
    assert list(document["attempts"][0]) == list(AttemptDocument.model_fields)
    assert (document["payload_bytes"], document["payload"]) == ("no json", None)


async def test_deliveries_stand_by_time_and_attempts_by_number(database: Database) -> None:
    of = batch(1)
    late, early = delivery(of, 1, created_at=START), delivery(of, 2, created_at=START - timedelta(days=1))
    rows = {batch_callback_delivery_attempts: [attempt(late, 2), attempt(late, 1)]}
    await store(database, {batches: [of], batch_callback_deliveries: [late, early], **rows})
    read = json.loads(await exported(database))["callback_deliveries"]
    assert [document["id"] for document in read] == [early["id"], late["id"]]
    assert [document["attempt_number"] for document in read[1]["attempts"]] == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7])
async def test_no_delivery_is_lost_between_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(exporting, "BATCHES_AT_ONCE", 2)
    monkeypatch.setattr(exporting, "FIRST_DELIVERIES", 2)
    monkeypatch.setattr(exporting, "FURTHER_DELIVERIES", 2)
    monkeypatch.setattr(exporting, "DELIVERIES", replace(exporting.DELIVERIES, first=2))
    rows = await store(database, history(3, deliveries=count))
    lines = [json.loads(line) for line in (await exported(database)).splitlines()]
    read = [document["id"] for line in lines for document in line["callback_deliveries"]]
    assert read == [row["id"] for row in rows[batch_callback_deliveries]]
    assert all(len(document["attempts"]) == 3 for line in lines for document in line["callback_deliveries"])


async def test_batches_come_oldest_first_and_only_our_own(database: Database) -> None:
    await store(database, {batches: [batch(3), batch(1), batch(2, THEIRS)]})
    assert await ids_of(database) == [identifier(0xBA, 1), identifier(0xBA, 3)]


async def test_since_is_included_and_until_is_not(database: Database) -> None:
    first, second, third = (await store(database, history(3)))[batches]
    everything = [first["id"], second["id"], third["id"]]
    assert await ids_of(database, OURS, None, second["created_at"]) == [second["id"], third["id"]]
    assert await ids_of(database, OURS, None, None, second["created_at"]) == [first["id"]]
    assert await ids_of(database, OURS, everything, second["created_at"], third["created_at"]) == [second["id"]]


async def test_named_batches_come_once_and_in_order(database: Database) -> None:
    await store(database, history(3))
    wanted = [identifier(0xBA, 3), identifier(0xBA, 1), identifier(0xBA, 3)]
    assert await ids_of(database, OURS, wanted) == [identifier(0xBA, 1), identifier(0xBA, 3)]


@pytest.mark.parametrize("unknown", [identifier(0xBA, 9), identifier(0xBA, 2)])
async def test_an_unknown_batch_is_not_found_before_anything_is_written(database: Database, unknown: str) -> None:
    await store(database, {batches: [batch(1), batch(2, THEIRS)]})
    with pytest.raises(BatchNotFound, match=unknown):
        await anext(export_lines(database, OURS, [identifier(0xBA, 1), unknown]))


async def test_nothing_is_exported_as_nothing(database: Database) -> None:
    assert await exported(database) == b""
    assert await exported(database, OURS, []) == b""


async def test_a_history_comes_back_byte_for_byte_through_any_database(database: Database, tmp_path: Path) -> None:
    first, last = (Database(f"sqlite+aiosqlite:///{tmp_path / name}") for name in ("first.db", "last.db"))
    await migrate(first)
    await migrate(last)
    organization = (await write_sample(first, START)).organization_id
    path = tmp_path / "history.ndjson"
    path.write_bytes(await exported(first, organization))
    for copy in (database, last):
        assert (await import_file(copy, path, organization, lambda _: None)).unchanged == 0
        assert await exported(copy, organization) == path.read_bytes()
    await first.close()
    await last.close()


VALUES: dict[type[Any], Any] = {
    Id: identifier(0xE0, 1),
    Text: "a text",
    Integer: 7,
    BigInteger: 2**40,
    Boolean: False,
    UtcDateTime: START,
    DecimalString: "0.1200",
    JSON: {"a": [1, None]},
    LargeBinary: b'{"a": 1}',
}
LISTS = {"input", "items"}  # of objects
NOT_IN_A_FILE = {"org_id"}


def full(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row, with a value in every column of its table that follows from no other."""
    made = {
        column.name: [VALUES[JSON]] if column.name in LISTS else VALUES[type(column.type)]
        for column in table.c
        if not column.info.get("derived")
    }
    return made | row


async def test_no_column_is_lost_on_the_way_through_a_file(database: Database, tmp_path: Path) -> None:
    """Whoever adds a column to the tables adds it to `writing.documents`, too: the export has it by itself."""
    of = full(batches, batch(1))
    sent = full(batch_callback_deliveries, delivery(of, 1))
    tried = full(batch_callback_delivery_attempts, attempt(sent, 1))
    stored = {batches: [of], batch_callback_deliveries: [sent], batch_callback_delivery_attempts: [tried]}
    await store(database, stored)
    path = tmp_path / "all.ndjson"
    path.write_bytes(await exported(database))
    line = json.loads(path.read_bytes())
    (told,) = line["callback_deliveries"]
    for table, document in zip(stored, (line, told, told["attempts"][0]), strict=True):
        columns = {column.name for column in table.c if not column.info.get("derived")}
        assert columns - NOT_IN_A_FILE <= document.keys()
    copy = Database(f"sqlite+aiosqlite:///{tmp_path / 'copy.db'}")
    await migrate(copy)
    await import_file(copy, path, OURS, lambda _: None)
    for table, (row,) in stored.items():
        (found,) = await copy.fetch(select(table))
        assert {name: found._mapping[name] for name in row} == row
    await copy.close()


async def test_a_file_says_of_which_version_it_is_where_that_is_not_the_first(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text(json.dumps({"id": identifier(0xBA, 1), "created_at": "2026-05-06T10:00:00Z", "version": 1}))
    assert (await import_file(database, path, OURS, lambda _: None)).batches == 1
    path.write_text(json.dumps({"id": identifier(0xBA, 2), "created_at": "2026-05-06T10:00:00Z", "version": 2}))
    with pytest.raises(ImportRefused, match="version: 2 is of a later version of the gateway: expected at most 1"):
        await import_file(database, path, OURS, lambda _: None)
