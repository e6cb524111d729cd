"""Whatever is sent, the answer is GraphQL's, no 5xx, and nothing of a failure of ours is in the log."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.edge import BATCH, KEY, furnished, gateway
from tests.support.hostile import DOCUMENTS, MALFORMED, body

PATIENT = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WHOLE = settings(PATIENT, max_examples=5_000)  # in each profile

NAMES = st.sampled_from(
    [
        "batch", "batches", "callbackDeliveries", "callbackDelivery", "node", "nodes", "viewer", "callbackStats",
        "edges", "pageInfo", "totalCount", "id", "attempts", "payload", "output", "__typename", "__schema",
        "__type", "types", "name", "zzz", "first", "filter", "orderBy", "ids", "x", "Query", "Batch", "Node",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(2**31, 2**70), st.floats(), st.text(), st.just(BATCH), NAMES
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | NAMES, inner), max_leaves=8)
PIECES = st.sampled_from(
    [
        "{", "}", "(", ")", "[", "]", ":", "...", "on ", "@include(if:true)", "$x", "query ", "mutation ",
        "fragment f ", "=", "!", '"', '"""', "#", "\n", " ", ",", "null", "1", "-1", "9" * 400, "1e999", "true",
        f'"{BATCH}"', "\\u{D800}", "\ufeff",
    ]
)  # fmt: skip
GIBBERISH = st.lists(PIECES | NAMES.map(lambda name: f"{name} ") | st.text(max_size=3), max_size=40).map("".join)


def literal(value: Any) -> str:
    """A value as GraphQL writes it, nearly."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(literal, value)) + "]"
    return json.dumps(value)


ARGUMENTS = st.dictionaries(NAMES, VALUES.map(literal) | NAMES | st.just("$x"), max_size=3).map(
    lambda given: "(" + ",".join(f"{name}:{value}" for name, value in given.items()) + ")" if given else ""
)
SELECTIONS = st.recursive(
    st.lists(NAMES, min_size=1, max_size=3).map(" ".join),
    lambda inner: st.lists(
        st.tuples(NAMES, ARGUMENTS, inner).map(lambda parts: f"{parts[0]}{parts[1]}{{{parts[2]}}}")
        | st.tuples(NAMES, inner).map(lambda parts: f"...on {parts[0]}{{{parts[1]}}}"),
        min_size=1,
        max_size=3,
    ).map(" ".join),
    max_leaves=6,
)
TEXTS = st.one_of(
    GIBBERISH,
    SELECTIONS.map(lambda selected: "{" + selected + "}"),
    SELECTIONS.map(lambda selected: "query($x:ID){" + selected + "}"),
    st.sampled_from(list(DOCUMENTS)).map(lambda name: DOCUMENTS[name][0]),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(list(MALFORMED)).map(MALFORMED.__getitem__),
    VALUES.map(lambda value: json.dumps(value).encode()),
    TEXTS.map(body),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("query", "variables", "operationName", "extensions", "documentId"), VALUES | TEXTS),
    ).map(lambda value: json.dumps(value).encode()),
    st.builds(lambda query, variables: body(query, variables={"x": variables}), TEXTS, VALUES),
)
ACCEPTS = st.sampled_from(["", "*/*", "application/json", "application/graphql-response+json", "text/html", ";q=x"])


@pytest.fixture(params=["development", "production"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


@pytest.fixture
async def client(url: str, profile: str) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(url, profile) as client:
        yield client


def assert_sane(answer: httpx.Response, log: pytest.LogCaptureFixture) -> None:
    """A response that clients understand, and nothing for operators to look after."""
    assert answer.status_code < 500, answer.text
    body = answer.json()
    assert set(body) <= {"data", "errors", "extensions"}
    assert body.get("errors") != []
    codes = [error["extensions"]["code"] for error in body.get("errors", ())]
    assert "INTERNAL_ERROR" not in codes
    assert not [record for record in log.records if record.levelno >= logging.ERROR]
    log.clear()


@pytest.mark.no_cover
@PATIENT
@given(content=BODIES, accept=ACCEPTS)
async def test_no_body_breaks_the_gateway(
    client: httpx.AsyncClient, content: bytes, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    await post(client, content, accept, caplog)


@pytest.mark.thorough
@WHOLE
@given(content=BODIES, accept=ACCEPTS)
async def test_no_body_of_thousands_breaks_the_gateway(
    client: httpx.AsyncClient, content: bytes, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    await post(client, content, accept, caplog)


async def post(client: httpx.AsyncClient, content: bytes, accept: str, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"Content-Type": "application/json", "Accept": accept}
    assert_sane(await client.post("/graphql", content=content, headers=headers), caplog)


PARAMETERS = st.dictionaries(
    st.sampled_from(["query", "variables", "extensions", "operationName", "x"]),
    GIBBERISH | SELECTIONS.map(lambda selected: "{" + selected + "}") | VALUES.map(json.dumps),
)


@pytest.mark.no_cover
@PATIENT
@given(parameters=PARAMETERS, tail=st.binary(max_size=20))
async def test_no_address_breaks_the_gateway(
    client: httpx.AsyncClient, parameters: dict[str, str], tail: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    address = httpx.URL("/graphql", params={key: value.encode(errors="replace") for key, value in parameters.items()})
    raw = address.copy_with(query=address.query + b"&" + "".join(f"%{byte:02x}" for byte in tail).encode())
    assert_sane(await client.get(raw, headers={"Accept": "application/json"}), caplog)


LATIN = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type", "Accept", "Content-Encoding", "X-Request-Id", "X-Organization-Id", "Origin",
            "Sec-Fetch-Site", "X-GraphQL-Cost", "Authorization",
        ]
    ),
    st.text(LATIN).map(lambda text: text.encode("latin-1"))
    | st.sampled_from([b"application/json", b"application/json;charset=x", b"gzip", b"null", f"Bearer {KEY}".encode()]),
)  # fmt: skip


@pytest.mark.no_cover
@PATIENT
@given(headers=HEADERS)
async def test_no_header_breaks_the_gateway(
    client: httpx.AsyncClient, headers: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    everything = [(name.encode(), value) for name, value in headers.items()]
    assert_sane(await client.post("/graphql", content=b'{"query":"{__typename}"}', headers=everything), caplog)
