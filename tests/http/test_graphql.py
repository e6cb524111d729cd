"""GraphQL over HTTP: media types, statuses, methods, malformed input, persisted queries, and who may ask."""

import gzip
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from starlette.datastructures import Headers

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.errors import NotAcceptable, OperatorError, RateLimited, UnsafeSettings
from gateway.http.graphql import encode
from gateway.http.middleware import is_cross_site
from gateway.http.negotiation import JSON, RESPONSE_JSON, negotiate
from gateway.http.rate_limit import RateLimiter
from gateway.settings import HttpSettings
from gateway.writing.api_keys import create_key
from tests.support.edge import BATCH, KEY, ask, code, furnished, gateway, settings
from tests.support.hostile import MALFORMED
from tests.support.rows import OURS
from tests.support.serving import serving

TYPENAME = "{ __typename }"
DELIVERIES = "query ($id: ID!) { batch(id: $id) { callbackDeliveries { id } } }"
MISTAKES = {
    "parse": "{",
    "validation": "{ zzz }",
    "limit": "{" + "a " * 60 + "}",
    "operation": "query a {__typename} query b {__typename}",
}


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    """A database with a small history and the key."""
    return furnished(sqlite_template, tmp_path)


@pytest.mark.parametrize(
    ("accept", "strict", "media"),
    [
        ([], False, JSON),
        ([""], False, JSON),
        (["*/*"], False, JSON),
        (["application/*"], False, JSON),
        (["application/json"], False, JSON),
        (["APPLICATION/JSON; charset=UTF-8"], False, JSON),
        (["application/graphql-response+json"], False, RESPONSE_JSON),
        (["application/graphql-response+json, application/json;q=0.9"], False, RESPONSE_JSON),
        (["application/json, application/graphql-response+json"], False, RESPONSE_JSON),
        (["application/graphql-response+json;q=0.5, application/json"], False, JSON),
        (["text/html", "application/graphql-response+json"], False, RESPONSE_JSON),
        (["application/graphql-response+json, */*;q=0.1"], False, RESPONSE_JSON),
        (["application/json;q=0, */*"], False, RESPONSE_JSON),
        (["text/html, */*;q=0.8"], False, JSON),
        (["application/graphql-response+json, application/json, text/event-stream"], False, RESPONSE_JSON),
        (["application/json"], True, JSON),
        (["*/*, application/graphql-response+json"], True, RESPONSE_JSON),
    ],
)  # fmt: skip
def test_the_media_type_is_the_one_that_the_client_prefers(accept: list[str], strict: bool, media: str) -> None:
    assert negotiate(accept, strict=strict) == media


@pytest.mark.parametrize(
    ("accept", "strict"),
    [
        (["text/html"], False),
        (["text/event-stream"], False),
        (["application/json;q=0"], False),
        (["application/json;q=nan"], False),
        (["application/json; charset=utf-16"], False),
        ([";;,,q=1"], False),
        ([], True),
        (["*/*"], True),
    ],
)
def test_a_client_that_accepts_no_answer_is_told(accept: list[str], strict: bool) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, strict=strict)


@pytest.mark.parametrize(
    ("media", "draft", "statuses"),
    [
        (JSON, False, {"parse": 200, "validation": 200, "limit": 200, "operation": 200}),
        (RESPONSE_JSON, False, {"parse": 400, "validation": 400, "limit": 400, "operation": 400}),
        (RESPONSE_JSON, True, {"parse": 400, "validation": 422, "limit": 422, "operation": 422}),
    ],
)
async def test_what_is_not_executed_has_the_status_of_its_media_type(
    url: str, media: str, draft: bool, statuses: dict[str, int]
) -> None:
    async with gateway(url, draft_statuses=draft) as client:
        for mistake, document in MISTAKES.items():
            answer = await ask(client, document, media)
            assert answer.status_code == statuses[mistake], mistake
            assert answer.headers["content-type"] == f"{media}; charset=utf-8"
            assert "data" not in answer.json()


@pytest.mark.parametrize(
    ("media", "draft", "status"), [(JSON, False, 200), (RESPONSE_JSON, False, 200), (RESPONSE_JSON, True, 294)]
)
async def test_partial_answers_have_data_and_a_status_of_success(
    url: str, media: str, draft: bool, status: int
) -> None:
    async with gateway(url, draft_statuses=draft) as client:
        answer = await ask(client, '{ __typename batch(id: "nonsense") { id } }', media)
    assert answer.status_code == status
    assert answer.json()["data"] == {"__typename": "Query", "batch": None}
    assert answer.json()["errors"][0]["extensions"] == {"code": "VALIDATION_ERROR"}


async def test_variables_that_do_not_fit_are_refused(url: str) -> None:
    async with gateway(url) as client:
        answer = await ask(client, DELIVERIES, variables={"id": None})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("time", ["yesterday", 5, "2026-05-06T10:00:00", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("profile", ["development", "production"])
async def test_times_that_are_none_are_the_clients_mistake(url: str, time: object, profile: str) -> None:
    document = "query ($time: DateTime!) { batches(filter: {createdAt: {gte: $time}}) { nodes { id } } }"
    async with gateway(url, profile) as client:
        answer = await ask(client, document, variables={"time": time})
    assert (answer.status_code, code(answer)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("profile", ["development", "production"])
async def test_malformed_bodies_are_the_clients_mistake(
    url: str, name: str, profile: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(url, profile) as client:
        answer = await client.post("/graphql", content=MALFORMED[name], headers={"Content-Type": JSON})
    expected = (413, "BODY_LIMIT_EXCEEDED") if name == "closed deep JSON" else (400, "BAD_REQUEST")
    assert (answer.status_code, code(answer)) == expected
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"Content-Type": "text/plain"}, b"{}"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"query=%7B__typename%7D"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
        ({"Content-Type": "application/json; charset=utf-16"}, b"{}"),
        ({"Content-Type": JSON, "Content-Encoding": "gzip"}, gzip.compress(b'{"query":"{__typename}"}', mtime=0)),
    ],
)
async def test_only_plain_json_is_read(url: str, headers: dict[str, str], body: bytes) -> None:
    async with gateway(url) as client:
        answer = await client.post("/graphql", content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_json_may_say_that_it_is_utf_8(url: str, kind: str) -> None:
    async with gateway(url) as client:
        content = '{"query":"{ batch(id: \\"ü🏃\\") { id } }"}'.encode()
        answer = await client.post("/graphql", content=content, headers={"Content-Type": kind})
    assert answer.json()["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("announced", [True, False])
async def test_bodies_are_read_only_as_far_as_they_may_be_long(url: str, announced: bool) -> None:
    read = 0

    async def pieces() -> Any:
        nonlocal read
        for _ in range(100):
            read += 100
            yield b" " * 100

    headers = {"Content-Type": JSON, **({"Content-Length": "10000"} if announced else {})}
    async with gateway(url, max_body_bytes=1000) as client:
        answer = await client.post("/graphql", content=pieces(), headers=headers)
    assert (answer.status_code, code(answer)) == (413, "BODY_LIMIT_EXCEEDED")
    assert answer.json()["errors"][0]["extensions"]["limit"] == 1000
    assert read <= 1100


async def test_get_asks_queries(url: str) -> None:
    parameters = {"query": DELIVERIES, "variables": json.dumps({"id": BATCH}), "operationName": "", "cachebuster": "1"}
    async with gateway(url) as client:
        answer = await client.get("/graphql", params=parameters)
    assert answer.status_code == 200
    assert len(answer.json()["data"]["batch"]["callbackDeliveries"]) == 2


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "query=",
        "query=%7B__typename%7D&query=%7B__typename%7D",
        "query=%7B__typename%7D&variables=%5B1%5D",
        "query=%7B__typename%7D&variables=nonsense",
        "query=%7B__typename%7D&variables=NaN",
        "query=%7B__typename%7D&extensions=5",
        "query=%FF%FE",
        "&".join(f"a{n}=1" for n in range(200)),
    ],
)
async def test_malformed_parameters_are_the_clients_mistake(url: str, query_string: str) -> None:
    async with gateway(url) as client:
        answer = await client.get(f"/graphql?{query_string}")
    assert (answer.status_code, code(answer)) == (400, "BAD_REQUEST")


async def test_get_never_changes_anything(url: str) -> None:
    async with gateway(url) as client:
        answer = await client.get("/graphql", params={"query": "mutation { anything }"})
    assert (answer.status_code, code(answer)) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"])
async def test_other_methods_are_refused(url: str, method: str) -> None:
    async with gateway(url, key=None) as client:
        answer = await client.request(method, "/graphql")
    assert (answer.status_code, code(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "*/*"}, 406),
        ({"Accept": JSON}, 200),
        ({"Accept": "*/*", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Accept": "*/*", "Sec-Fetch-Mode": "navigate"}, 406),
    ],
)
async def test_production_answers_get_only_to_programs(url: str, headers: dict[str, str], status: int) -> None:
    async with gateway(url, "production") as client:
        answer = await client.get("/graphql", params={"query": TYPENAME}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_document_is_sent_once_and_then_asked_for_by_its_hash(url: str, method: str) -> None:
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(DELIVERIES.encode()).hexdigest()}}

    async def send(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
        body = {**body, "extensions": persisted, "variables": {"id": BATCH}}
        if method == "POST":
            return await client.post("/graphql", json=body)
        parameters = {key: value if key == "query" else json.dumps(value) for key, value in body.items()}
        return await client.get("/graphql", params=parameters)

    async with gateway(url) as client:
        unknown = await send(client)
        assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
        assert (unknown.status_code, code(unknown)) == (200, "PERSISTED_QUERY_NOT_FOUND")
        assert code(await send(client, query=TYPENAME)) == "PERSISTED_QUERY_HASH_MISMATCH"
        assert "data" in (await send(client, query=DELIVERIES)).json()
        assert "data" in (await send(client)).json()


@pytest.mark.parametrize("name", ["documentId", "doc_id"])
async def test_only_trusted_documents_are_run(url: str, tmp_path: Path, name: str) -> None:
    manifest = tmp_path / "persisted.json"
    manifest.write_text(json.dumps({"typename-1": TYPENAME}))
    async with gateway(url, trusted_documents=manifest, trusted_documents_only=True) as client:
        trusted = await client.post("/graphql", json={name: "typename-1"})
        assert trusted.json() == {"data": {"__typename": "Query"}}
        assert (await ask(client, TYPENAME)).json() == {"data": {"__typename": "Query"}}
        assert code(await ask(client, "{ other: __typename }")) == "DOCUMENT_NOT_TRUSTED"


async def test_production_wants_a_credential_before_anything_else(url: str) -> None:
    async with gateway(url, "production", key=None) as client:
        answer = await client.post("/graphql", content=b"nonsense")
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("authorization", ["Bearer unknown", "Bearer", "Basic eDp5", "", f"Bearer {KEY}x"])
async def test_a_credential_that_is_sent_must_be_good(url: str, authorization: str) -> None:
    async with gateway(url, key=None) as client:
        answer = await client.get("/graphql", params={"query": TYPENAME}, headers={"Authorization": authorization})
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")


async def test_development_shows_the_schema_but_no_rows_to_strangers(url: str) -> None:
    async with gateway(url, key=None) as client:
        assert (await ask(client, "{ __schema { queryType { name } } }")).json()["data"]
        answer = await ask(client, DELIVERIES, variables={"id": BATCH})
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    assert "data" not in answer.json()


async def test_reading_needs_its_scope(url: str) -> None:
    async with gateway(url, key=f"{KEY}_nothing") as client:
        answer = await ask(client, TYPENAME)
    assert (answer.status_code, code(answer)) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("profile", "key", "header", "shown"),
    [
        ("development", KEY, "1", True),
        ("development", KEY, "0", False),
        ("production", KEY, "1", False),
        ("production", f"{KEY}_cost", "1", True),
    ],
)
async def test_the_cost_is_told_on_request(url: str, profile: str, key: str, header: str, shown: bool) -> None:
    headers = {"X-GraphQL-Cost": header, "Accept": JSON}
    async with gateway(url, profile, key, max_cost=500) as client:
        body = {"query": DELIVERIES, "variables": {"id": BATCH}}
        answer = (await client.post("/graphql", json=body, headers=headers)).json()
    assert answer.get("extensions") == ({"cost": {"actual": 101, "limit": 500}} if shown else None)


async def test_what_costs_too_much_is_not_executed(url: str) -> None:
    async with gateway(url, max_cost=100) as client:
        answer = await ask(client, DELIVERIES, variables={"id": BATCH})
    assert code(answer) == "COST_LIMIT_EXCEEDED"
    assert answer.json()["errors"][0]["extensions"] == {"code": "COST_LIMIT_EXCEEDED", "limit": 100, "actual": 101}


def ruin(url: str) -> None:
    """Make the file of the database none."""
    Path(url.removeprefix("sqlite+aiosqlite:///")).write_bytes(b"no database at all")


async def test_unexpected_failures_tell_nothing_but_a_request_id(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(url) as client:
        ruin(url)
        answer = await client.post("/graphql", json={"query": TYPENAME}, headers={"X-Request-Id": "request-7"})
    assert (answer.status_code, code(answer)) == (500, "INTERNAL_ERROR")
    assert answer.json()["errors"][0]["extensions"]["requestId"] == "request-7"
    assert "database" not in answer.text
    assert "request-7" in caplog.text


@pytest.mark.parametrize(("brought", "kept"), [("abc-1.2:3", True), ("", False), ("a b", False), ("x" * 129, False)])
async def test_requests_have_an_id(url: str, brought: str, kept: bool) -> None:
    async with gateway(url) as client:
        answer = await client.get("/healthz", headers={"X-Request-Id": brought})
    assert (answer.headers["x-request-id"] == brought) is kept
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/graphql?query={__typename}", "/healthz", "/nothing", "/v1/batches/x/callback"])
async def test_every_answer_has_the_security_headers(url: str, path: str) -> None:
    async with gateway(url) as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "cross_site"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://app.example"}, False),
        ({"origin": "https://gateway"}, False),
        ({"origin": "https://GATEWAY"}, False),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "https://app.example"}, False),
        ({"origin": "https://app.example.evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://[broken"}, True),
    ],
)
def test_browsers_tell_which_site_asks(headers: dict[str, str], cross_site: bool) -> None:
    assert is_cross_site(Headers({"host": "gateway", **headers}), {"https://app.example"}) is cross_site
    assert is_cross_site(Headers({"host": "gateway", "origin": "https://any.example"}), {"*"}) is False


@pytest.mark.parametrize("profile", ["development", "production"])
async def test_other_sites_cannot_post(url: str, profile: str) -> None:
    async with gateway(url, profile, trusted_origins=("https://app.example",)) as client:
        for origin, status in (("https://evil.example", 403), ("https://app.example", 200)):
            headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            answer = await client.post("/graphql", json={"query": TYPENAME}, headers=headers)
            assert answer.status_code == status
        assert (
            await client.get("/graphql", params={"query": TYPENAME}, headers={**headers, "Accept": JSON})
        ).is_success


async def test_scripts_of_other_origins_read_only_where_a_setting_lets_them(url: str) -> None:
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, last-event-id",
    }
    async with gateway(url) as client:
        assert "access-control-allow-origin" not in (await client.options("/graphql", headers=preflight)).headers
    async with gateway(url, cors_origins=("https://app.example",)) as client:
        allowed = await client.options("/graphql", headers=preflight)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        answer = await client.post("/graphql", json={"query": TYPENAME}, headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


def test_credentials_are_let_through_at_their_rate() -> None:
    now = 0.0
    limiter = RateLimiter(HttpSettings(rate_limit=2, rate_limit_burst=3), clock=lambda: now)
    for _ in range(3):
        limiter.admit("a")
    limiter.admit("b")
    with pytest.raises(RateLimited) as refused:
        limiter.admit("a")
    assert refused.value.extensions == {"code": "RATE_LIMITED", "retryAfter": 1}
    now = 0.5
    limiter.admit("a")
    limiter.charge("a", 10)
    with pytest.raises(RateLimited) as refused:
        limiter.admit("a")
    assert refused.value.retry_after == 6


def test_no_rate_is_no_limit_and_idle_credentials_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    free = RateLimiter(HttpSettings(rate_limit=0, rate_limit_burst=1))
    for _ in range(100):
        free.admit("a")
        free.charge("a", 100)
    monkeypatch.setattr("gateway.http.rate_limit.BUCKETS_REMEMBERED", 10)
    now = 0.0
    limiter = RateLimiter(HttpSettings(rate_limit=1, rate_limit_burst=1), clock=lambda: now)
    for number in range(100):
        now += 1
        limiter.admit(str(number))
    assert len(limiter._buckets) <= 11


async def test_too_many_requests_are_told_when_to_come_back(url: str) -> None:
    async with gateway(url, "production", rate_limit=0.001, rate_limit_burst=1) as client:
        await ask(client, TYPENAME)
        answer = await ask(client, TYPENAME)
    assert (answer.status_code, code(answer)) == (429, "RATE_LIMITED")
    assert int(answer.headers["retry-after"]) == answer.json()["errors"][0]["extensions"]["retryAfter"]


@pytest.mark.parametrize(
    "unsafe",
    [
        {"cors_origins": ("*",), "cors_credentials": True},
        {"trusted_origins": ("*",)},
        {"trusted_documents_only": True},
        {"trusted_documents": Path("missing.json")},
    ],
)
def test_production_does_not_start_with_unsafe_settings(unsafe: dict[str, Any]) -> None:
    with pytest.raises(OperatorError):
        create_app(settings("sqlite+aiosqlite:///unopened.db", "production", **unsafe))


async def test_production_does_not_start_where_everybody_knows_a_key(url: str) -> None:
    database = Database(url)
    await create_key(database, OURS, "demo", [], "demo")
    await database.close()
    with pytest.raises(UnsafeSettings, match="demo"):
        async with gateway(url, "production"):
            pass
    async with gateway(url, "development"):
        pass


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"a": 2**63 - 1}, '{"a":9223372036854775807}'),
        ({"a": "ü🏃\u2028"}, '{"a":"ü🏃\u2028"}'),
        ({"a": "\ud800"}, '{"a":"\\ud800"}'),
        ({"a": [float("inf"), float("nan"), 1.5]}, '{"a":[null,null,1.5]}'),
    ],
)
def test_answers_are_json_whatever_is_in_them(body: dict[str, Any], text: str) -> None:
    assert bytes(encode(body, 200, JSON).body).decode() == text


@pytest.mark.parametrize(("profile", "kind"), [("development", "text/html"), ("production", JSON)])
async def test_a_page_goes_to_whoever_looks_with_a_browser(url: str, profile: str, kind: str) -> None:
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
    async with gateway(url, profile, key=None) as client:
        answer = await client.get("/graphql", headers=headers)
    assert answer.headers["content-type"].startswith(kind)


async def test_clients_that_hang_up_leave_nothing_behind(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(settings(url))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> NoReturn:
        raise AssertionError("Nobody listens any more.")

    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers, "app": app}
    async with app.router.lifespan_context(app):
        await app({**scope, "root_path": "", "client": None, "http_version": "1.1"}, receive, send)
    assert not caplog.records


def test_the_gateway_answers_on_a_real_socket(url: str) -> None:
    with serving(create_app(settings(url))) as address, httpx.Client(base_url=address) as client:
        answer = client.post("/graphql", json={"query": TYPENAME})
        large = client.post("/graphql", content=b" " * 10_000_000, headers={"Content-Type": JSON})
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert large.status_code == 413
