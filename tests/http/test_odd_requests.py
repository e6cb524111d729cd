"""Requests that are nearly right: headers sent twice, and bodies that begin with a byte order mark."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.edge import BATCH, JSON, KEY, code, furnished, gateway
from tests.support.rows import OURS, THEIRS

REST = f"/v1/batches/{BATCH}/callback"
QUERY = b'{"query": "{ __typename }"}'
BEARER = ("Authorization", f"Bearer {KEY}")


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


async def answers(url: str, profile: str, *headers: tuple[str, str]) -> dict[str, httpx.Response]:
    """What both faces answer to these headers, the second time, when the credential is known."""
    async with gateway(url, profile, key=None) as client:
        for _ in range(2):
            found = {
                "rest": await client.get(REST, headers=list(headers)),
                "graphql": await client.post("/graphql", content=QUERY, headers=[("Content-Type", JSON), *headers]),
            }
    return found


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(
    "headers",
    [
        [BEARER, ("Authorization", "Basic dTpw")],
        [("Authorization", "Basic dTpw"), BEARER],
        [BEARER, BEARER],
        [BEARER, ("authorization", "")],
        [("Authorization", ""), BEARER],
        [BEARER, BEARER, ("X-Organization-Id", "no UUID")],
    ],
    ids=str,
)
async def test_two_credentials_are_none(url: str, profile: str, headers: list[tuple[str, str]]) -> None:
    for face, answer in (await answers(url, profile, *headers)).items():
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        body = answer.json()
        message = body["message"] if face == "rest" else body["errors"][0]["message"]
        assert message.startswith("Send one `Authorization` header")


@pytest.mark.parametrize("written", ["bearer {}", "BEARER {}", "Bearer  {}", "Bearer {}  "])
async def test_a_scheme_is_known_however_it_is_written(url: str, written: str) -> None:
    found = await answers(url, "production", ("Authorization", written.format(KEY)))
    assert {face: answer.status_code for face, answer in found.items()} == {"rest": 200, "graphql": 200}


@pytest.mark.parametrize("organizations", [(OURS, THEIRS), (THEIRS, OURS), (OURS, OURS), (OURS, "")])
async def test_two_organizations_are_none(url: str, organizations: tuple[str, str]) -> None:
    headers = [("X-Organization-Id", organization) for organization in organizations]
    for answer in (await answers(url, "production", BEARER, *headers)).values():
        assert answer.status_code == 400
        assert "X-Organization-Id must be a UUID." in answer.text
    for answer in (await answers(url, "production", ("Authorization", "Bearer unknown"), *headers)).values():
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Content-Type", JSON)], 200),
        ([("Content-Type", JSON), ("Content-Type", "text/plain")], 415),
        ([("Content-Type", "text/plain"), ("Content-Type", JSON)], 415),
        ([("Content-Type", JSON), ("Content-Encoding", "identity")], 200),
        ([("Content-Type", JSON), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], 415),
    ],
    ids=str,
)
async def test_a_body_of_two_kinds_is_of_none(url: str, headers: list[tuple[str, str]], status: int) -> None:
    async with gateway(url, "production") as client:
        assert (await client.post("/graphql", content=QUERY, headers=headers)).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        QUERY,
        json.dumps({"query": "query Q($a: ID!) { batch(id: $a) { id } }", "variables": {"a": BATCH}}).encode(),
        json.dumps({"query": "\ufeff{ __typename }"}).encode(),
        json.dumps({"query": "{ __typename }", "extra": "\ufeff"}, ensure_ascii=False).encode(),
    ],
)
async def test_a_byte_order_mark_before_the_body_changes_nothing(url: str, body: bytes) -> None:
    async with gateway(url) as client:
        plain, marked = [
            await client.post("/graphql", content=mark + body, headers={"Content-Type": JSON})
            for mark in (b"", b"\xef\xbb\xbf")
        ]
    assert (marked.status_code, marked.content) == (plain.status_code, plain.content)
    assert "errors" not in plain.json()


async def test_a_byte_order_mark_before_variables_in_an_address_changes_nothing(url: str) -> None:
    async with gateway(url) as client:
        parameters = {"query": "query Q($a: ID!) { batch(id: $a) { id } }", "variables": f'\ufeff{{"a": "{BATCH}"}}'}
        answer = await client.get("/graphql", params=parameters)
    assert answer.json() == {"data": {"batch": {"id": BATCH}}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xef\xbb\xbf" * 2 + QUERY, "cannot be read as JSON"),
        (QUERY.decode().encode("utf-16"), "is not UTF-8"),
        (QUERY.decode().encode("utf-32"), "is not UTF-8"),
        (b"\xef\xbb\xbf", "cannot be read as JSON"),
    ],
    ids=str,
)
async def test_other_marks_are_refused(url: str, body: bytes, message: str) -> None:
    async with gateway(url) as client:
        headers = {"Content-Type": JSON, "Accept": "application/graphql-response+json"}
        answer = await client.post("/graphql", content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (400, "BAD_REQUEST")
    assert message in answer.text
