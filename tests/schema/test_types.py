"""The graph, type by type: fields, nesting, and what a whole document costs."""

from typing import Any

import pytest

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.execution.run import GraphQLRequest, run
from gateway.schema.context import Context
from gateway.viewer import READ, Viewer
from tests.support.asking import DOCUMENTS, ask, data, statements
from tests.support.rows import OURS, THEIRS, attempt, batch, delivery, history, identifier, store

ROUND_TRIP = """
query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch { id callbackDeliveries { id attempts { id
  delivery { id batch { id } } } } } } }
"""


@pytest.mark.parametrize("count", [1, 10, 100])
async def test_a_document_costs_one_statement_a_level(database: Database, count: int) -> None:
    rows = await store(database, history(count))
    ids = [row["id"] for row in rows[batches]]
    with statements(database) as seen:
        answer = await data(database, ROUND_TRIP, ids=ids)
    assert [node["id"] for node in answer["nodes"]] == ids
    assert [len(delivered["attempts"]) for node in answer["nodes"] for delivered in node["callbackDeliveries"]] == [
        3
    ] * (2 * count)
    assert answer["nodes"][-1]["callbackDeliveries"][1]["attempts"][2]["delivery"]["batch"]["id"] == ids[-1]
    assert len(seen) == 5


@pytest.mark.parametrize("plans", [True, False], ids=["planned", "ordinary"])
async def test_only_selected_columns_are_read(database: Database, plans: bool) -> None:
    await store(database, history(1))
    document = """query ($id: ID!, $all: Boolean = false) {
      batch(id: $id) { statusCode input @skip(if: true) ...All @include(if: $all) callbackDeliveries { callbackUrl } } }
    fragment All on Batch { output }"""
    context = Context.of(Viewer(OURS, frozenset({READ}), "test"), database)
    request = GraphQLRequest(document, {"id": identifier(0xBA, 1)})
    with statements(database) as seen:
        answer = await run(request, DOCUMENTS, context, plans=plans)
    assert answer.planned is plans
    assert len(seen) == 2
    assert "status_code" in seen[0]
    assert not {"input", "output", "payload_bytes", "response_body"} & set(" ".join(seen).replace(".", " ").split())


async def test_children_are_in_order_and_limited_for_each_parent(database: Database) -> None:
    rows = await store(database, history(3, deliveries=4, attempts=2))
    newest = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch {
      callbackDeliveries(first: 2, orderBy: {field: CREATED_AT, direction: DESC}) {
        id attempts(first: 1) { attemptNumber } } } } }"""
    answer = await data(database, newest, ids=[row["id"] for row in rows[batches]])
    assert [[d["id"] for d in node["callbackDeliveries"]] for node in answer["nodes"]] == [
        [identifier(0xDE, n), identifier(0xDE, n - 1)] for n in (3, 7, 11)
    ]
    assert all(d["attempts"] == [{"attemptNumber": 1}] for node in answer["nodes"] for d in node["callbackDeliveries"])


async def test_ties_of_time_are_ordered_by_id(database: Database) -> None:
    of = batch(1)
    tied = [delivery(of, number, created_at=of["created_at"]) for number in (3, 1, 2)]
    await store(database, {batches: [of], batch_callback_deliveries: tied})
    answer = await data(database, "query ($id: ID!) { batch(id: $id) { callbackDeliveries { id } } }", id=of["id"])
    assert [d["id"] for d in answer["batch"]["callbackDeliveries"]] == [identifier(0xDE, n) for n in (1, 2, 3)]


async def test_counts_do_not_depend_on_the_page(database: Database) -> None:
    await store(
        database,
        {
            **history(2, deliveries=3),
        },
    )
    answer = await data(
        database,
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch "
        "{ callbackDeliveryCount callbackDeliveries(first: 1) { id } } } }",
        ids=[identifier(0xBA, 1), identifier(0xBA, 2)],
    )
    assert [node["callbackDeliveryCount"] for node in answer["nodes"]] == [3, 3]


async def test_a_batch_without_deliveries_has_an_empty_list(database: Database) -> None:
    await store(database, {batches: [batch(1)]})
    asked = "query ($id: ID!) { batch(id: $id) { callbackDeliveryCount callbackDeliveries { id } } }"
    assert await data(database, asked, id=identifier(0xBA, 1)) == {
        "batch": {"callbackDeliveryCount": 0, "callbackDeliveries": []}
    }


async def test_the_latest_attempt_is_the_one_with_the_highest_number(database: Database) -> None:
    of = delivery(batch(1), 1)
    tries = [attempt(of, number, status_code=500 + number) for number in (2, 3, 1)]
    await store(
        database,
        {
            batches: [batch(1)],
            batch_callback_deliveries: [of, delivery(batch(1), 2)],
            batch_callback_delivery_attempts: tries,
        },
    )
    asked = "query ($id: ID!) { batch(id: $id) { callbackDeliveries { latestAttempt { attemptNumber statusCode } } } }"
    answer = await data(database, asked, id=identifier(0xBA, 1))
    assert [d["latestAttempt"] for d in answer["batch"]["callbackDeliveries"]] == [
        {"attemptNumber": 3, "statusCode": 503},
        None,
    ]


async def test_items_show_what_can_be_read_of_them(database: Database) -> None:
    items = [
        {"id": "a", "sequence_index": 0, "run_id": "r", "status_code": "failed", "client_ref": None},
        "nonsense",
        {},
    ]
    await store(database, {batches: [batch(1, items=items), batch(2, items={"no": "list"})]})
    asked = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch {
      items { id sequenceIndex runId statusCode clientRef } } } }"""
    answer = await data(database, asked, ids=[identifier(0xBA, 1), identifier(0xBA, 2)])
    empty = {"id": None, "sequenceIndex": None, "runId": None, "statusCode": None, "clientRef": None}
    first = {"id": "a", "sequenceIndex": 0, "runId": "r", "statusCode": "failed", "clientRef": None}
    assert answer["nodes"] == [{"items": [first, empty]}, {"items": None}]


BODY = (
    '{"event":"batch.failed","batch_id":"'
    + identifier(0xBA, 1)
    + '","status":"failed","output":null,"duration_ms":5000000000,'
    '"created_at":"2026-05-06T10:00:00+00:00","completed_at":"2026-05-06T12:00:00.5+02:00","metadata":{"é":[1,2.5]}}'
)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (
            BODY.encode(),
            {
                "event": "BATCH_FAILED",
                "status": "FAILED",
                "batchId": identifier(0xBA, 1),
                "output": None,
                "durationMs": 5000000000,
                "createdAt": "2026-05-06T10:00:00Z",
                "completedAt": "2026-05-06T10:00:00.500000Z",
                "metadata": {"é": [1, 2.5]},
            },
        ),
        (b"not JSON \xff", None),
        (b'{"event":"batch.failed"}', None),
        (None, None),
    ],
)
async def test_a_body_is_parsed_or_null_and_never_an_error(
    database: Database, body: bytes | None, payload: Any
) -> None:
    await store(database, {batches: [batch(1)], batch_callback_deliveries: [delivery(batch(1), 1, payload_bytes=body)]})
    asked = (
        "query ($id: ID!) { callbackDelivery(id: $id) { payloadBytes payload "
        "{ event status batchId output durationMs createdAt completedAt metadata } } }"
    )
    answer = await data(database, asked, id=identifier(0xDE, 1))
    text = None if body is None else body.decode(errors="replace")
    assert answer == {"callbackDelivery": {"payloadBytes": text, "payload": payload}}


@pytest.mark.parametrize(
    "asked",
    [
        "batch(id: $batch) { id }",
        "callbackDelivery(id: $delivery) { id }",
        "node(id: $batch) { id }",
        "node(id: $delivery) { id }",
        "node(id: $attempt) { id }",
    ],
)
async def test_a_root_field_gives_nothing_to_a_foreign_viewer(database: Database, asked: str) -> None:
    await store(database, history(1, 1, 1))
    variables = {"batch": identifier(0xBA, 1), "delivery": identifier(0xDE, 0), "attempt": identifier(0xA7, 1)}
    named = next(name for name in variables if f"${name}" in asked)
    query = f"query ($id: ID!) {{ it: {asked.replace(f'${named}', '$id')} }}"
    assert await data(database, query, OURS, id=variables[named]) == {"it": {"id": variables[named]}}
    assert await data(database, query, THEIRS, id=variables[named]) == {"it": None}


async def test_nodes_come_in_the_order_asked_with_null_for_what_is_missing(database: Database) -> None:
    await store(database, history(1, 1, 1))
    ids = [identifier(0xA7, 1), identifier(0xFF, 1), identifier(0xBA, 1), identifier(0xDE, 0), identifier(0xBA, 1)]
    answer = await data(database, "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids)
    kinds = ["BatchCallbackDeliveryAttempt", None, "Batch", "BatchCallbackDelivery", "Batch"]
    assert answer["nodes"] == [
        {"__typename": kind, "id": id_} if kind else None for kind, id_ in zip(kinds, ids, strict=True)
    ]


async def test_ids_are_read_in_any_spelling(database: Database) -> None:
    await store(database, history(1, 0, 0))
    for spelling in (
        identifier(0xBA, 1).upper(),
        "{" + identifier(0xBA, 1) + "}",
        identifier(0xBA, 1).replace("-", ""),
    ):
        answer = await data(database, "query ($id: ID!) { batch(id: $id) { id } }", id=spelling)
        assert answer == {"batch": {"id": identifier(0xBA, 1)}}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ('{ batch(id: "nonsense") { id } }', "id must be a UUID such as 7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f11."),
        ('{ nodes(ids: ["x"]) { id } }', "ids must be a UUID such as 7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f11."),
        (f"{{ nodes(ids: {['x'] * 501}) {{ id }} }}".replace("'", '"'), "ids must be at most 500, not 501."),
    ],
)
async def test_a_malformed_argument_says_what_was_expected(database: Database, asked: str, message: str) -> None:
    answer = await ask(database, asked)
    (error,) = answer["errors"]
    assert (error["message"], error["extensions"]) == (message, {"code": "VALIDATION_ERROR"})
    assert error["path"] == [asked.split("(", maxsplit=1)[0].removeprefix("{ ")]


@pytest.mark.parametrize("first", [0, 501, -1])
async def test_a_page_size_outside_its_bounds_is_an_error(database: Database, first: int) -> None:
    await store(database, history(1, 0, 0))
    asked = "query ($id: ID!, $first: Int!) { batch(id: $id) { callbackDeliveries(first: $first) { id } } }"
    answer = await ask(database, asked, id=identifier(0xBA, 1), first=first)
    (error,) = answer["errors"]
    assert error["message"] == f"first must be 1 to 500, not {first}."
    assert error["extensions"] == {"code": "VALIDATION_ERROR"}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-05-06T10:00:00+00:00", "2026-05-06T10:00:00Z"),
        ("2026-05-06T12:00:00.5+02:00", "2026-05-06T10:00:00.500000Z"),
        ("2026-05-06T10:00:00", None),
        ("2026-05-06T10:00:00.123456", None),
        ("2026-05-06", None),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
async def test_a_time_in_a_body_is_never_shown_without_a_zone(database: Database, told: str, shown: str | None) -> None:
    body = (
        b'{"event":"batch.failed","batch_id":"0a000000-0000-4000-8000-000000000001","status":"failed","output":null,'
        b'"duration_ms":null,"created_at":"%s","completed_at":null,"metadata":{"a":0.00001}}'
    )
    of = batch(1)
    made = delivery(of, 1, payload_bytes=body % told.encode())
    await store(database, {batches: [of], batch_callback_deliveries: [made]})
    asked = "query ($id: ID!) { batch(id: $id) { callbackDeliveries { payload { createdAt metadata output } } } }"
    answer = await data(database, asked, id=of["id"])
    (found,) = answer["batch"]["callbackDeliveries"]
    assert found["payload"] == {"createdAt": shown, "metadata": {"a": 1e-05}, "output": None}
