"""Answers, not codes: what a delivery, an attempt and a batch say of themselves to people who investigate."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.viewer import READ_SECRETS
from tests.support.asking import NOW, ask, data, statements
from tests.support.rows import attempt, batch, delivery, history, identifier, store

LATER, EARLIER = NOW + timedelta(seconds=90, milliseconds=1), NOW - timedelta(seconds=1)
URL = "https://user:pass@hooks.example/in?token=abcdef1234&job=7"


async def _delivery(database: Database, fields: str, scopes: frozenset[str] = frozenset(), **values: Any) -> Any:
    await store(database, {batches: [batch(1)], batch_callback_deliveries: [delivery(batch(1), 1, **values)]})
    query = f"query ($id: ID!) {{ callbackDelivery(id: $id) {{ {fields} }} }}"
    return (await data(database, query, scopes=scopes, id=identifier(0xDE, 1)))["callbackDelivery"]


@pytest.mark.parametrize(
    ("values", "answers"),
    [
        ({"completed_at": NOW, "next_attempt_at": LATER}, (False, False, False, None)),
        ({"completed_at": None, "next_attempt_at": None}, (True, False, False, None)),
        ({"completed_at": None, "next_attempt_at": LATER}, (True, False, True, 91)),
        ({"completed_at": None, "next_attempt_at": EARLIER}, (True, True, True, 0)),
        ({"completed_at": None, "next_attempt_at": NOW}, (True, False, True, 0)),
        (
            {"completed_at": None, "next_attempt_at": LATER, "attempt_count": 5, "max_attempts": 5},
            (True, False, False, 91),
        ),
        (
            {"completed_at": None, "next_attempt_at": LATER, "attempt_count": 4, "max_attempts": 5},
            (True, False, True, 91),
        ),
    ],
)
async def test_what_will_happen_to_a_delivery(database: Database, values: dict[str, Any], answers: tuple[Any]) -> None:
    found = await _delivery(database, "inFlight overdue willRetry nextAttemptIn", **values)
    assert tuple(found.values()) == answers


async def test_a_known_reason_is_explained_and_an_unknown_one_is_not_guessed(database: Database) -> None:
    known = await _delivery(database, "failure { code title retryable advice }", failure_reason_code="timeout")
    assert known["failure"]["code"] == "timeout"
    assert known["failure"]["retryable"] is True
    assert known["failure"]["advice"]


async def test_an_unknown_reason_is_not_guessed(database: Database) -> None:
    unknown = await _delivery(database, "failure { code retryable }", failure_reason_code="gremlins")
    assert unknown == {"failure": {"code": "gremlins", "retryable": None}}


async def test_no_reason_is_no_failure(database: Database) -> None:
    assert await _delivery(database, "failure { code }") == {"failure": None}


HEALTH: list[tuple[list[dict[str, Any]], str]] = [
    ([], "NONE"),
    ([{"status_code": "delivered"}], "DELIVERED"),
    ([{"status_code": "delivered"}, {"completed_at": None}], "PENDING"),
    ([{"completed_at": None, "attempt_count": 1, "next_attempt_at": LATER}], "RETRYING"),
    ([{"status_code": "expired"}, {"status_code": "delivered"}], "UNKNOWN"),
    ([{"completed_at": None, "attempt_count": 1, "next_attempt_at": EARLIER}], "OVERDUE"),
    ([{"status_code": "failed"}, {"status_code": "delivered"}], "FAILED"),
]


async def test_the_health_of_a_batch_is_its_worst_delivery(database: Database) -> None:
    parents = [batch(number) for number in range(len(HEALTH))]
    children = [
        delivery(parent, 10 * number + index, **values)
        for number, (parent, (rows, _)) in enumerate(zip(parents, HEALTH, strict=True))
        for index, values in enumerate(rows)
    ]
    await store(database, {batches: parents, batch_callback_deliveries: children})
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch { callbackHealth } } }"
    with statements(database) as seen:
        answer = await data(database, query, ids=[parent["id"] for parent in parents])
    assert [node["callbackHealth"] for node in answer["nodes"]] == [health for _, health in HEALTH]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("body", "size", "expected"),
    [
        ("short", 512, {"text": "short", "truncated": False, "byteLength": 5}),
        ("exactly", 7, {"text": "exactly", "truncated": False, "byteLength": 7}),
        ("longer", 4, {"text": "long", "truncated": True, "byteLength": 6}),
        ("éé", 3, {"text": "é", "truncated": True, "byteLength": 4}),
        ("", 1, {"text": "", "truncated": False, "byteLength": 0}),
        (None, 512, None),
    ],
)
async def test_a_preview_says_what_it_leaves_out(
    database: Database, body: str | None, size: int, expected: Any
) -> None:
    of = delivery(batch(1), 1, payload_bytes=None if body is None else body.encode())
    tries = [attempt(of, 1, response_body=body)]
    await store(
        database,
        {batches: [batch(1)], batch_callback_deliveries: [of], batch_callback_delivery_attempts: tries},
    )
    fields = "{ text truncated byteLength }"
    query = f"""query ($id: ID!, $size: Int!) {{ callbackDelivery(id: $id) {{
      payloadBytesPreview(maxBytes: $size) {fields}
      attempts {{ responseBodyPreview(maxBytes: $size) {fields} }} }} }}"""
    found = (await data(database, query, id=of["id"], size=size))["callbackDelivery"]
    assert found == {"payloadBytesPreview": expected, "attempts": [{"responseBodyPreview": expected}]}


async def test_previews_of_several_sizes_stand_side_by_side(database: Database) -> None:
    fields = "a: payloadBytesPreview(maxBytes: 1) { text } b: payloadBytesPreview { text } payloadBytes"
    found = await _delivery(database, fields, payload_bytes=b"{}")
    assert found == {"a": {"text": "{"}, "b": {"text": "{}"}, "payloadBytes": "{}"}


async def test_a_preview_does_not_read_the_rest(database: Database) -> None:
    await store(database, history(1, 1, 1))
    query = "query ($id: ID!) { batch(id: $id) { callbackDeliveries { attempts { responseBodyPreview { text } } } } }"
    with statements(database) as seen:
        await data(database, query, id=identifier(0xBA, 1))
    picked = seen[-1].split("\nFROM")[0]
    assert "CAST(child.response_body AS BLOB)" in picked or "octet_length(child.response_body)" in picked
    assert " child.response_body," not in picked


@pytest.mark.parametrize("size", [0, 65_537])
async def test_a_preview_has_limits(database: Database, size: int) -> None:
    await store(database, history(1, 1, 1))
    query = (
        "query ($id: ID!, $size: Int!) { callbackDelivery(id: $id) { payloadBytesPreview(maxBytes: $size) { text } } }"
    )
    (error,) = (await ask(database, query, id=identifier(0xDE, 0), size=size))["errors"]
    assert (error["message"], error["extensions"]["code"]) == (
        f"maxBytes must be 1 to 65536, not {size}.",
        "VALIDATION_ERROR",
    )


async def test_credentials_in_a_batch_are_masked_unless_the_viewer_may_see_them(database: Database) -> None:
    values: dict[str, Any] = {
        "links": {"result": "https://bucket.example/a?X-Amz-Signature=s3cr3t-value", "self": "https://a.example/b/1"},
        "input": [{"image": "https://me:s3cr3t-value@a.example/x", "seed": 7}],
        "output": {"api_key": "s3cr3t-value", "items": [1, None]},
    }
    await store(database, {batches: [batch(1, **values), batch(2)]})
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch { links input output } } }"
    for also in ("", " __schema { queryType { name } }"):  # by a plan, and without
        document = query.replace("{ nodes", "{" + also + " nodes")
        ids = [identifier(0xBA, 1), identifier(0xBA, 2)]
        assert (await data(database, document, ids=ids))["nodes"] == [
            {
                "links": {
                    "result": "https://bucket.example/a?X-Amz-Signature=[masked]",
                    "self": "https://a.example/b/1",
                },
                "input": [{"image": "https://[masked]@a.example/x", "seed": 7}],
                "output": {"api_key": "[masked]", "items": [1, None]},
            },
            {"links": None, "input": None, "output": None},
        ]
        seen = (await data(database, document, scopes=frozenset({READ_SECRETS}), ids=ids))["nodes"][0]
        assert seen == values


async def test_long_text_is_masked_beside_the_loop_just_so(database: Database) -> None:
    of = delivery(batch(1), 1)
    long = "password=hunter2Xk29 " + "not available " * 3000
    tries = [attempt(of, 1, response_body=long)]
    rows = {batches: [batch(1)], batch_callback_deliveries: [of], batch_callback_delivery_attempts: tries}
    await store(database, rows)
    query = "query ($id: ID!) { callbackDelivery(id: $id) { attempts { responseBody } } }"
    for also in ("", " __schema { queryType { name } }"):
        found = await data(database, query.replace("{ callback", "{" + also + " callback"), id=of["id"])
        assert found["callbackDelivery"]["attempts"] == [{"responseBody": long.replace("hunter2Xk29", "[masked]")}]


async def test_credentials_are_masked_unless_the_viewer_may_see_them(database: Database) -> None:
    of = delivery(
        batch(1), 1, callback_url=URL, failure_detail="Authorization: Bearer s3cr3t-value", payload_bytes=b"{}"
    )
    said = 'got {"api_key": "k-123456789"}'
    tries = [attempt(of, 1, response_body=said, error_message=f"cannot reach {URL}")]
    await store(
        database,
        {
            batches: [batch(1, callback_url=URL)],
            batch_callback_deliveries: [of],
            batch_callback_delivery_attempts: tries,
        },
    )
    query = """query ($id: ID!) { callbackDelivery(id: $id) { callbackUrl failureDetail asCurl batch { callbackUrl }
      attempts { responseBody responseBodyPreview { text } errorMessage } } }"""
    masked = str(await data(database, query, id=of["id"]))
    for secret in ("abcdef1234", "pass@", "s3cr3t-value", "k-123456789"):
        assert secret not in masked
    assert masked.count("[masked]") >= 7
    seen = (await data(database, query, scopes=frozenset({READ_SECRETS}), id=of["id"]))["callbackDelivery"]
    assert (seen["callbackUrl"], seen["batch"]["callbackUrl"]) == (URL, URL)
    assert seen["attempts"] == [
        {"responseBody": said, "responseBodyPreview": {"text": said}, "errorMessage": f"cannot reach {URL}"}
    ]
    assert "abcdef1234" not in seen["asCurl"]
