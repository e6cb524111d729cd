"""The deliveries page without a browser: when it is served, what it may do, what its documents cost."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import page
from gateway.app import create_app
from gateway.database.engine import Database
from gateway.execution.documents import Documents
from gateway.execution.run import GraphQLRequest, run
from gateway.schema.context import Context
from gateway.schema.query import schema
from gateway.settings import DocumentSettings, Profile, Settings
from gateway.viewer import READ, Viewer
from tests.support.asking import NOW, statements
from tests.support.edge import furnished
from tests.support.rows import OURS, START, history, identifier, replace

MANIFEST = {"script": "page-AAAAAAAA.js", "style": "page-BBBBBBBB.css", "preload": []}
DELIVERY = identifier(0xDE, 0)
WHEN = {"createdAt": {"gte": START.isoformat(), "lt": (START + timedelta(days=3)).isoformat()}}
EVENTS = ("succeeded", "failed", "cancelled", "partial")
FIRST_VIEW: dict[str, Any] = {
    "filter": WHEN,
    "first": 100,
    "bucket": "HOUR",
    "timeZone": "Europe/Berlin",
    **{event: {**WHEN, "event": {"in": [f"batch.{event}"]}} for event in EVENTS},
    "automatic": {**WHEN, "isAutomatic": True},
    "byHand": {**WHEN, "isAutomatic": False},
}
FACETS = ("Status", "Reason", "Host", "Http")
NONE_CHOSEN = {f"has{facet}": False for facet in FACETS}
ALL_CHOSEN = {f"has{facet}": True for facet in FACETS} | {
    f"any{facet}": {**WHEN, "callbackHost": {"in": [facet]}} for facet in FACETS
}
VARIABLES: dict[str, dict[str, Any]] = {
    "Deliveries": FIRST_VIEW | NONE_CHOSEN,
    "MoreDeliveries": {"filter": WHEN, "first": 100, "after": None},
    "Delivery": {"id": DELIVERY, "maxBytes": 4096},
    "WholePayload": {"id": DELIVERY},
    "WholeResponse": {"id": identifier(0xA7, 1)},
    "Find": {"id": DELIVERY},
    "FindByMetadata": {"path": ["customer", "tier"], "eq": "gold"},
}
IDS = [*VARIABLES, "Deliveries-filtered"]
COUNTED = [*VARIABLES.items(), ("Deliveries", FIRST_VIEW | ALL_CHOSEN)]
# No plan is made for what is done once, nor for what goes on; a link is signed for one viewer.
ORDINARY = {"Export", "Redeliver", "RedeliverMany", "LiveDeliveries", "LiveDelivery"}


def text(name: str) -> str:
    return (page.DOCUMENTS / f"{name}.graphql").read_text(encoding="utf-8")


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "page-AAAAAAAA.js").write_text("1")
    monkeypatch.setattr(page, "DIST", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return furnished(sqlite_template, tmp_path_factory.mktemp("page"))


@asynccontextmanager
async def served(url: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(database_url=url, access_log=False, **settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        yield client


@pytest.mark.usefixtures("dist")
async def test_browsers_find_the_page_at_the_root_in_development_and_where_a_setting_says_so(url: str) -> None:
    for settings in ({"profile": Profile.DEVELOPMENT}, {"page": True}):
        async with served(url, **settings) as client:
            answer = await client.get("/", headers={"Accept": "text/html"})
            assert (answer.status_code, "/page/page-AAAAAAAA.js" in answer.text) == (200, True)
            assert (await client.get("/page/page-AAAAAAAA.js")).headers["cache-control"].endswith("immutable")
            told = json.loads(re.findall(r'id="page-config">(.*?)</script>', answer.text)[0])
            assert told == {
                "endpoint": "/graphql",
                "explorer": "/graphql" if "profile" in settings else None,
                "apiKey": "",
                "redeliveryScope": None,
            }
    hidden: tuple[dict[str, Any], ...] = ({}, {"profile": Profile.DEVELOPMENT, "page": False})
    for without in hidden:
        async with served(url, **without) as client:
            assert (await client.get("/", headers={"Accept": "text/html"})).status_code == 404
            assert (await client.get("/page/page-AAAAAAAA.js")).status_code == 404


@pytest.mark.usefixtures("dist")
def test_the_page_has_no_inline_script_or_style_and_may_ask_nobody_else() -> None:
    answer = page.page_html(page.PageConfig(api_key="</script><script>alert(1)//"))
    policy = answer.headers["content-security-policy"]
    html = bytes(answer.body).decode()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "<script>alert" not in html
    assert re.findall(r"<script(?! type=\"application/json\")[^>]*>[^<]|<style|\sstyle=|\son\w+=", html) == []
    assert re.findall(r"https?://[^w]", html) == []  # but for the icon's namespace, which nobody asks


async def test_without_a_bundle_the_page_says_what_to_do(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "DIST", tmp_path / "missing")
    async with served(url, page=True) as client:
        assert "was not bundled" in (await client.get("/")).text


async def test_its_documents_are_trusted_by_themselves_and_no_others(url: str, tmp_path: Path) -> None:
    manifest = tmp_path / "persisted.json"
    manifest.write_text("{}")
    settings = {"trusted_documents": manifest, "trusted_documents_only": True}

    async def codes(client: httpx.AsyncClient, body: dict[str, Any]) -> list[str]:
        answer = await client.post("/graphql", json=body, headers={"Authorization": "Bearer wrong-key"})
        return [error["extensions"]["code"] for error in answer.json()["errors"]]

    async with served(url, page=True, **settings) as client:
        assert await codes(client, {"documentId": "0" * 64}) == ["UNAUTHORIZED"]
    for shown, expected in ((True, None), (False, "DOCUMENT_NOT_TRUSTED")):
        trusted = page.documents() if shown else {}
        documents = Documents(schema._schema, DocumentSettings(trusted_documents_only=True), trusted)
        for name in (*VARIABLES, *ORDINARY):
            hash_ = hashlib.sha256(text(name).encode()).hexdigest()
            assert refusal(documents, hash_) == expected
        assert refusal(documents, "0" * 64) == "DOCUMENT_NOT_TRUSTED"


def refusal(documents: Documents, hash_: str) -> str | None:
    """Why a document that is asked for by its hash does not run."""
    try:
        found = documents.find(None, hash_)
    except Exception as error:  # noqa: BLE001 - whatever it is, it has a code
        return str(getattr(error, "code", error))
    return found.errors[0]["extensions"]["code"] if found.errors else None


def test_every_document_is_counted_below() -> None:
    assert {path.stem for path in page.DOCUMENTS.glob("*.graphql")} == {*VARIABLES, *ORDINARY}


@pytest.mark.parametrize(("name", "variables"), COUNTED, ids=IDS)
async def test_a_document_is_planned_at_a_constant_number_of_statements(
    database: Database, name: str, variables: dict[str, Any]
) -> None:
    documents = Documents(schema._schema)
    counts = []
    for count in (1, 10, 100):
        await replace(database, history(count))
        with statements(database) as seen:
            context = Context.of(Viewer(OURS, frozenset({READ}), "test"), database, NOW)
            answer = await run(GraphQLRequest(text(name), variables), documents, context)
        assert "errors" not in answer.body, answer.body
        assert answer.planned
        counts.append(len(seen))
    assert counts == counts[:1] * 3


async def test_the_first_view_is_sixteen_statements_and_one_more_for_each_facet_that_is_filtered_by(
    database: Database,
) -> None:
    await replace(database, history(3))
    documents, counted = Documents(schema._schema), []
    for variables in (FIRST_VIEW | NONE_CHOSEN, FIRST_VIEW | ALL_CHOSEN):
        with statements(database) as seen:
            context = Context.of(Viewer(OURS, frozenset({READ}), "test"), database, NOW)
            await run(GraphQLRequest(text("Deliveries"), variables), documents, context)
        counted.append(len(seen))
    assert counted == [16, 16 + len(FACETS)]
