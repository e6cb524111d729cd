"""Lists of an organization: pages both ways, cursors that fit or say why not, counts that know their limits."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.viewer import READ, READ_SECRETS
from gateway.writing.derived import masked_error
from tests.support.asking import ask, data, statements
from tests.support.rows import OURS, START, THEIRS, attempt, batch, delivery, history, identifier, store

PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: CallbackDeliveryOrder! =
  {field: CREATED_AT, direction: ASC}, $filter: CallbackDeliveryFilter) {
  callbackDeliveries(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, filter: $filter) {
    nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def _page(database: Database, **arguments: Any) -> tuple[list[int], dict[str, Any]]:
    """The numbers of the deliveries of a page, and where it lies."""
    found = (await data(database, PAGE, **arguments))["callbackDeliveries"]
    return [int(node["id"][-12:], 16) for node in found["nodes"]], found["pageInfo"]


async def test_pages_follow_each_other_forwards_and_backwards(database: Database) -> None:
    await store(database, history(1, 5, 0))
    first, at = await _page(database, first=2)
    second, then = await _page(database, first=2, after=at["endCursor"])
    third, last = await _page(database, first=2, after=then["endCursor"])
    assert (first, second, third) == ([0, 1], [2, 3], [4])
    assert [page["hasNextPage"] for page in (at, then, last)] == [True, True, False]
    assert [page["hasPreviousPage"] for page in (at, then, last)] == [False, True, True]
    back, before = await _page(database, last=2, before=last["startCursor"])
    assert (back, before["hasPreviousPage"], before["hasNextPage"]) == ([2, 3], True, True)
    assert await _page(database, last=10, before=before["startCursor"]) == (
        [0, 1],
        {**at, "hasNextPage": True},
    )


async def test_both_ends_of_a_range_may_be_given(database: Database) -> None:
    await store(database, history(1, 5, 0))
    _, whole = await _page(database, first=5)
    assert (await _page(database, first=9, after=whole["startCursor"], before=whole["endCursor"]))[0] == [1, 2, 3]


async def test_an_empty_page_has_no_cursors(database: Database) -> None:
    await store(database, {batches: [batch(1)]})
    nowhere = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert await _page(database) == ([], nowhere)


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_rows_without_a_value_stand_where_the_greatest_would(database: Database, direction: str) -> None:
    of = batch(1)
    rows = [delivery(of, 1), delivery(of, 2, next_attempt_at=of["created_at"]), delivery(of, 3)]
    await store(database, {batches: [of], batch_callback_deliveries: rows})
    order = {"field": "NEXT_ATTEMPT_AT", "direction": direction}
    expected = [2, 1, 3] if direction == "ASC" else [3, 1, 2]
    assert (await _page(database, orderBy=order))[0] == expected
    first, at = await _page(database, orderBy=order, first=2)
    rest, _ = await _page(database, orderBy=order, first=2, after=at["endCursor"])
    assert first + rest == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 1, "last": 1}, "first and last cannot be used together."),
        ({"first": 0}, "first must be 1 to 500, not 0."),
        ({"last": 501}, "last must be 1 to 500, not 501."),
    ],
)
async def test_pages_have_limits(database: Database, arguments: dict[str, int], message: str) -> None:
    (error,) = (await ask(database, PAGE, OURS, frozenset(), **arguments))["errors"]
    assert (error["message"], error["extensions"]["code"]) == (message, "VALIDATION_ERROR")
    assert error["path"] == ["callbackDeliveries"]


NOT_A_CURSOR = "after is not a cursor: pass an `endCursor` or `startCursor` as it came."


@pytest.mark.parametrize("cursor", ["", "x", "x" * 7, "é", "bnVsbA", "WzEsMiwzLDRd", "e30", "WzEsICJhIiwgIjEiLCB7fV0="])
async def test_what_is_no_cursor_is_said_to_be_none(database: Database, cursor: str) -> None:
    (error,) = (await ask(database, PAGE, after=cursor))["errors"]
    assert error["extensions"]["code"] == "BAD_CURSOR"
    assert error["message"].startswith("after ")
    assert "padding" not in error["message"]


@pytest.mark.parametrize(
    "other",
    [
        {"orderBy": {"field": "CREATED_AT", "direction": "DESC"}},
        {"orderBy": {"field": "COMPLETED_AT", "direction": "ASC"}},
        {"filter": {"statusCode": {"eq": "failed"}}},
    ],
)
async def test_a_cursor_fits_its_own_filter_and_order_only(database: Database, other: dict[str, Any]) -> None:
    await store(database, history(1, 3, 0))
    _, at = await _page(database, first=1)
    (error,) = (await ask(database, PAGE, after=at["endCursor"], **other))["errors"]
    assert error["extensions"]["code"] == "BAD_CURSOR"
    assert error["message"] == "after belongs to another list, filter or order: start again from the first page."


async def test_a_count_is_exact_up_to_its_limit_and_says_so_beyond(database: Database) -> None:
    await store(database, history(1, 5, 0))
    query = "{ callbackDeliveries { a: totalCount { value precision } b: totalCount(limit: 3) { value precision } } }"
    with statements(database) as seen:
        answer = await data(database, query)
    assert answer["callbackDeliveries"] == {
        "a": {"value": 5, "precision": "EXACT"},
        "b": {"value": 3, "precision": "CAPPED"},
    }
    assert len(seen) == 2


async def test_what_is_not_asked_is_not_read(database: Database) -> None:
    await store(database, history(1, 1, 0))
    with statements(database) as seen:
        await data(database, "{ callbackDeliveries { __typename } }")
    assert seen == []
    with statements(database) as seen:
        await data(
            database,
            "{ callbackDeliveries { nodes { id } edges { cursor node { statusCode } } pageInfo { endCursor } } }",
        )
    assert len(seen) == 1
    assert "payload_bytes" not in seen[0]


async def test_edges_and_nodes_are_the_same_rows(database: Database) -> None:
    await store(database, history(2, 2, 1))
    query = "{ callbackAttempts { nodes { id attemptNumber } edges { node { id attemptNumber } cursor } } }"
    found = (await data(database, query))["callbackAttempts"]
    assert len(found["nodes"]) == 4
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    assert len({edge["cursor"] for edge in found["edges"]}) == 4


@pytest.mark.parametrize("root", ["batches", "callbackDeliveries", "callbackAttempts"])
async def test_a_list_gives_nothing_to_a_foreign_viewer(database: Database, root: str) -> None:
    await store(
        database, {table: rows + history(1, 1, 1, THEIRS)[table][:0] for table, rows in history(1, 1, 1).items()}
    )
    query = f"{{ {root} {{ nodes {{ id }} totalCount {{ value }} }} }}"
    assert (await data(database, query, OURS))[root]["totalCount"] == {"value": 1}
    assert (await data(database, query, THEIRS))[root] == {"nodes": [], "totalCount": {"value": 0}}


async def test_the_viewer_is_the_credentials_organization_and_scopes(database: Database) -> None:
    await store(database, {batches: [batch(1)]})
    answer = await data(database, "{ viewer { organization { id name } scopes } }")
    assert answer == {"viewer": {"organization": {"id": OURS, "name": f"organization {OURS[:2]}"}, "scopes": [READ]}}


@pytest.mark.parametrize(
    ("filter_", "kept"),
    [
        ({"metadata": {"path": ["customer", "tier"], "eq": "gold"}}, [1]),
        ({"metadata": {"path": ["customer", "tier"], "eq": "1"}}, []),
        ({"metadata": {"path": ["customer", "tier"], "eq": 1}}, [2]),
        ({"metadata": {"path": ["customer", "tier"], "eq": 1.0}}, [2]),
        ({"metadata": {"path": ["customer", "tier"], "eq": True}}, [3]),
        ({"metadata": {"path": ["customer"], "eq": "x"}}, []),
        ({"metadata": {"path": ["0"], "eq": "gold"}}, []),
        ({"statusCode": {"notIn": ["failed"]}}, [1, 2, 3, 4, 5]),
        ({"statusCode": {"isNull": True}}, [1, 2, 3, 4]),
        ({"id": {"in": []}}, []),
        ({"statusCode": {"eq": None}}, [1, 2, 3, 4, 5, 6]),
        ({"completedAt": {"isNull": False}}, []),
    ],
)
async def test_a_filter_keeps_the_same_on_both_databases(database: Database, filter_: Any, kept: list[int]) -> None:
    tiers: list[Any] = [{"tier": "gold"}, {"tier": 1}, {"tier": True}, "x"]
    rows = [batch(number, metadata={"customer": tier}) for number, tier in enumerate(tiers[:3], 1)]
    rows += [batch(4, metadata=["gold"]), batch(5, status_code="running"), batch(6, status_code="failed")]
    await store(database, {batches: rows})
    query = """query ($filter: BatchFilter) { batches(filter: $filter, orderBy: {field: CREATED_AT, direction: ASC})
      { nodes { id } } }"""
    found = (await data(database, query, filter=filter_))["batches"]["nodes"]
    assert found == [{"id": identifier(0xBA, number)} for number in kept]


@pytest.mark.parametrize(
    "start",
    [
        "https://hooks.example/in?t",
        "https://hooks.example/in",
        "https://user@",
        "https://user:12",
        "https://hooks.slack.com/services/T000/B000/Xy/",
    ],
)
async def test_a_filter_does_not_let_credentials_be_guessed(database: Database, start: str) -> None:
    query = (
        "query ($start: String!) { callbackDeliveries(filter: {callbackUrl: {startsWith: $start}}) { nodes { id } } }"
    )
    (error,) = (await ask(database, query, start=start))["errors"]
    assert error["extensions"]["code"] == "PERMISSION_DENIED"
    assert await data(database, query, scopes=frozenset({READ_SECRETS}), start=start)
    assert await data(database, query, start="https://hooks.example/in/")


async def test_a_message_is_searched_as_the_viewer_sees_it(database: Database) -> None:
    of = delivery(batch(1), 1)
    said = "X-Api-Key: S3cr3tZebra99 refused"
    tries = [attempt(of, 1, error_message=said, error_message_masked=masked_error(said)), attempt(of, 2)]
    await store(
        database,
        {batches: [batch(1)], batch_callback_deliveries: [of], batch_callback_delivery_attempts: tries},
    )
    query = """query ($part: String!) {
      callbackAttempts(filter: {errorMessage: {contains: $part}}) { totalCount { value } } }"""
    found = {"callbackAttempts": {"totalCount": {"value": 1}}}
    none = {"callbackAttempts": {"totalCount": {"value": 0}}}
    assert await data(database, query, part="S3cr3t") == none
    assert await data(database, query, part="X-Api-Key: S") == none
    assert await data(database, query, part="X-Api-Key: ") == found
    assert await data(database, query, scopes=frozenset({READ_SECRETS}), part="S3cr3t") == found


async def test_filters_that_python_takes_for_equal_are_asked_apart(database: Database) -> None:
    await store(database, {batches: [batch(1, metadata={"x": True}), batch(2, metadata={"x": 1})]})
    query = """{ a: batches(filter: {metadata: {path: ["x"], eq: true}}) { nodes { id } }
      b: batches(filter: {metadata: {path: ["x"], eq: 1}}) { nodes { id } } }"""
    assert await data(database, query) == {
        "a": {"nodes": [{"id": identifier(0xBA, 1)}]},
        "b": {"nodes": [{"id": identifier(0xBA, 2)}]},
    }


async def test_odd_metadata_neither_matches_nor_breaks_a_filter(database: Database) -> None:
    await store(database, {batches: [batch(1, metadata={"x": "a\0b"}), batch(2, metadata={"x": 0.1})]})
    query = 'query ($eq: JSON!) { batches(filter: {metadata: {path: ["x"], eq: $eq}}) { nodes { id } } }'
    assert (await data(database, query, eq="a"))["batches"]["nodes"] == []
    assert (await data(database, query, eq=0.1))["batches"]["nodes"] == [{"id": identifier(0xBA, 2)}]


async def test_the_first_and_the_last_instant_are_told(database: Database) -> None:
    instants = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    rows = [batch(number, completed_at=at) for number, at in enumerate(instants, 1)]
    await store(database, {batches: rows})
    query = "{ batches(orderBy: {field: CREATED_AT, direction: ASC}) { nodes { completedAt } } }"
    told = [node["completedAt"] for node in (await data(database, query))["batches"]["nodes"]]
    assert told == ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]


@pytest.mark.parametrize(
    "filter_",
    [
        {"id": {"eq": "nonsense"}},
        {"statusCode": {"eq": "a\0b"}},
        {"statusCode": {"in": ["\ud800"]}},
        {"metadata": {"path": [], "eq": 1}},
        {"metadata": {"path": ['a"b'], "eq": 1}},
        {"metadata": {"path": ["a"], "eq": [1]}},
        {"metadata": {"path": ["a"], "eq": 2**60}},
    ],
)
async def test_what_no_row_can_hold_is_refused(database: Database, filter_: Any) -> None:
    query = "query ($filter: BatchFilter) { batches(filter: $filter) { nodes { id } } }"
    (error,) = (await ask(database, query, filter=filter_))["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR", error


ONE, OTHER = identifier(0xDE, 0), identifier(0xDE, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"id": {"in": [ONE, OTHER]}}, {"id": {"in": [OTHER, ONE]}}),
        ({"id": {"in": [ONE, OTHER]}}, {"id": {"in": [OTHER.upper(), ONE, OTHER]}}),
        ({"statusCode": {"notIn": ["a", "b"]}}, {"statusCode": {"notIn": ["b", "a", "b"]}}),
        ({"attempts": {"some": {"id": {"in": [ONE, OTHER]}}}}, {"attempts": {"some": {"id": {"in": [OTHER, ONE]}}}}),
        (None, {}),
        (None, {"statusCode": {}, "id": None}),
        (None, {"attempts": {}, "createdAt": {"gte": None}}),
        ({"createdAt": {"gte": "2026-05-06T00:00:00Z"}}, {"createdAt": {"gte": "2026-05-06T02:00:00+02:00"}}),
    ],
)
async def test_a_cursor_fits_its_list_however_the_filter_is_written(database: Database, one: Any, other: Any) -> None:
    rows = history(1, 2, 1)
    rows[batch_callback_delivery_attempts] = [
        {**attempt({**row, "created_at": START}, 1), "id": row["id"]} for row in rows[batch_callback_deliveries]
    ]
    await store(database, rows)
    for first, second in ((one, other), (other, one)):
        _, at = await _page(database, first=1, filter=first)
        assert (await _page(database, first=1, filter=second, after=at["endCursor"]))[0] == [1]


async def test_a_filter_that_wants_any_child_is_not_one_that_wants_nothing(database: Database) -> None:
    await store(database, history(1, 2, 1))
    _, at = await _page(database, first=1)
    answer = await ask(database, PAGE, first=1, filter={"attempts": {"some": {}}}, after=at["endCursor"])
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_CURSOR"]
