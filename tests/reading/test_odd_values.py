"""One value that cannot be read spoils its own place, and no other row: on both databases, through both faces."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.execution.run import GraphQLRequest, run
from gateway.reading.exporting import export_lines
from gateway.reading.reader import Reader
from gateway.schema.query import schema
from tests.support.asking import ask, data
from tests.support.differential import context
from tests.support.pages import history_pages
from tests.support.rows import OURS, attempt, batch, delivery, identifier, store
from tests.support.unlimited import unlimited_documents

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
BATCH, DELIVERY, ATTEMPT = batches.name, deliveries.name, attempts.name
UNREADABLE = "UNREADABLE_VALUE"


async def change(database: Database, *statements: str) -> None:
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def three(database: Database) -> list[str]:
    """Three batches, each with a delivery, each of these with an attempt; the ids of the deliveries."""
    parents = [batch(n, cost="1.50", metadata={"n": n}, duration_ms=n) for n in range(3)]
    children = [delivery(of, n, attempt_count=n, is_automatic=True) for n, of in enumerate(parents)]
    tries = [attempt(of, 1, status_code=200, response_time_ms=5) for of in children]
    await store(database, {batches: parents, deliveries: children, attempts: tries})
    return [child["id"] for child in children]


QUERY = """{
  batches { nodes {
    id cost metadata durationMs input items { id } createdAt startedAt completedAt itemsTotal statusCode failureMessage
    callbackDeliveries {
      id attemptCount maxAttempts isAutomatic createdAt completedAt nextAttemptAt updatedAt statusCode
      inFlight overdue willRetry failure { code } callbackUrl payloadBytes payloadBytesPreview { text } asCurl
      attempts { attemptNumber statusCode responseTimeMs errorMessage createdAt }
    }
  } }
}"""

# What is stored where, and what is shown there; an error goes with null, unless the place is told to be `QUIET`.
QUIET = object()
Case = tuple[str, str, str, Any]
ON_POSTGRESQL: list[Case] = [
    (DELIVERY, "next_attempt_at", "'20000-01-01 00:00Z'", LAST),
    (DELIVERY, "next_attempt_at", "'294276-12-31 00:00Z'", LAST),
    (DELIVERY, "updated_at", "'0044-03-15 00:00Z BC'", FIRST),
    (DELIVERY, "completed_at", "'infinity'", LAST),
    (DELIVERY, "created_at", "'12026-01-01 00:00Z'", LAST),
    (DELIVERY, "created_at", "'-infinity'", FIRST),
    (BATCH, "created_at", "'4713-01-01 00:00Z BC'", FIRST),
    (BATCH, "started_at", "'10000-01-01 00:00Z'", LAST),
    (ATTEMPT, "created_at", "'infinity'", LAST),
    (BATCH, "cost", "'NaN'", None),
    (BATCH, "cost", "'-Infinity'", None),
    (BATCH, "metadata", f"'{'1' * 5_000}'", None),
    (BATCH, "metadata", f"'{'[' * 5_000}{']' * 5_000}'", None),
    (BATCH, "metadata", '\'{"a": 1e400, "b": 1}\'', {"a": None, "b": 1}),
    (BATCH, "input", f"'[{'1' * 5_000}]'", None),
    (BATCH, "items", f"'[{'1' * 5_000}]'", None),
]
ON_SQLITE: list[Case] = [
    (DELIVERY, "next_attempt_at", "'soon'", None),
    (DELIVERY, "next_attempt_at", "1778061600", None),
    (DELIVERY, "updated_at", "x'ff00'", None),
    (DELIVERY, "completed_at", "''", None),
    (DELIVERY, "updated_at", "'2026-05-06 10:00:00'", "2026-05-06T10:00:00Z"),
    (DELIVERY, "updated_at", "'2026-05-06T12:00:00+02:00'", "2026-05-06T10:00:00Z"),
    (DELIVERY, "updated_at", "'9999-12-31T23:59:59-05:00'", LAST),
    (DELIVERY, "updated_at", "CAST(x'ff41' AS TEXT)", None),
    (DELIVERY, "created_at", "'soon'", LAST),
    (DELIVERY, "created_at", "''", FIRST),
    (DELIVERY, "created_at", "x'ff00'", LAST),
    (BATCH, "created_at", "'20000-01-01T00:00:00Z'", LAST),
    (DELIVERY, "attempt_count", "'many'", None),
    (DELIVERY, "attempt_count", "1.5", None),
    (DELIVERY, "attempt_count", "x'00'", None),
    (DELIVERY, "attempt_count", "3000000000", None),
    (DELIVERY, "max_attempts", "'few'", None),
    (BATCH, "items_total", "-3000000000", None),
    (BATCH, "duration_ms", "1e300", None),
    (ATTEMPT, "attempt_number", "'many'", 2**31 - 1),
    (ATTEMPT, "attempt_number", "3000000000", 2**31 - 1),
    (ATTEMPT, "status_code", "'OK'", None),
    (DELIVERY, "is_automatic", "'yes'", None),
    (DELIVERY, "status_code", "x'6661696c6564'", "failed"),
    (DELIVERY, "status_code", "CAST(x'61ff' AS TEXT)", "a\ufffd"),
    (DELIVERY, "callback_url", "CAST('https://a.example/' AS BLOB)", "https://a.example/"),
    (ATTEMPT, "error_message", "CAST(x'ff' AS TEXT)", "\ufffd"),
    (BATCH, "failure_message", "x'6f6f6d'", "oom"),
    (DELIVERY, "payload_bytes", "'a text'", "a text"),
    (DELIVERY, "payload_bytes", "3000000000", "3000000000"),
    (BATCH, "metadata", "'{'", None),
    (BATCH, "metadata", "''", None),
    (BATCH, "metadata", "x'ff'", None),
    (BATCH, "metadata", "CAST(x'22ff22' AS TEXT)", "\ufffd"),
    (BATCH, "items", "'nul'", None),
    (BATCH, "input", "'['", None),
    (BATCH, "cost", "'cheap'", None),
    (BATCH, "cost", "'Infinity'", None),
    (BATCH, "cost", "'1E+3'", "1000"),
]


def camel(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(map(str.capitalize, rest))


def found(answer: Any, table: str, column: str) -> list[Any]:
    """What a column shows in every row, in the order of the answer."""
    rows = answer["data"]["batches"]["nodes"]
    if table != BATCH:
        rows = [child for row in rows for child in row["callbackDeliveries"]]
    if table == ATTEMPT:
        rows = [child for row in rows for child in row["attempts"]]
    return [row[camel(column)] for row in rows]


async def damage(database: Database, case: Case) -> None:
    table, column, value, _ = case
    kind = {BATCH: 0xBA, DELIVERY: 0xDE}.get(table)
    where = f"delivery_id = '{identifier(0xDE, 1)}'" if kind is None else f"id = '{identifier(kind, 1)}'"
    await change(database, f"UPDATE {table} SET {column} = {value} WHERE {where}")


@pytest.mark.parametrize(
    ("database_url", "case"),
    [*(("postgresql", case) for case in ON_POSTGRESQL), *(("sqlite", case) for case in ON_SQLITE)],
    ids=lambda of: of if isinstance(of, str) else f"{of[1]} {of[2][:20]}",
    indirect=["database_url"],
)
async def test_a_value_that_cannot_be_read_spoils_its_own_place(database: Database, case: Case) -> None:
    ids = await three(database)
    table, column, _, shown = case
    before = await ask(database, QUERY)
    assert "errors" not in before
    await damage(database, case)
    for plans in (True, False):
        request = GraphQLRequest(QUERY)
        documents = unlimited_documents(schema._schema, is_open=False)
        content = (await run(request, documents, context(database, secrets=False), plans=plans)).body
        there = {json.dumps(value) for value in found(content, table, column)}
        assert json.dumps(shown) in there or isinstance(shown, dict)
        others = [value for value in found(before, table, column) if json.dumps(value) in there]
        assert len(others) >= 2
        codes = [error["extensions"]["code"] for error in content.get("errors", ())]
        assert set(codes) == ({UNREADABLE} if shown is None else set())
        assert {error["path"][-1] for error in content.get("errors", ())} <= {camel(column)}
        assert len(content["data"]["batches"]["nodes"]) == 3
    for by_column in (True, False):
        rest = [await rest_of(database, number, by_column) for number in range(3)]
        assert [row["id"] for (row,) in rest] == ids
        if table == DELIVERY:
            told = rest[1][0][column]
            assert told == (3_000_000_000 if case[2] == "3000000000" and shown is None else shown)
    lines = [json.loads(line) for line in b"".join([part async for part in export_lines(database, OURS)]).splitlines()]
    assert len(lines) == 3


async def rest_of(database: Database, number: int, by_column: bool = True) -> Any:
    """What the REST endpoint answers for a batch."""
    (page,) = await history_pages(Reader(database, OURS), identifier(0xBA, number), by_column=by_column)
    return page


async def test_a_count_beyond_its_column_is_shown_where_there_is_room(database: Database) -> None:
    await three(database)
    if database.dialect == "postgresql":
        await change(database, f"ALTER TABLE {DELIVERY} ALTER attempt_count TYPE bigint")
    try:
        await change(database, f"UPDATE {DELIVERY} SET attempt_count = 3000000000 WHERE attempt_count = 1")
        answer = await ask(database, "{ callbackDeliveries { nodes { attemptCount willRetry } } }")
        nodes = answer["data"]["callbackDeliveries"]["nodes"]
        assert [node["attemptCount"] for node in nodes] == [2, None, 0]
        (error,) = answer["errors"]
        assert (error["path"][-1], error["extensions"]["code"]) == ("attemptCount", UNREADABLE)
        assert (await rest_of(database, 1))[0]["attempt_count"] == 3_000_000_000
    finally:
        if database.dialect == "postgresql":
            await change(database, f"ALTER TABLE {DELIVERY} ALTER attempt_count TYPE integer USING 1")


PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $by: %(order)s!) {
  page: %(list)s(first: $first, after: $after, last: $last, before: $before, orderBy: $by) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def paged(database: Database, list_: str, order: str, by: str, size: int, *, down: bool, back: bool) -> list[str]:
    """The ids of a list, read page by page."""
    query = PAGE % {"list": list_, "order": order}
    ids: list[str] = []
    variables: dict[str, Any] = {"last" if back else "first": size}
    for _ in range(100):
        direction = {"field": by, "direction": "DESC" if down else "ASC"}
        page = (await data(database, query, by=direction, **variables))["page"]
        read = [edge["node"]["id"] for edge in page["edges"]]
        ids = read + ids if back else ids + read
        info = page["pageInfo"]
        if not info["hasPreviousPage" if back else "hasNextPage"]:
            return ids
        variables |= {"before": info["startCursor"]} if back else {"after": info["endCursor"]}
    raise AssertionError("pages without an end")


TIMES: dict[str, Sequence[str]] = {
    "postgresql": (
        *["'infinity'"] * 3, *["'-infinity'"] * 2, *["'20000-01-01 00:00Z'"] * 3, "'20000-01-01 00:00:00.000001Z'",
        *["'0044-03-15 00:00Z BC'"] * 3, "'0045-03-15 00:00Z BC'", *["'2026-05-06 10:00Z'"] * 3, *["NULL"] * 3,
        "'9999-12-31 23:59:59.999999Z'", "'9999-12-31 00:00Z'",
    ),
    "sqlite": (
        "'soon'", "'soon'", "'Soon'", "''", "''", "x'ff'", "x'ff'", "x'00'", "'1778061600'",
        "'2026-05-06 10:00:00'", "'2026-05-06 10:00:00'", "'2026-05-06T10:00:00Z'", "'2026-05-06T10:00:00Z'",
        "'2026-05-06T10:00:00.000000Z'", "'2026-05-06T12:00:00+02:00'", "'20000-01-01'", "NULL", "NULL",
    ),
}  # fmt: skip
NUMBERS: dict[str, Sequence[str]] = {
    "postgresql": ("3000000000", "3000000000", "2147483647", "NULL", "NULL", "-3000000000", "9223372036854775807", "5"),
    "sqlite": (
        "3000000000",
        "3000000000",
        "2147483647",
        "NULL",
        "NULL",
        "'many'",
        "'many'",
        "x'00'",
        "1.5",
        "1.5",
        "5",
    ),
}


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("column", ["next_attempt_at", "completed_at", "created_at"])
async def test_pages_over_odd_times_hold_each_row_once(database: Database, column: str, down: bool) -> None:
    parents = [batch(n) for n in range(len(TIMES[database.dialect]))]
    rows = [delivery(of, n) for n, of in enumerate(parents)]
    await store(database, {batches: parents, deliveries: rows})
    for row, value in zip(rows, TIMES[database.dialect], strict=True):
        if value != "NULL" or column != "created_at":
            await change(database, f"UPDATE {DELIVERY} SET {column} = {value} WHERE id = '{row['id']}'")
    asked = ("callbackDeliveries", "CallbackDeliveryOrder", column.upper())
    whole = await paged(database, *asked, 100, down=down, back=False)
    assert len(set(whole)) == len(rows)
    for size, back in ((1, False), (1, True), (2, False), (3, True)):
        assert whole == await paged(database, *asked, size, down=down, back=back)


@pytest.mark.parametrize("down", [False, True])
async def test_pages_over_odd_numbers_hold_each_row_once(database: Database, down: bool) -> None:
    parent = batch(1)
    child = delivery(parent, 1)
    rows = [attempt(child, n) for n in range(len(NUMBERS[database.dialect]))]
    await store(database, {batches: [parent], deliveries: [child], attempts: rows})
    postgres = database.dialect == "postgresql"
    if postgres:
        await change(database, f"ALTER TABLE {ATTEMPT} ALTER response_time_ms TYPE bigint")
    try:
        for row, value in zip(rows, NUMBERS[database.dialect], strict=True):
            await change(database, f"UPDATE {ATTEMPT} SET response_time_ms = {value} WHERE id = '{row['id']}'")
        asked = ("callbackAttempts", "CallbackAttemptOrder", "RESPONSE_TIME_MS")
        whole = await paged(database, *asked, 100, down=down, back=False)
        assert len(set(whole)) == len(rows)
        for size, back in ((1, False), (1, True), (2, False), (3, True)):
            assert whole == await paged(database, *asked, size, down=down, back=back)
    finally:
        if postgres:
            await change(database, f"ALTER TABLE {ATTEMPT} ALTER response_time_ms TYPE integer USING 1")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL takes no such text
async def test_a_text_that_is_no_text_has_no_cursor(database: Database) -> None:
    await three(database)
    await change(database, f"UPDATE {DELIVERY} SET completed_at = CAST(x'ff41' AS TEXT)")
    asked = "callbackDeliveries(first: 1, orderBy: {field: COMPLETED_AT, direction: ASC})"
    answer = await ask(database, f"{{ {asked} {{ nodes {{ id }} pageInfo {{ endCursor }} }} }}")
    assert answer["data"] is None
    assert {error["extensions"]["code"] for error in answer["errors"]} == {UNREADABLE}


async def test_a_long_history_goes_on_behind_a_page_that_ends_with_an_odd_time(database: Database) -> None:
    parent = batch(1)
    await store(database, {batches: [parent], deliveries: [delivery(parent, n) for n in range(250)]})
    odd = "'infinity'" if database.dialect == "postgresql" else "'soon'"
    await change(database, f"UPDATE {DELIVERY} SET created_at = {odd}")
    pages = await history_pages(Reader(database, OURS), parent["id"])
    assert len({row["id"] for page in pages for row in page}) == 250


async def test_a_timeline_leaves_out_what_was_created_at_no_time_that_it_has(database: Database) -> None:
    await three(database)
    odd = "'infinity'" if database.dialect == "postgresql" else "'soon'"
    await change(database, f"UPDATE {DELIVERY} SET created_at = {odd} WHERE id = '{identifier(0xDE, 1)}'")
    query = "{ callbackStats { deliveries timeline(bucket: HOUR) { start deliveries } } }"
    stats = (await data(database, query))["callbackStats"]
    assert stats == {"deliveries": 3, "timeline": [{"start": "2026-05-06T10:00:00Z", "deliveries": 2}]}


@pytest.mark.parametrize(
    "value", ["x", ["stored", None], ["stored", "x"], ["stored", 2**80], ["bytes", "zz"], [1], ["stored", 5]]
)
async def test_a_cursor_that_was_made_up_reads_nothing_and_fails_nothing(database: Database, value: Any) -> None:
    await three(database)
    for by in ("CREATED_AT", "COMPLETED_AT"):
        order = f"orderBy: {{field: {by}, direction: ASC}}"
        page = await data(database, f"{{ callbackDeliveries({order}) {{ pageInfo {{ endCursor }} }} }}")
        cursor = page["callbackDeliveries"]["pageInfo"]["endCursor"]
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=="))
        forged = base64.urlsafe_b64encode(json.dumps([*parts[:2], value, parts[3]]).encode()).decode()
        answer = await ask(database, f'{{ callbackDeliveries({order}, after: "{forged}") {{ nodes {{ id }} }} }}')
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        assert codes <= {"BAD_CURSOR"}
