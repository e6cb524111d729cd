"""The planned path answers as the ordinary executor does, whatever is asked, and over whatever rows.

What the rows hold decides what can be found: for as long as no random body was compact, as the platform's are, no
payload was ever kept as its own JSON, and that the ordinary executor could not write such a one went unseen.
"""

import json
from random import Random
from typing import Any

import pytest

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.execution.run import GraphQLRequest
from gateway.http.explorer import gallery
from tests.support.asking import is_subscription
from tests.support.differential import Tally, compare, context, difference, ordinary, planned, silence
from tests.support.documentation import documents
from tests.support.random_documents import SCHEMA, Author, ask_everywhere
from tests.support.random_inputs import Pools
from tests.support.random_rows import world, worlds
from tests.support.rows import batch, delivery, history, identifier, store
from tests.support.unlimited import unlimited_documents

# A seed of random documents, and how many of them are asked over each database.
SEARCHES = [
    pytest.param(6, 120, id="seed 6"),
    pytest.param(6, 300, id="seed 6, longer", marks=pytest.mark.thorough),
    *(pytest.param(seed, 700, id=f"seed {seed}", marks=pytest.mark.thorough) for seed in (7, 8, 9)),
]
# As the platform signs it, with no space: what stands in it needs no more than being read.
COMPACT = (
    b'{"event":"batch.succeeded","batch_id":"%s","status":"succeeded","output":{"items":[1.5,null]},"duration_ms":7,'
    b'"created_at":null,"completed_at":"2026-05-06T10:00:00+00:00","metadata":{"tier":"gold"}}'
)
READY: dict[str, tuple[str, dict[str, Any]]] = {
    name: asked
    for name, asked in (
        *((question.name, (question.query, dict(question.variables))) for question in gallery()),
        *((name, (text, {})) for name, text in documents().items()),
    )
    if not is_subscription(asked[0])
}


@pytest.mark.no_cover
@pytest.mark.parametrize(("seed", "documents"), SEARCHES)
async def test_both_paths_answer_alike(database: Database, seed: int, documents: int) -> None:
    tally = Tally()
    with silence():
        async for found in ask_everywhere(database, documents, seed, tally):
            pytest.fail(str(found))
    assert tally.documents == documents
    # No plan answers what is refused, or has errors beside data; one in twenty asks for introspection as well.
    assert tally.planned > 0.9 * (tally.asked - tally.refused - tally.partial), str(tally)


@pytest.mark.parametrize("name", READY)
async def test_a_ready_document_is_planned(database: Database, name: str) -> None:
    query, variables = READY[name]
    rows = history(3)
    for row in rows[deliveries]:
        row["payload_bytes"] = COMPACT % row["batch_id"].encode()
    await store(database, rows)
    for id_ in (identifier(0xBA, 1), identifier(0xDE, 0)) if "$id: ID!" in query else (None,):
        asked = GraphQLRequest(query, {**variables, **({} if id_ is None else {"id": id_})})
        documents, tally = unlimited_documents(SCHEMA), Tally()
        assert await compare(asked, documents, lambda: context(database, secrets=False), tally) is None
        assert (tally.asked, tally.planned) == (1, 1)
        without = await ordinary(asked, documents, context(database, secrets=False))
        assert without.errors == {}


@pytest.mark.parametrize("beside", ["", "__schema { queryType { name } }", '__type(name: "Batch") { name }'])
async def test_a_payload_is_the_same_beside_introspection(database: Database, beside: str) -> None:
    parent = batch(1)
    body = COMPACT % parent["id"].encode()
    await store(database, {batches: [parent], deliveries: [delivery(parent, 1, payload_bytes=body)]})
    query = (
        f'{{ {beside} callbackDelivery(id: "{identifier(0xDE, 1)}") {{ payload {{ output metadata durationMs }} }} }}'
    )
    documents = unlimited_documents(SCHEMA)
    for way in (ordinary, planned):
        told = await way(GraphQLRequest(query), documents, context(database, secrets=False))
        payload = json.loads(told.content)["data"]["callbackDelivery"]["payload"]
        assert payload == {"output": {"items": [1.5, None]}, "metadata": {"tier": "gold"}, "durationMs": 7}
        assert told.errors == {}
        assert told.planned is (way is planned and not beside)


async def test_one_odd_row_leaves_the_payloads_of_its_page_whole(database: Database) -> None:
    parent = batch(1)
    body = COMPACT % parent["id"].encode()
    sizes = (7, 2**63 - 1, -(2**63), 2**63, 10**20, 10**400)
    bodies = [body.replace(b'"duration_ms":7', b'"duration_ms":%d' % size) for size in sizes]
    made = [delivery(parent, n, payload_bytes=body) for n, body in enumerate(bodies)]
    await store(database, {batches: [parent], deliveries: made})
    asked = GraphQLRequest("{ callbackDeliveries { nodes { payload { metadata durationMs } } } }")
    documents = unlimited_documents(SCHEMA, is_open=False)
    for way in (ordinary, planned):
        told = await way(asked, documents, context(database, secrets=False))
        payloads = [node["payload"] for node in json.loads(told.content)["data"]["callbackDeliveries"]["nodes"]]
        assert [payload["metadata"] for payload in payloads] == [{"tier": "gold"}] * 6
        durations = [payload["durationMs"] for payload in payloads]
        assert durations == [None, None, None, -(2**63), 2**63 - 1, 7]
        assert len(told.errors) == 3
        assert {json.loads(each)["extensions"]["code"] for (each,) in told.errors.values()} == {"UNREADABLE_VALUE"}


@pytest.mark.no_cover
def test_every_random_document_is_valid() -> None:
    documents = unlimited_documents(SCHEMA)
    for number in range(300):
        place = world(number % 14, "sqlite")
        request = Author(Pools(place.rows), Random(f"valid {number}")).request()  # noqa: S311 - it keeps no secret
        checked = documents.check(str(request.query))
        assert not checked.errors, (request.query, checked.errors)


def test_a_seed_makes_the_same_document_again() -> None:
    pools = Pools(world(5, "sqlite").rows)
    first, again, other = (Author(pools, Random(seed)).request() for seed in (1, 1, 2))  # noqa: S311
    assert first == again != other


def test_worlds_are_the_same_each_time() -> None:
    assert worlds("sqlite") == worlds("sqlite")
    assert [len(worlds(dialect)) for dialect in ("sqlite", "postgresql")] == [20, 14]


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ("{ __typename }", "{ __typename }", False),
        ("{ a: __typename b: __typename }", "{ b: __typename a: __typename }", True),
        ("{ batch(id: 1) { id } }", "{ batch(id: 1) { orgId } }", False),
        ("{ batch(id: 1) { id } }", "{  batch(id: 1) { id } }", True),
        ("{ batch(id: 1) { id } }", "{ batch(id: 1) { id }", True),
    ],
)
async def test_what_differs_is_found(database: Database, one: str, other: str, differs: bool) -> None:
    documents = unlimited_documents(SCHEMA)
    told = [
        await ordinary(GraphQLRequest(query), documents, context(database, secrets=False)) for query in (one, other)
    ]
    assert (difference(*told) is not None) is differs
