"""Plans: when they answer, when they do not, and that they can be left out."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.database.engine import Database
from gateway.execution.plan.compiler import MOST_PLANS
from gateway.execution.run import GraphQLRequest, run
from gateway.schema.context import Context
from gateway.schema.query import SCHEMA
from gateway.viewer import READ, Viewer
from tests.support.asking import DOCUMENTS, NOW
from tests.support.edge import BATCH, ask, furnished, gateway
from tests.support.rows import OURS, history, identifier, store
from tests.support.unlimited import unlimited_documents

NESTED = f'{{ batch(id: "{BATCH}") {{ id callbackDeliveries {{ id attempts {{ id attemptNumber createdAt }} }} }} }}'
SWITCHES = [f"s{number}" for number in range(5)]
SWITCHED = (
    "query ("
    + ", ".join(f"${name}: Boolean!" for name in SWITCHES)
    + f') {{ batch(id: "{BATCH}") {{ id '
    + " ".join(f"{name}: statusCode @include(if: ${name})" for name in SWITCHES)
    + " } }"
)


@pytest.fixture(scope="module")
def url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return furnished(sqlite_template, tmp_path_factory.mktemp("plan"))


def path_of(response: httpx.Response) -> tuple[str, str]:
    return response.headers["X-GraphQL-Path"], response.headers["X-GraphQL-Statements"]


async def test_the_gateway_works_alike_without_plans(url: str) -> None:
    rest = f"/v1/batches/{BATCH}/callback"
    async with gateway(url) as with_plans, gateway(url, plans=False) as without:
        answers = [(await ask(client, NESTED), await client.get(rest)) for client in (with_plans, without)]
    (planned, fast), (ordinary, slow) = answers
    assert (planned.content, fast.content) == (ordinary.content, slow.content)
    assert (path_of(planned), path_of(ordinary)) == (("planned", "3"), ("ordinary", "3"))


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { queryType { name } } }",
        '{ batch(id: "no id") { id } }',
        "{ batches(first: 0) { nodes { id } } }",
    ],
)
async def test_what_is_not_understood_or_fails_is_answered_by_the_ordinary_executor(url: str, query: str) -> None:
    async with gateway(url) as client:
        assert path_of(await ask(client, query))[0] == "ordinary"


async def test_production_does_not_tell_how_it_answered(url: str) -> None:
    async with gateway(url, "production") as client:
        assert not {"x-graphql-path", "x-graphql-statements"} & set((await ask(client, NESTED)).headers)


async def test_an_operation_keeps_a_few_plans_and_follows_its_switches_beyond(database: Database) -> None:
    await store(database, history(1))
    known = unlimited_documents(DOCUMENTS.schema)
    context = Context.of(Viewer(OURS, frozenset({READ}), "test"), database, NOW)
    for number in range(2 ** len(SWITCHES)):
        switched: dict[str, Any] = {name: bool(number >> place & 1) for place, name in enumerate(SWITCHES)}
        answer = await run(GraphQLRequest(SWITCHED, switched), known, context)
        assert answer.planned
        shown = {name: None for name, on in switched.items() if on}
        assert answer.body == {"data": {"batch": {"id": identifier(0xBA, 1), **shown}}}
    assert len(known.check(SWITCHED).operations[None].plans) == MOST_PLANS


async def test_one_question_asked_of_many_parents_is_one_statement(url: str) -> None:
    query = "{ batches { nodes { id callbackHealth callbackDeliveryCount callbackDeliveries { batch { id } } } } }"
    async with gateway(url) as client:
        assert path_of(await ask(client, query)) == ("planned", "5")


async def test_every_field_of_the_root_is_planned(url: str) -> None:
    by_id = f'batch(id: "{BATCH}") {{ id }} callbackDelivery(id: "{BATCH}") {{ id }} node(id: "{BATCH}") {{ id }}'
    lists = (
        "batches { nodes { id } } callbackDeliveries { pageInfo { endCursor } } callbackAttempts { edges { cursor } }"
    )
    others = f'nodes(ids: ["{BATCH}"]) {{ id }} viewer {{ scopes }} callbackStats {{ deliveries }}'
    query = f"{{ {by_id} {lists} {others} }}"
    assert SCHEMA.query_type is not None
    assert all(f" {name}" in query for name in SCHEMA.query_type.fields)
    async with gateway(url) as client:
        assert path_of(await ask(client, query))[0] == "planned"
