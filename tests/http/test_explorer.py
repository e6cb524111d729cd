"""The explorer in a real browser: every host but the gateway's is blocked, and a console error fails the test."""

import asyncio
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.http.explorer import explorer_is_bundled
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.browser import launched
from tests.support.machine import lacking
from tests.support.rows import OURS, history, store
from tests.support.serving import serving

ORGANIZATION = "aaaaaaaa-0000-4000-8000-000000000001"
REFUSED = re.compile(r"Failed to load resource: .* 401")  # The browser's own line for an answer that the page expects.


@pytest.fixture(scope="module")
def path(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database's file."""
    return Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("explorer") / "gateway.db"))


@pytest.fixture(scope="module")
def gateway(path: Path) -> Iterator[tuple[str, str]]:
    """The address of the explorer of a gateway with a few rows, and a key for it."""
    if not explorer_is_bundled():
        lacking("the explorer's bundle is not there: install this package again where npm's registry answers")
    url = f"sqlite+aiosqlite:///{path}"
    key = asyncio.run(_filled(url))
    settings = Settings(database_url=url, profile=Profile.DEVELOPMENT, watch_seconds=0.1)
    with serving(create_app(settings)) as address:
        yield f"{address}/graphql", key


async def _filled(url: str) -> str:
    database = Database(url)
    await store(database, history(3))
    key = await create_key(database, OURS, "explorer", [READ])
    await database.close()
    return key


@pytest.fixture(scope="module")
def url(gateway: tuple[str, str]) -> str:
    return gateway[0]


@pytest.fixture(scope="module")
def key(gateway: tuple[str, str]) -> str:
    return gateway[1]


@pytest.fixture(scope="module")
def browser(url: str, pytestconfig: pytest.Config) -> Iterator[Browser]:
    assert url  # Playwright's loop must come second
    with launched(pytestconfig) as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    host, foreign = urlsplit(url).netloc, []

    def guard(route: Route) -> None:
        if urlsplit(route.request.url).netloc == host:
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.route(re.compile("^(?!data:)"), guard)
    yield context
    context.close()
    assert foreign == []


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    page, complaints = context.new_page(), []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    expect(query_editor(page)).to_contain_text("query")
    yield page
    assert [line for line in complaints if not REFUSED.match(line)] == []


@pytest.fixture
def signed_in(page: Page, key: str) -> Page:
    enter_key(page, key)
    return page


def query_editor(page: Page) -> Locator:
    return page.locator(".graphiql-query-editor .view-lines")


def variables_editor(page: Page) -> Locator:
    return page.get_by_label("Variables").locator(".view-lines").first


def answer(page: Page) -> Locator:
    return page.locator(".graphiql-response .view-lines")


def tabs(page: Page) -> Locator:
    return page.get_by_label("Select active operation").get_by_role("tab")


def enter_key(page: Page, key: str) -> None:
    field = page.get_by_label("API key", exact=True)
    field.fill(key)
    with page.expect_response(lambda response: response.request.method == "POST" and response.ok):
        field.press("Enter")


def run(page: Page) -> None:
    page.get_by_role("button", name="Execute query").click()


def test_the_first_question_is_open_and_runs_with_a_key_and_ctrl_enter(signed_in: Page) -> None:
    query_editor(signed_in).click()
    with signed_in.expect_response(lambda response: response.request.method == "POST") as caught:
        signed_in.keyboard.press("Control+Enter")
    assert caught.value.json()["data"]["batches"]["nodes"]
    expect(answer(signed_in)).to_contain_text('"batches"')


def test_without_a_key_the_page_says_what_is_missing_and_with_one_it_reads_the_schema(page: Page, key: str) -> None:
    run(page)
    expect(page.get_by_role("status")).to_contain_text("asks for an API key")
    page.get_by_role("button", name="Show Documentation Explorer").click()
    enter_key(page, key)
    expect(page.get_by_role("status")).to_be_empty()
    expect(page.get_by_role("link", name="Query", exact=True)).to_be_visible()


def test_a_wrong_key_is_named(page: Page) -> None:
    page.get_by_label("API key", exact=True).fill("wrong")
    run(page)
    expect(page.get_by_role("status")).to_contain_text("does not accept this API key")


def test_the_key_can_be_looked_at(page: Page) -> None:
    field = page.get_by_label("API key", exact=True)
    expect(field).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show the API key").click()
    expect(field).to_have_attribute("type", "text")


def test_the_key_outlives_a_reload_and_is_kept_nowhere_else(signed_in: Page, key: str) -> None:
    run(signed_in)
    expect(answer(signed_in)).to_contain_text('"batches"')
    signed_in.reload()
    expect(signed_in.get_by_label("API key", exact=True)).to_have_value(key)
    assert key in signed_in.evaluate("JSON.stringify(sessionStorage)")
    assert key not in signed_in.evaluate("JSON.stringify(localStorage) + location + document.cookie")


def test_a_typed_header_wins_and_is_not_kept(page: Page, key: str) -> None:
    page.get_by_role("button", name="Headers").click()
    page.get_by_label("Headers").get_by_role("code").last.click()
    page.keyboard.insert_text(json.dumps({"Authorization": f"Bearer {key}"}))
    run(page)
    expect(answer(page)).to_contain_text('"batches"')
    page.wait_for_function("JSON.stringify(localStorage).includes('queries')")
    assert key not in page.evaluate("JSON.stringify(localStorage)")


def test_a_subscription_shows_what_changes(signed_in: Page, path: Path) -> None:
    signed_in.get_by_role("button", name="Ready questions").click()
    signed_in.get_by_role("menuitem", name="Watch deliveries live").click()
    with signed_in.expect_websocket() as opened:
        run(signed_in)
    opened.value.wait_for_event("framesent", lambda sent: "callbackDeliveries" in str(sent))
    for number in range(20):  # the first change may come before the gateway has heard who watches
        with closing(sqlite3.connect(path)) as connection:
            now = f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
            connection.execute("UPDATE batch_callback_deliveries SET status_code = 'live', updated_at = ?", [now])
            connection.commit()
        try:
            expect(answer(signed_in)).to_contain_text('"CHANGED"', timeout=1_000)
            break
        except AssertionError:
            assert number < 19
    expect(answer(signed_in)).to_contain_text('"live"')
    signed_in.get_by_role("button", name="Stop query").click()


def test_a_ready_question_opens_in_a_new_tab_with_its_variables(signed_in: Page) -> None:
    before = tabs(signed_in).count()
    signed_in.get_by_role("button", name="Ready questions").click()
    signed_in.get_by_role("menuitem", name="A batch and its deliveries").click()
    expect(tabs(signed_in)).to_have_count(before + 1)
    expect(query_editor(signed_in)).to_contain_text("ABatch")
    expect(variables_editor(signed_in)).to_contain_text('"id"')
    run(signed_in)
    expect(answer(signed_in)).to_contain_text('"batch"')


def test_a_shared_link_opens_the_question_and_carries_no_key(signed_in: Page, key: str) -> None:
    query_editor(signed_in).click()
    signed_in.keyboard.press("Control+A")
    signed_in.keyboard.insert_text("query One { __typename }\nquery Two { again: __typename }")
    expect(signed_in.get_by_role("tab", name="One")).to_be_visible()
    signed_in.get_by_role("button", name="Share").click()
    expect(signed_in.get_by_text("Link copied")).to_be_visible()
    link = signed_in.evaluate("navigator.clipboard.readText()")
    assert link == signed_in.url
    assert set(parse_qs(urlsplit(link).fragment)) == {"query", "operationName"}
    assert key not in link


@pytest.mark.parametrize("stay", [True, False])
def test_a_shared_link_is_followed(context: BrowserContext, page: Page, url: str, stay: bool) -> None:
    link = f"{url}#query=query+One+%7B+a%3A+__typename+%7D+query+Two+%7B+b%3A+__typename+%7D&operationName=Two"
    visitor = page if stay else context.new_page()
    visitor.goto(link)
    expect(query_editor(visitor)).to_contain_text("query Two")
    expect(visitor.get_by_role("tab", name="Two")).to_be_visible()
    assert visitor.url == link
    query_editor(visitor).click()
    visitor.keyboard.insert_text("# edited\n")
    visitor.wait_for_url(url)


def test_the_docs_show_the_schema(signed_in: Page) -> None:
    signed_in.get_by_role("button", name="Show Documentation Explorer").click()
    signed_in.get_by_role("link", name="Query", exact=True).click()
    expect(signed_in.get_by_role("link", name="batch", exact=True)).to_be_visible()


def test_the_query_builder_and_the_history_open(signed_in: Page) -> None:
    run(signed_in)
    signed_in.get_by_role("button", name="Show GraphiQL Explorer").click()
    expect(signed_in.locator(".graphiql-explorer-root")).to_contain_text("callbackDeliveries")
    signed_in.get_by_role("button", name="Show History").click()
    expect(signed_in.get_by_role("button", name="TheDeliveriesPage").last).to_be_visible()


def test_the_organization_is_sent_once_it_is_a_uuid(signed_in: Page) -> None:
    field = signed_in.get_by_label("Organization id")
    field.fill("acme")
    expect(signed_in.get_by_role("status")).to_contain_text("is a UUID")
    with signed_in.expect_request(lambda request: "x-organization-id" in request.headers) as caught:
        field.fill(ORGANIZATION)
    assert caught.value.headers["x-organization-id"] == ORGANIZATION


def test_completion_knows_the_schema(signed_in: Page) -> None:
    query_editor(signed_in).click()
    signed_in.keyboard.press("Control+A")
    signed_in.keyboard.type("{ bat")
    expect(signed_in.locator(".suggest-widget")).to_contain_text("batch")


@pytest.mark.parametrize("width", [1280, 800])
def test_every_control_of_the_bar_is_on_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    for control in page.locator(".explorer-bar").locator("button, input").all():
        expect(control).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_allows_no_inline_script_and_is_not_kept(context: BrowserContext, url: str) -> None:
    response = context.request.get(url, headers={"Accept": "text/html"})
    assert "script-src 'self';" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert re.findall(r"<script(?! type=\"application/json\")[^>]*>[^<]", response.text()) == []
