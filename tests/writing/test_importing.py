"""Files become rows, all of a file or nothing of it."""

import bz2
import gzip
import json
import lzma
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Table, func, select, text

from gateway.database.engine import Database
from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    metadata,
    organizations,
)
from gateway.errors import ImportRefused
from gateway.writing import chunks
from gateway.writing.chunks import ImportResult
from gateway.writing.documents import AttemptInFile, BatchInFile, DeliveryInFile
from gateway.writing.importing import import_file
from tests.support.rows import OURS, THEIRS, identifier

BATCH = identifier(0xBA, 1)
TIME = "2026-05-06T10:00:00Z"
PAYLOAD = {
    "event": "batch.failed",
    "batch_id": BATCH,
    "status": "failed",
    "output": {"total": 2},
    "duration_ms": 1200,
    "created_at": "2026-05-06T09:00:00+00:00",
    "completed_at": "2026-05-06T09:59:00+00:00",
    "metadata": {"ключ": "🏮"},
}
BODY = json.dumps(PAYLOAD)


def delivery(number: int = 1, **values: Any) -> dict[str, Any]:
    return {"id": identifier(0xDE, number), "batch_id": BATCH, "created_at": TIME, "completed_at": TIME, **values}


def attempt(number: int = 1, **values: Any) -> dict[str, Any]:
    return {"id": identifier(0xA7, number), "attempt_number": number, "created_at": TIME, **values}


def batch(*deliveries: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"id": BATCH, "created_at": TIME, "callback_deliveries": list(deliveries), **values}


async def load(database: Database, folder: Path, *documents: Any, organization: str = OURS) -> ImportResult:
    """Import batches as lines, or one list of deliveries as an array; text is taken as it is."""
    array = isinstance(documents[0], list)
    path = folder / ("file.json" if array else "file.ndjson")
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in documents), "utf-8")
    return await import_file(database, path, organization, lambda _: None)


async def refusal(database: Database, folder: Path, *documents: Any, organization: str = OURS) -> str:
    """Why a file is refused, without the file's name; nothing may have been written."""
    before = [await count(database, table) for table in metadata.sorted_tables]
    with pytest.raises(ImportRefused) as refused:
        await load(database, folder, *documents, organization=organization)
    assert [await count(database, table) for table in metadata.sorted_tables] == before
    assert "\n" not in refused.value.message
    return refused.value.message.partition("file.")[2].partition(":")[2]


async def count(database: Database, table: Table) -> int:
    found: int = (await database.fetch(select(func.count()).select_from(table)))[0][0]
    return found


async def only(database: Database, table: Table) -> dict[str, Any]:
    (row,) = await database.fetch(select(table))
    return dict(row._mapping)


def test_the_keys_of_a_file_are_the_columns() -> None:
    assert list(BatchInFile.model_fields) == batches.c.keys()
    assert set(DeliveryInFile.model_fields) <= {*batch_callback_deliveries.c.keys(), "payload", "attempts"}
    assert {*AttemptInFile.model_fields, "org_id", "error_message_masked"} == set(
        batch_callback_delivery_attempts.c.keys()
    )


async def test_an_array_makes_its_batch_from_the_first_readable_body(database: Database, tmp_path: Path) -> None:
    result = await load(
        database,
        tmp_path,
        [delivery(1, payload_bytes="no json", callback_url="https://a.example"), delivery(2, payload_bytes=BODY)],
    )
    assert result == ImportResult(batches=1, deliveries=2)
    made = await only(database, batches)
    assert {key: made[key] for key in ("status_code", "duration_ms", "output", "metadata", "callback_url")} == {
        "status_code": "failed",
        "duration_ms": 1200,
        "output": {"total": 2},
        "metadata": {"ключ": "🏮"},
        "callback_url": "https://a.example",
    }
    assert made["created_at"].isoformat() == "2026-05-06T10:00:00+00:00"
    assert made["completed_at"].isoformat() == "2026-05-06T09:59:00+00:00"


async def test_a_delivery_is_stored_as_it_is_told(database: Database, tmp_path: Path) -> None:
    told = delivery(
        callback_url="https://User:secret@Hooks.Example:8443/cb",
        payload_bytes=BODY,
        payload={"else": 1},
        attempt_count=7,
    )
    await load(database, tmp_path, [told])
    row = await only(database, batch_callback_deliveries)
    assert (row["callback_host"], row["event"]) == ("hooks.example:8443", "batch.failed")
    assert (row["payload_bytes"], row["attempt_count"]) == (BODY.encode(), 7)


async def test_a_batch_that_exists_is_not_compared_with_an_array(database: Database, tmp_path: Path) -> None:
    await load(database, tmp_path, batch(status_code="succeeded"))
    assert await load(database, tmp_path, [delivery(payload_bytes=BODY)]) == ImportResult(deliveries=1)
    assert (await only(database, batches))["status_code"] == "succeeded"


async def test_a_line_is_a_batch_with_its_deliveries(database: Database, tmp_path: Path) -> None:
    line = batch(delivery(attempts=[attempt(1), attempt(2)]), cost="007.1200", input=[{"n": 1}], org_id=OURS)
    assert await load(database, tmp_path, line) == ImportResult(batches=1, deliveries=1, attempts=2)
    made = await only(database, batches)
    assert (made["cost"], made["input"], made["output"]) == ("7.1200", [{"n": 1}], None)
    assert (await only(database, organizations))["id"] == OURS


@pytest.mark.parametrize("attempts", [{"attempts": None}, {}])
async def test_no_attempts_may_be_null_or_missing(database: Database, tmp_path: Path, attempts: dict[str, Any]) -> None:
    assert await load(database, tmp_path, [delivery(**attempts)]) == ImportResult(batches=1, deliveries=1)


async def test_a_batch_without_a_time_is_as_old_as_its_oldest_delivery(database: Database, tmp_path: Path) -> None:
    line = {
        "callback_deliveries": [
            delivery(1, created_at="2026-05-07T00:00:00+02:00"),
            delivery(2, created_at="2026-05-06T23:00:00+02:00"),
        ],
        "id": BATCH,
    }
    await load(database, tmp_path, line)
    assert (await only(database, batches))["created_at"].isoformat() == "2026-05-06T21:00:00+00:00"


async def test_a_batch_without_any_time_is_refused(database: Database, tmp_path: Path) -> None:
    problem = "is missing, and there is no delivery to take it from"
    assert await refusal(database, tmp_path, "", {"id": BATCH}) == f"2: created_at: {problem}"


async def test_ids_are_taken_in_any_spelling(database: Database, tmp_path: Path) -> None:
    spelt = delivery(batch_id=BATCH.upper(), attempts=[attempt(delivery_id=f"urn:uuid:{identifier(0xDE, 1)}")])
    await load(database, tmp_path, batch(spelt, id=BATCH.replace("-", "")))
    assert (await only(database, batches))["id"] == BATCH


async def test_importing_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    line = batch(delivery(payload_bytes=BODY, attempts=[attempt()]), metadata={"a": 1, "b": [True, 1.5]}, cost="0.10")
    await load(database, tmp_path, line)
    line["metadata"] = {"b": [True, 1.5], "a": 1}
    assert await load(database, tmp_path, line) == ImportResult(unchanged=3)


async def test_a_row_that_stands_twice_in_a_file_is_taken_once(database: Database, tmp_path: Path) -> None:
    line = batch(delivery(attempts=[attempt()]))
    assert await load(database, tmp_path, line, line) == ImportResult(batches=1, deliveries=1, attempts=1, unchanged=3)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (batch(delivery(attempts=[attempt()]), metadata={"a": 1}), "metadata"),
        (
            batch(delivery(status_code="failed", attempts=[attempt()]), metadata={"a": True}),
            "callback_deliveries[0].status_code",
        ),
        (
            batch(delivery(attempts=[attempt(status_code=200)]), metadata={"a": True}),
            "callback_deliveries[0].attempts[0].status_code",
        ),
    ],
)
async def test_other_content_under_the_same_id_is_refused(
    database: Database, tmp_path: Path, changed: dict[str, Any], field: str
) -> None:
    await load(database, tmp_path, batch(delivery(attempts=[attempt()]), metadata={"a": True}))
    assert f"1: {field}: differs from what is known of" in (await refusal(database, tmp_path, changed)).strip()


UNREADABLE = {
    "sqlite": [
        ("batches", "created_at", "soon"),
        ("batches", "metadata", "{"),
        ("batches", "cost", "much"),
        ("batch_callback_deliveries", "next_attempt_at", "soon"),
        ("batch_callback_delivery_attempts", "created_at", "soon"),
    ],
    "postgresql": [
        ("batches", "completed_at", "0044-03-15 BC"),
        ("batches", "metadata", "9" * 5_000),
        ("batches", "cost", "NaN"),
        ("batch_callback_deliveries", "next_attempt_at", "20000-01-01"),
        ("batch_callback_delivery_attempts", "created_at", "20000-01-01"),
    ],
}
PLACES = {
    "batches": (BATCH, ""),
    "batch_callback_deliveries": (identifier(0xDE, 1), "callback_deliveries[0]."),
    "batch_callback_delivery_attempts": (identifier(0xA7, 1), "callback_deliveries[0].attempts[0]."),
}


@pytest.mark.parametrize("number", range(5))
async def test_a_stored_row_that_cannot_be_read_is_named(database: Database, tmp_path: Path, number: int) -> None:
    line = batch(delivery(attempts=[attempt()]), metadata={"a": 1}, cost="0.10")
    await load(database, tmp_path, line)
    table, column, value = UNREADABLE[database.dialect][number]
    async with database.transaction() as connection:
        await connection.execute(text(f"UPDATE {table} SET {column} = '{value}'"))
    id_, field = PLACES[table]
    told = f"1: {field}{column}: what {table} holds of {id_} cannot be read: `gateway doctor` says what is odd"
    assert (await refusal(database, tmp_path, line)).strip() == told


@pytest.mark.parametrize("document", [batch(), batch(delivery(2)), [delivery(2)], batch(id=identifier(0xBA, 9))])
async def test_what_belongs_to_another_organization_is_refused(
    database: Database, tmp_path: Path, document: Any
) -> None:
    await load(database, tmp_path, batch(delivery()), organization=THEIRS)
    if isinstance(document, dict) and document["id"] != BATCH:
        document["callback_deliveries"] = [delivery(batch_id=document["id"])]
    assert "belongs to another organization" in await refusal(database, tmp_path, document)


async def test_a_line_that_names_another_organization_is_refused(database: Database, tmp_path: Path) -> None:
    problem = await refusal(database, tmp_path, batch(org_id=THEIRS))
    assert problem == f"1: org_id: {THEIRS} is another organization, expected {OURS}"


@pytest.mark.parametrize("stored", [True, False])
async def test_a_second_delivery_in_flight_is_refused(database: Database, tmp_path: Path, stored: bool) -> None:
    first, second = delivery(1, completed_at=None), delivery(2, completed_at=None)
    if stored:
        await load(database, tmp_path, batch(first))
    problem = await refusal(database, tmp_path, batch(second) if stored else batch(first, second))
    assert problem.startswith(f"1: callback_deliveries[{0 if stored else 1}].completed_at: is null, but {first['id']}")


async def test_deliveries_in_flight_of_two_batches_are_taken(database: Database, tmp_path: Path) -> None:
    other = identifier(0xBA, 2)
    lines = [batch(delivery(1, completed_at=None)), batch(delivery(2, batch_id=other, completed_at=None), id=other)]
    assert (await load(database, tmp_path, *lines)).deliveries == 2


BAD_DELIVERIES: list[tuple[dict[str, Any], str]] = [
    ({"status_code": 200}, "status_code: 200 is wrong: input should be a valid string"),
    ({"attempt_count": "1"}, 'attempt_count: "1" is wrong: input should be a valid integer'),
    ({"attempt_count": 2**31}, f"attempt_count: {2**31} is wrong: input should be less than {2**31}"),
    ({"attempt_count": True}, "attempt_count: true is wrong: input should be a valid integer"),
    ({"surprise": 1}, "surprise: is not a key of this object"),
    ({"created_at": None}, "created_at: null is wrong: input should be an RFC 3339 time with an offset"),
    (
        {"created_at": "2026-05-06T10:00:00"},
        'created_at: "2026-05-06T10:00:00" is wrong: input should have timezone info',
    ),
    (
        {"created_at": "1778061600"},
        'created_at: "1778061600" is wrong: input should be an RFC 3339 time with an offset',
    ),
    (
        {"updated_at": "0001-01-01T00:00:00+05:00"},
        'updated_at: "0001-01-01T00:00:00+05:00" is wrong: input should be a time between the years 1 and 9999 in UTC',
    ),
    ({"payload": PAYLOAD}, "payload_bytes: is missing: expected the body as it was sent beside payload"),
    ({"failure_detail": "a\0b"}, "failure_detail: has a NUL character: expected text that every database can store"),
    ({"payload_bytes": "\ud800"}, "payload_bytes: has a lone surrogate: expected text that UTF-8 can encode"),
    ({"attempts": [{}]}, "attempts[0].id: is missing"),
    ({"attempts": [attempt(response_body="\udfff")]}, "attempts[0].response_body: has a lone surrogate"),
    ({"attempts": [attempt(delivery_id=BATCH)]}, f"attempts[0].delivery_id: {BATCH} is not the delivery around it"),
    ({"id": "x"}, 'id: "x" is wrong: input should be a valid UUID'),
]


@pytest.mark.parametrize(("values", "problem"), BAD_DELIVERIES)
async def test_a_wrong_delivery_is_refused_where_it_is_wrong(
    database: Database, tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    wrong = delivery(2, **values)
    assert f" [1].{problem}" in await refusal(database, tmp_path, [delivery(1), wrong])
    in_line = await refusal(database, tmp_path, batch(), batch(delivery(1), wrong))
    assert in_line.startswith(f"2: callback_deliveries[1].{problem}")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"cost": 0.12}, "cost: 0.12 is wrong: input should be a valid string"),
        ({"cost": "1e3"}, 'cost: "1e3" is wrong: input should be a decimal number in quotes, such as "0.1200"'),
        ({"metadata": {"a": float("nan")}}, "metadata: an object is wrong: input should have no NaN, no Infinity"),
        ({"input": {"a": 1}}, "input: an object is wrong: input should be a valid array"),
        ({"input": [1]}, "input[0]: 1 is wrong: input should be an object"),
        ({"duration_ms": 2**63}, f"duration_ms: {2**63} is wrong: input should be less than {2**63}"),
        ({"links": {"a": "\ud800"}}, "links.a: has a lone surrogate"),
        ({"callback_deliveries": {}}, "callback_deliveries: is wrong: input should be an array or null"),
        ({"id": None}, "id: null is wrong: input should be a UUID in quotes"),
        ({"updated_at": TIME}, "updated_at: is not a key of this object"),
    ],
)
async def test_a_wrong_batch_is_refused_where_it_is_wrong(
    database: Database, tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    assert (await refusal(database, tmp_path, batch(**values))).startswith(f"1: {problem}")


async def test_deliveries_of_another_batch_are_refused(database: Database, tmp_path: Path) -> None:
    other = identifier(0xBA, 2)
    first = f"1: callback_deliveries[0].batch_id: {other} is not the batch around it, {BATCH}"
    assert await refusal(database, tmp_path, batch(delivery(batch_id=other))) == first
    last = {"callback_deliveries": [delivery()], "id": other}
    assert await refusal(database, tmp_path, last) == f"1: id: {other} is not the batch_id of its deliveries, {BATCH}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[\n{"id": }\n]', "2: this is not JSON: Expecting value, found '}'"),
        ("[\n", "2: this is not JSON: Expecting value, found the end"),
        ("", "1: expected an array, found the end"),
        ("{}", "1: expected an array of deliveries, found an object: batches are for a .ndjson file"),
        ("\n3", "2: expected an array, found a number"),
        ("-3", "1: expected an array, found a number"),
        ("null", "1: expected an array, found null"),
        ("true", "1: expected an array, found true"),
        ('"text"', "1: expected an array, found a text"),
        ("nul", "1: this is not JSON: Expecting value, found 'n'"),
        ('"text', "1: this is not JSON: Unterminated string starting at, found '\"'"),
        ("<html>", "1: this is not JSON: Expecting value, found '<'"),
        ("[3]", "1: [0]: 3 is wrong: input should be an object"),
        ("[]\n[]", "2: this is not JSON: expected the end, found '['"),
    ],
)
async def test_text_that_is_no_array_is_refused(database: Database, tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ImportRefused) as refused:
        await import_file(database, path, OURS, lambda _: None)
    assert refused.value.message == f"{path}:{problem}"


async def test_a_truncated_line_writes_nothing(database: Database, tmp_path: Path) -> None:
    cut = json.dumps(batch(delivery(2)))[:-40]
    assert (await refusal(database, tmp_path, batch(delivery(1)), cut)).startswith("2: this is not JSON: ")


async def test_a_file_that_cannot_be_read_is_refused(database: Database, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file.csv").touch()
    for name, problem in (
        ("none.json", "it cannot be read: No such file or directory"),
        ("folder.json", "it cannot be read: Is a directory"),
        ("file.csv", "the name should end in .json, .ndjson, .jsonl, or in such with .gz"),
    ):
        with pytest.raises(ImportRefused) as refused:
            await import_file(database, tmp_path / name, OURS, lambda _: None)
        assert refused.value.message == f"{tmp_path / name}: {problem}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[]", "1: expected a batch, found an array: an array of deliveries is for a .json file"),
        ("3", "1: expected an object, found a number"),
        ("null", "1: expected an object, found null"),
        ("no", "1: this is not JSON: Expecting value, found 'n'"),
    ],
)
async def test_a_line_that_is_no_object_is_refused(database: Database, tmp_path: Path, line: str, problem: str) -> None:
    assert await refusal(database, tmp_path, line) == problem


LINES = json.dumps(batch(delivery())).encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.ndjson", LINES),
        ("x.jsonl", LINES),
        ("x.JSONL", LINES),
        ("x.ndjson.gz", gzip.compress(LINES)),
        ("x.jsonl.gz", gzip.compress(LINES[:9]) + gzip.compress(LINES[9:])),  # as two appended to each other
        ("x.ndjson", gzip.compress(LINES)),  # what curl --compressed leaves under the old name
        ("x.ndjson.gz", LINES),
        ("x.ndjson.bz2", bz2.compress(LINES)),
        ("x.ndjson.xz", lzma.compress(LINES)),
        ("x.json.gz", gzip.compress(json.dumps([delivery()]).encode())),
    ],
)
async def test_a_file_is_taken_by_any_of_its_usual_names(
    database: Database, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    result = await import_file(database, tmp_path / name, OURS, lambda _: None)
    assert result == ImportResult(batches=1, deliveries=1)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.ndjson.gz", gzip.compress(LINES * 9)[:-20], "it cannot be unpacked: Compressed file ended before"),
        ("x.ndjson.gz", gzip.compress(LINES)[:-8] + b"12345678", "it cannot be unpacked: CRC check failed"),
        ("x.ndjson.xz", lzma.compress(LINES)[:-9], "it cannot be unpacked: Compressed file ended before"),
        ("x.ndjson.bz2", b"BZh9" + LINES, "it cannot be read: Invalid data stream"),
        ("x.zip", b"PK\x03\x04", "it is a zip archive: expected UTF-8 text"),
        ("x.ndjson.zst", b"\x28\xb5\x2f\xfd", "it is zstd: expected UTF-8 text"),
        ("x.ndjson", LINES.decode().encode("utf-16"), "it is UTF-16: expected UTF-8 text"),
        ("x.json", b"SQLite format 3\0", "it is an SQLite database: expected UTF-8 text"),
    ],
)
async def test_what_cannot_be_unpacked_is_refused(
    database: Database, tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportRefused) as refused:
        await import_file(database, tmp_path / name, OURS, lambda _: None)
    assert refused.value.message.startswith(f"{tmp_path / name}: {problem}")
    assert await count(database, batches) == 0


@pytest.mark.parametrize("content", [LINES, b"\xef\xbb\xbf\n " + LINES, gzip.compress(LINES)])
@pytest.mark.parametrize("form", ["-", "fifo", "descriptor"])
async def test_what_has_no_name_is_known_by_its_first_character(
    database: Database, tmp_path: Path, form: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = json.dumps([delivery()]).encode()
    for nth, (told, result) in enumerate(
        [(content, ImportResult(batches=1, deliveries=1)), (array, ImportResult(unchanged=1))]
    ):
        out, into = os.pipe()
        os.write(into, told)
        os.close(into)
        path = Path("-")
        if form == "-":
            monkeypatch.setattr("sys.stdin", os.fdopen(os.dup(out)))
        elif form == "descriptor":
            path = Path(f"/dev/fd/{out}")
        else:
            path = tmp_path / f"fifo {nth}"
            os.mkfifo(path)
            Thread(target=path.write_bytes, args=(told,)).start()
        assert await import_file(database, path, OURS, lambda _: None) == result
        os.close(out)
        if form == "-":
            sys.stdin.close()


async def test_an_empty_file_of_lines_is_an_empty_history(database: Database, tmp_path: Path) -> None:
    assert await load(database, tmp_path, "") == ImportResult()


async def test_small_chunks_come_to_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MOST_ROWS", 1)
    line = {"callback_deliveries": [delivery(n) for n in range(1, 6)], "id": BATCH, "status_code": "failed"}
    assert await load(database, tmp_path, line, line) == ImportResult(batches=1, deliveries=5, unchanged=6)
    assert (await only(database, batches))["status_code"] == "failed"


async def test_a_body_that_is_read_late_still_describes_the_batch(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MOST_ROWS", 1)
    unread = [delivery(n, callback_url=f"https://{n}.example") for n in (1, 2)]
    await load(database, tmp_path, [*unread, delivery(3, payload_bytes=BODY, created_at="2026-06-01T00:00:00Z")])
    made = await only(database, batches)
    assert (made["status_code"], made["callback_url"]) == ("failed", "https://1.example")
    assert made["created_at"].isoformat() == "2026-05-06T10:00:00+00:00"


async def test_a_body_that_no_database_could_store_in_columns_is_still_taken(
    database: Database, tmp_path: Path
) -> None:
    odd = PAYLOAD | {"duration_ms": 2**70, "completed_at": "2026-05-06T09:59:00", "output": {"a": float("nan")}}
    await load(database, tmp_path, [delivery(payload_bytes=json.dumps(odd))])
    made = await only(database, batches)
    assert (made["status_code"], made["duration_ms"], made["completed_at"]) == ("failed", None, None)
    assert made["output"] is None


async def test_progress_is_told_every_byte(database: Database, tmp_path: Path) -> None:
    path, told = tmp_path / "file.json", list[int]()
    path.write_text(json.dumps([delivery(failure_detail="é" * 300_000)]))
    await import_file(database, path, OURS, told.append)
    assert sum(told) == path.stat().st_size
