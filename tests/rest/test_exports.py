"""Exports: the pages of a list joined, whole or known not to be, for those who may, and no more than may be."""

import asyncio
import csv
import gzip
import io
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.errors import RateLimited
from gateway.execution import exports
from gateway.rest.downloads import Downloads, Throttle, takes_gzip
from gateway.settings import LinkSettings
from gateway.viewer import READ, READ_SECRETS
from tests.support.acting import acting
from tests.support.rows import THEIRS, attempt, batch, delivery, history, store

pytestmark = pytest.mark.anyio

FIELDS = {
    "callback-deliveries": [
        "cursor",
        "id",
        "batchId",
        "statusCode",
        "isAutomatic",
        "createdAt",
        "callbackUrl",
        "inFlight",
    ],
    "callback-attempts": ["id", "cursor", "attemptNumber", "createdAt", "responseBody", "errorMessage", "statusCode"],
    "batches": ["id", "cursor", "statusCode", "metadata", "createdAt", "cost"],
}
LIST_FIELDS = exports.EXPORTED_LISTS


def address(name: str, form: str, **parameters: Any) -> str:
    """The address of an export, its parameters as JSON but for those that are text."""
    given = {key: value if key in {"after", "link"} else json.dumps(value) for key, value in parameters.items()}
    return f"/exports/{name}.{form}?" + "&".join(f"{key}={quote(value)}" for key, value in given.items())


async def pages(client: httpx.AsyncClient, name: str, variables: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The rows of a list as GraphQL's pages have them, each with its cursor in its place."""
    field = LIST_FIELDS[name]
    selected = " ".join(each for each in FIELDS[name] if each != "cursor")
    query = f"""query ($filter: {kind}Filter, $orderBy: {kind}Order, $after: String) {{
      {field}(filter: $filter, orderBy: $orderBy, first: 7, after: $after) {{
        edges {{ cursor node {{ {selected} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        asked = {"query": query, "variables": {**variables, "after": after}}
        answer = (await client.post("/graphql", json=asked)).json()
        assert "errors" not in answer, answer
        page = answer["data"][field]
        for edge in page["edges"]:
            row = {**edge["node"], "cursor": edge["cursor"]}
            found.append({name_: row[name_] for name_ in FIELDS[name]})
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


def as_line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


async def furnish(database: Database) -> None:
    """Ours with secrets, odd texts and nulls; theirs, of which nobody may see anything."""
    rows = history(11, deliveries=2, attempts=2)
    theirs = [batch(900, THEIRS)]
    rows[batches] += theirs
    rows[deliveries] += [delivery(theirs[0], 9000, callback_url="https://theirs.example")]
    rows[attempts] += [attempt(rows[deliveries][-1], 1)]
    for number, of in enumerate(rows[deliveries]):
        of["status_code"] = "failed" if number % 3 else "delivered"
        of["callback_url"] = None if number % 5 == 0 else "https://hooks.example/in?token=hidden"
        of["is_automatic"] = None if number % 7 == 0 else bool(number % 2)
    for number, tried in enumerate(rows[attempts]):
        tried["response_body"] = ["=1+1", 'say "hi", é\r\n提灯', "", None][number % 4]
        tried["error_message"] = ["@SUM(A1)", "-1", "plain", "token=sk_live_4f9a8c7b6d5e4f3a2b1c"][number % 4]
    await store(database, rows)


@pytest.mark.parametrize(
    ("name", "kind", "filter_", "order"),
    [
        ("callback-deliveries", "CallbackDelivery", None, None),
        ("callback-deliveries", "CallbackDelivery", {"statusCode": {"in": ["failed"]}}, ("COMPLETED_AT", "ASC")),
        ("callback-attempts", "CallbackAttempt", {"attemptNumber": {"gte": 1}}, ("RESPONSE_TIME_MS", "DESC")),
        ("batches", "Batch", {"createdAt": {"gte": "2026-05-06T10:03:00Z"}}, ("CREATED_AT", "ASC")),
    ],
)
async def test_an_export_is_the_pages_of_the_list_joined(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: str,
    filter_: Any,
    order: tuple[str, str] | None,
) -> None:
    await furnish(database)
    for size in ("ROWS_IN_STATEMENT", "WIDE_PAGE"):
        monkeypatch.setattr(exports, size, 4)
    variables = {"filter": filter_} | (
        {"orderBy": dict(zip(("field", "direction"), order, strict=True))} if order else {}
    )
    variables = {key: value for key, value in variables.items() if value is not None}
    async with acting(database, database_url, None, (READ,)) as client:
        wanted = await pages(client, name, variables, kind)
        lines = await client.get(address(name, "ndjson", fields=FIELDS[name], **variables))
        table = await client.get(address(name, "csv", fields=FIELDS[name], **variables))
    assert lines.status_code == table.status_code == 200
    assert wanted
    end = {"end": {"rows": len(wanted), "cursor": wanted[-1]["cursor"]}}
    assert lines.content == b"".join(map(as_line, [*wanted, end]))
    head, *records, last = csv.reader(io.StringIO(table.content.decode(), newline=""), strict=True)
    assert head == FIELDS[name]
    assert records == [[as_cell(value) for value in row.values()] for row in wanted]
    assert last == [f"end of export: {len(wanted)} rows", *[""] * (len(head) - 1)]
    assert table.content.endswith(b"\r\n")
    assert b"theirs.example" not in lines.content + table.content


def as_cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"'{value}" if isinstance(value, str) and value[:1] in {*"=+-@\t\r"} - {""} and value else str(value)


async def test_secrets_are_masked_for_who_may_not_see_them(database: Database, database_url: str) -> None:
    await furnish(database)
    asked = address("callback-deliveries", "ndjson", fields=["callbackUrl"])
    told = address("callback-attempts", "csv", fields=["errorMessage"])
    async with acting(database, database_url, None, (READ,)) as client:
        masked = (await client.get(asked)).text + (await client.get(told)).text
    async with acting(database, database_url, None, (READ, READ_SECRETS)) as client:
        plain = (await client.get(asked)).text + (await client.get(told)).text
    assert "[masked]" in masked
    assert "hidden" not in masked
    assert "sk_live_4f9a8c7b6d5e4f3a2b1c" not in masked
    assert "token=hidden" in plain
    assert "sk_live_4f9a8c7b6d5e4f3a2b1c" in plain


async def test_it_goes_on_after_any_row(database: Database, database_url: str) -> None:
    await furnish(database)
    async with acting(database, database_url, None, (READ,)) as client:
        whole = (await client.get(address("callback-deliveries", "ndjson", fields=["id", "cursor"]))).text.splitlines()
        table = (await client.get(address("callback-deliveries", "csv", fields=["id", "cursor"]))).text.split("\r\n")
        for place in (0, 9, len(whole) - 2):
            after = json.loads(whole[place])["cursor"]
            rest = await client.get(address("callback-deliveries", "ndjson", fields=["id", "cursor"], after=after))
            assert rest.text.splitlines()[:-1] == whole[place + 1 : -1]
            assert json.loads(rest.text.splitlines()[-1])["end"]["rows"] == len(whole) - place - 2
            more = await client.get(address("callback-deliveries", "csv", fields=["id", "cursor"], after=after))
            assert more.text.split("\r\n")[:-2] == table[place + 2 : -2]


async def test_gzip_where_it_is_asked_for(database: Database, database_url: str) -> None:
    await furnish(database)
    asked = address("callback-attempts", "csv")
    async with acting(database, database_url, None, (READ,)) as client:
        plain = await client.get(asked, headers={"Accept-Encoding": "identity"})
        async with client.stream("GET", asked, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as zipped:
            raw = b"".join([piece async for piece in zipped.aiter_raw()])
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert plain.headers["content-disposition"].startswith('attachment; filename="callback-attempts-')


@pytest.mark.parametrize(
    ("accept", "takes"),
    [("gzip", True), ("", False), ("br", False), ("gzip;q=0", False), ("gzip; q=0.0", False), ("br, GZIP;q=0.1", True)],
)
def test_who_asks_for_gzip(accept: str, takes: bool) -> None:
    assert takes_gzip(accept) is takes


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"fields": ["nonsense"]}, 422, "VALIDATION_ERROR"),
        ({"fields": ["failure"]}, 422, "VALIDATION_ERROR"),
        ({"fields": ["id", "id"]}, 422, "VALIDATION_ERROR"),
        ({"fields": []}, 422, "VALIDATION_ERROR"),
        ({"fields": "id"}, 422, "VALIDATION_ERROR"),
        ({"filter": {"nonsense": 1}}, 422, "VALIDATION_ERROR"),
        ({"filter": {"createdAt": {"gte": "yesterday"}}}, 422, "VALIDATION_ERROR"),
        ({"filter": {"id": {"eq": "x"}}}, 422, "VALIDATION_ERROR"),
        ({"orderBy": {"field": "NONSENSE", "direction": "ASC"}}, 422, "VALIDATION_ERROR"),
        ({"filter": {"callbackUrl": {"startsWith": "https://hooks.example/in?t"}}}, 403, "PERMISSION_DENIED"),
        ({"after": "nonsense"}, 400, "BAD_CURSOR"),
        ({"link": "nonsense"}, 400, "BAD_TOKEN"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_sent(
    database: Database, database_url: str, parameters: dict[str, Any], status: int, code: str
) -> None:
    async with acting(database, database_url, None, (READ,)) as client:
        answer = await client.get(address("callback-deliveries", "csv", **parameters))
        broken = await client.get("/exports/callback-deliveries.csv?filter={")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (broken.status_code, broken.json()["errors"][0]["loc"]) == (422, ["query", "filter"])
    assert broken.json()["message"] == 'filter is not JSON, such as {"statusCode": {"eq": "failed"}}.'


async def test_who_may_not_read_exports_nothing(database: Database, database_url: str) -> None:
    async with acting(database, database_url, None, ()) as client:
        unable = await client.get(address("batches", "csv"))
        stranger = await client.get(address("batches", "csv"), headers={"Authorization": "Bearer nobody"})
    assert (unable.status_code, stranger.status_code) == (403, 401)


async def test_a_link_opens_what_its_viewer_sees_without_a_credential(database: Database, database_url: str) -> None:
    await furnish(database)
    filter_ = {
        "statusCode": {"in": ["failed"]},
        "createdAt": {"gte": "2026-05-06T10:02:00Z"},
        "attempts": {"some": {"attemptNumber": {"gte": 2}}},
    }
    order = {"field": "COMPLETED_AT", "direction": "DESC"}
    query = """query ($filter: CallbackDeliveryFilter, $orderBy: CallbackDeliveryOrder) {
      callbackDeliveries(filter: $filter, orderBy: $orderBy) {
        exportLink(format: NDJSON, fields: ["id", "callbackUrl", "cursor"]) { url expiresAt } } }"""
    async with acting(database, database_url, None, (READ,)) as client:
        asked = {"query": query, "variables": {"filter": filter_, "orderBy": order}}
        link = (await client.post("/graphql", json=asked)).json()["data"]["callbackDeliveries"]["exportLink"]
        key = client.headers.pop("authorization").removeprefix("Bearer ")
        linked = await client.get(link["url"])
        elsewhere = await client.get(link["url"].replace("callback-deliveries", "batches"))
        forged = await client.get(link["url"][:-2])
        client.headers["authorization"] = f"Bearer {key}"
        own = await client.get(
            address(
                "callback-deliveries", "ndjson", filter=filter_, orderBy=order, fields=["id", "callbackUrl", "cursor"]
            )
        )
    assert key not in link["url"]
    assert linked.status_code == 200
    assert linked.content == own.content
    assert linked.content.count(b"\n") > 2
    assert b"hidden" not in linked.content
    assert [answer.json()["code"] for answer in (elsewhere, forged)] == ["BAD_TOKEN", "BAD_TOKEN"]


async def test_a_link_is_good_for_a_while(database: Database, database_url: str) -> None:
    query = "{ batches { exportLink { url } } }"
    async with acting(database, database_url, None, (READ,), export_link_seconds=1e-6) as client:
        link = (await client.post("/graphql", json={"query": query})).json()["data"]["batches"]["exportLink"]["url"]
        late = await client.get(link)
    assert late.json() == {"code": "BAD_TOKEN", "message": "The token is too old: ask for a new one.", "errors": None}


def test_so_many_at_a_time_for_each_credential_and_in_all() -> None:
    downloads = Downloads(LinkSettings(exports_at_once=3, exports_per_credential=2))
    ends = [downloads.begin("a"), downloads.begin("a")]
    for credential in ("a", "a"):
        with pytest.raises(RateLimited) as refused:
            downloads.begin(credential)
        assert refused.value.code == "RATE_LIMITED"
    ends.append(downloads.begin("b"))
    with pytest.raises(RateLimited):
        downloads.begin("c")
    for end in ends:
        end()
    assert downloads.under_way == 0


async def test_one_too_many_is_429_and_its_place_is_free_again(database: Database, database_url: str) -> None:
    await furnish(database)
    async with acting(database, database_url, None, (READ,), exports_per_credential=1) as client:
        wrong = await client.get(address("batches", "csv", fields=["no"]))
        for _ in range(3):
            assert (await client.get(address("batches", "csv"))).status_code == 200
        metrics = (await client.get("/metrics")).text
    assert wrong.status_code == 422
    assert 'gateway_exports_total{format="csv",list="batches",outcome="complete"} 3.0' in metrics
    assert "gateway_export_rows_total 33.0" in metrics
    assert "gateway_exports_under_way 0.0" in metrics


async def test_a_failure_in_the_middle_is_no_end(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(database)
    monkeypatch.setattr(exports, "ROWS_IN_STATEMENT", 4)
    written = exports.Export._written

    def failing(self: exports.Export, objects: Any) -> bytes:
        if self.rows >= 8:
            raise RuntimeError("the disk is on fire")
        return written(self, objects)

    monkeypatch.setattr(exports.Export, "_written", failing)
    got = b""
    async with acting(database, database_url, None, (READ,)) as client:
        with pytest.raises(RuntimeError):
            async with client.stream("GET", address("callback-deliveries", "ndjson", fields=["id"])) as answer:
                got = b"".join([piece async for piece in answer.aiter_raw()])
        metrics = (await client.get("/metrics")).text
    assert b'"end"' not in got
    assert 'outcome="broken"} 1.0' in metrics


async def test_odd_values_are_null_and_the_rest_is_there(sqlite_template: Any, tmp_path: Any) -> None:
    path = tmp_path / "odd.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite+aiosqlite:///{path}"
    database = Database(url)
    await store(database, history(2, deliveries=1, attempts=1))
    async with database.transaction() as connection:
        await connection.execute(update(attempts).values(response_time_ms=2**40, status_code=200))
    async with acting(database, url, None, (READ,)) as client:
        answer = await client.get(
            address("callback-attempts", "ndjson", fields=["statusCode", "responseTimeMs", "attemptNumber"])
        )
    await database.close()
    row = {"statusCode": 200, "responseTimeMs": None, "attemptNumber": 1}
    assert [json.loads(line) for line in answer.text.splitlines()[:-1]] == [row, row]


async def test_others_go_first_where_there_are_any() -> None:
    throttle, turns = Throttle(), []

    async def other() -> None:
        until = asyncio.get_running_loop().time() + 0.05
        while asyncio.get_running_loop().time() < until:
            busy = asyncio.get_running_loop().time() + 0.001
            while asyncio.get_running_loop().time() < busy:
                pass
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await throttle.pause(0.005)
    seen = len(turns)
    await task
    assert seen > 3
