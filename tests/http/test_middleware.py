"""The production profile under attack from within: somebody holds a key and wants to know, or to break, more.

The twelve checks are graphql-cop's, written anew: each asks what that asks, and looks for what that takes as a finding.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.edge import BATCH, JSON, furnished, gateway

WORDS = [
    "batch", "batches", "callbackDelivery", "callbackDeliveries", "callbackAttempts", "callbackStats", "node",
    "nodes", "viewer", "id", "ids", "status", "statusCode", "state", "user", "users", "me", "first", "last",
    "filter", "orderBy", "order", "field", "direction", "ASC", "DESC", "CREATED_AT", "eq", "in", "edges", "cursor",
    "pageInfo", "totalCount", "payload", "attempts", "Batch", "BatchCallbackDelivery", "Node", "Viewer", "Query",
    "Mutation", "ID", "String", "batchs", "nod", "viewr", "callbackDeliverie", "orderby", "frst", "idd",
    "statuscode",
]  # fmt: skip
# Every place where a word list can be tried. Whoever guesses a whole document at once is answered, of course.
PLACES = (
    "{{ {word} }}",
    "{{ {word} {{ id }} }}",
    "{{ {word}(zzz: 1) {{ id }} }}",
    "{{ zzz {{ {word} }} }}",
    "{{ zzz(id: 1) {{ {word} {{ zzz }} }} }}",
    "{{ batch({word}: 1) {{ zzz }} }}",
    '{{ batch(id: "x") {{ {word} {{ zzz }} }} }}',
    '{{ batch(id: "x") {{ callbackDeliveries({word}: 1) {{ zzz }} }} }}',
    '{{ batch(id: "x") {{ callbackDeliveries(orderBy: {{{word}: zzz}}) {{ id }} }} }}',
    '{{ batch(id: "x") {{ callbackDeliveries(orderBy: {{field: z{word}}}) {{ id }} }} }}',
    '{{ batch(id: "x") {{ ... on {word} {{ zzz }} }} }}',
    '{{ batch(id: "x") {{ id @{word} }} }}',
    "{{ ...{word} }}",
    "query ($x: {word}) {{ zzz(a: $x) }}",
    "query ($x: {word}!) {{ __typename }}",
    "mutation {{ {word} }}",
    "subscription {{ {word} }}",
    "fragment f on {word} {{ zzz }} {{ zzz }}",
)
# What no answer may hold: names that only the schema knows, and the words that introduce a guess.
TELLTALES = (
    "did you mean",
    "suggest",
    "expected",
    "of type",
    "on type",
    "subfields",
    "selection",
    "unknown",
    "defined",
)


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a key, in production."""
    async with gateway(url, "production") as client:
        yield client


async def post(client: httpx.AsyncClient, query: str, **more: Any) -> Any:
    """The JSON of the answer to a document."""
    return (await client.post("/graphql", json={"query": query, "operationName": "cop", **more})).json()


async def test_aliases_are_not_piled_up(client: httpx.AsyncClient) -> None:
    aliases = " ".join(f"alias{n}:__typename" for n in range(101))
    assert "data" not in await post(client, f"query cop {{ {aliases} }}")


async def test_requests_are_not_batched(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json=[{"query": "query cop { __typename }"}] * 10)
    assert answer.status_code == 400
    assert isinstance(answer.json(), dict)


async def test_a_get_of_any_page_is_not_answered(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "query cop {__typename}"}, headers={"Accept": "*/*"})
    assert answer.status_code == 406
    assert "data" not in answer.json()


async def test_a_form_of_any_page_is_not_answered(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", data={"query": "query cop {__typename}"})
    assert answer.status_code == 415
    assert "data" not in answer.json()


async def test_nothing_is_traced(client: httpx.AsyncClient) -> None:
    answer = await post(client, "query cop { __typename }")
    assert answer == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("document", ["query cop {{ {fields} }}", 'query cop {{ batch(id: "{id}") {{ {fields} }} }}'])
async def test_fields_are_not_repeated(client: httpx.AsyncClient, document: str) -> None:
    assert "data" not in await post(client, document.format(fields="__typename\n" * 501, id=BATCH))


async def test_fields_are_not_suggested(client: httpx.AsyncClient) -> None:
    for document in ("query cop { __schema { directive } }", "query cop { batchs { id } }"):
        answer = await post(client, document)
        assert "data" not in answer
        assert "did you mean" not in json.dumps(answer).lower()


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/playground", "/console", "/altair", "/voyager", "/"])
async def test_no_explorer_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "text/html"})
    assert answer.is_client_error
    assert "html" not in answer.headers["content-type"]


async def test_the_schema_does_not_describe_itself(client: httpx.AsyncClient) -> None:
    answer = await post(client, "query cop { __schema { types { name fields { name } } } }")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTROSPECTION_DISABLED"]


async def test_directives_are_not_piled_up(client: httpx.AsyncClient) -> None:
    for directives in ("@aa" * 10, "@include(if: true)" * 100):
        answer = await post(client, f"query cop {{ __typename {directives} }}")
        assert "data" not in answer
        assert len(answer["errors"]) == 1


async def test_introspection_does_not_go_in_circles(client: httpx.AsyncClient) -> None:
    circle = "fields { type { " * 4 + "name" + " } }" * 4
    assert "data" not in await post(client, f"query cop {{ __schema {{ types {{ {circle} }} }} }}")


async def test_a_get_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "mutation cop {__typename}"}, headers={"Accept": JSON})
    assert answer.status_code == 405
    assert "data" not in answer.json()


async def test_a_word_list_learns_nothing(client: httpx.AsyncClient) -> None:
    answers = set()
    for place in PLACES:
        for word in WORDS:
            document = place.format(word=word)
            answer = await client.post("/graphql", json={"query": document})
            assert "data" not in answer.json(), document
            assert not [telltale for telltale in TELLTALES if telltale in answer.text.lower()], document
            answers.add((answer.status_code, answer.text))
    assert len(answers) == 1


@pytest.mark.parametrize("value", [{"zzz": 1}, {"field": "CREATED_ATT"}, {"fild": "CREATED_AT"}, {}, 5, [{}], "x"])
async def test_a_word_list_in_variables_learns_nothing(client: httpx.AsyncClient, value: object) -> None:
    query = (
        "query cop($x: CallbackDeliveryOrder!) "
        '{ batch(id: "x") { callbackDeliveries(orderBy: $x) { id } } }'
    )  # fmt: skip
    answer = await post(client, query, variables={"x": value})
    assert answer["errors"] == [
        {
            "message": "The variable $x does not fit its type.",
            "locations": [{"line": 1, "column": 11}],
            "extensions": {"code": "BAD_USER_INPUT"},
        }
    ]


@pytest.mark.parametrize("document", ["qwerty cop { abc }", "{", '{ batch(id: "x", id: "y") { id } }'])
async def test_mistakes_tell_nothing_about_the_machine(client: httpx.AsyncClient, document: str) -> None:
    answer = json.dumps(await post(client, document)).lower()
    assert not [word for word in ("exception", "traceback", "stack", ".py", "strawberry") if word in answer]
