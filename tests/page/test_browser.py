"""The deliveries page in a real browser, on both databases: every host but the gateway's is blocked, nothing may be
written to the console, and axe-core finds nothing, light and dark."""

import asyncio
import csv
import json
import re
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect
from sqlalchemy import insert, make_url, update

from gateway import page as deliveries_page
from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from gateway.writing.demo import SampleHistory, write_sample
from gateway.writing.organizations import add_organization
from tests.support import npm
from tests.support.browser import launched
from tests.support.edge import settings
from tests.support.machine import lacking
from tests.support.platform import TestPlatform, platform_over
from tests.support.proxy import Proxy
from tests.support.serving import serving

T = TypeVar("T")
REDELIVER = "batches:redeliver"
# The browser's own line for an answer of that status, and for a connection that was cut.
EXPECTED = re.compile(r"Failed to load resource: .*?(401|403|429|503|504|net::ERR_\w+)")
SCHEMES = ("light", "dark")
PATIENCE = 20_000  # milliseconds: the machine may have other tests to run


@dataclass(frozen=True, slots=True)
class Keys:
    """What a key may do: all; only read; nothing; and read in an organization that has no rows."""

    all: str
    reader: str
    nothing: str
    empty: str


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway in production, with trusted documents only, over a month of sample history, and its platform."""

    address: str
    url: str
    sample: SampleHistory
    keys: Keys
    platform: TestPlatform


class Beside:
    """An event loop on a thread of its own: Playwright has this one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns, run there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    beside = Beside()
    yield beside
    beside.close()


@pytest.fixture(scope="module")
def production(module_database_url: str, beside: Beside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not deliveries_page.page_is_bundled():
        lacking("the page's bundle is not there: install this package again where npm's registry answers")
    manifest = tmp_path_factory.mktemp("page") / "persisted.json"
    manifest.write_text("{}")
    sample, keys = asyncio.run(_filled(module_database_url))
    stack = AsyncExitStack()

    async def opened() -> TestPlatform:
        database = Database(module_database_url)
        stack.push_async_callback(database.close)
        return await stack.enter_async_context(platform_over(database))

    platform = beside.run(opened())
    try:
        configured = settings(
            module_database_url,
            "production",
            page=True,
            trusted_documents=manifest,
            trusted_documents_only=True,
            platform_url=platform.url,
            platform_credential="secret",
            access_log=False,
        )
        with serving(create_app(configured)) as address:
            yield Served(address, module_database_url, sample, keys, platform)
    finally:
        beside.run(stack.aclose())


async def _filled(url: str) -> tuple[SampleHistory, Keys]:
    database = Database(url)
    sample = await write_sample(database, datetime.now(UTC))
    ours, nobodys = sample.organization_id, str(uuid4())
    async with database.transaction() as connection:
        await add_organization(connection, nobodys, "Nobody's", datetime.now(UTC))
    keys = Keys(
        await create_key(database, ours, "all", [READ, REDELIVER]),
        await create_key(database, ours, "reader", [READ]),
        await create_key(database, ours, "nothing", []),
        await create_key(database, nobodys, "empty", [READ]),
    )
    await database.close()
    return sample, keys


@pytest.fixture(scope="module")
def browser(production: Served, pytestconfig: pytest.Config) -> Iterator[Browser]:
    assert production.address  # Playwright's loop must come second
    expect.set_options(timeout=PATIENCE)
    with launched(pytestconfig) as browser:
        yield browser


@pytest.fixture(scope="module")
def axe(pytestconfig: pytest.Config) -> str:
    """The text of axe-core, which is run beside the page's own scripts."""
    return (npm.packages(deliveries_page.FOLDER, pytestconfig) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def visited(browser: Browser, address: str, key: str = "", **options: Any) -> Iterator[Page]:
    """A tab at an address of the page, signed in where there is a key."""
    host, foreign, complaints = urlsplit(address).netloc, [], []

    def guard(route: Route) -> None:
        if urlsplit(route.request.url).netloc == host:
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context = browser.new_context(
        **{"viewport": {"width": 1280, "height": 800}, "timezone_id": "Europe/Berlin", **options},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.route(re.compile("^(?!data:)"), guard)
    if key:
        script = f"sessionStorage.setItem('gateway-explorer:key', {json.dumps(key)})"
        context.add_init_script(f"if (location.protocol !== 'about:') {script}")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    assert foreign == []
    assert [line for line in complaints if not EXPECTED.match(line)] == []


def rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Deliveries, newest first").get_by_role("listitem")


def figure(page: Page, name: str) -> int:
    """A number among the figures."""
    shown = page.locator("dl.figures > div", has=page.get_by_text(name, exact=True)).locator("dd").inner_text()
    return int(shown.replace(",", ""))


def facet(page: Page, title: str, choice: str) -> Locator:
    return page.get_by_role("group", name=title).get_by_role("checkbox", name=choice)


def settled(page: Page) -> None:
    expect(page.locator(".view")).to_have_attribute("aria-busy", "false")


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds wrong with what is shown."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]


def test_a_first_visit_asks_for_a_key_and_shows_everything_with_one(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=30d") as page:
        expect(page.get_by_role("heading", name="Enter a key to see deliveries")).to_be_visible()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.headers.get("accept", "")))
        page.locator("main").get_by_label("API key or token").fill(production.keys.reader)
        page.locator("main").get_by_role("button", name="Use this key").click()
        expect(rows(page).first).to_be_visible()
        assert len([accepted for accepted in asked if accepted.startswith("application/graphql-response")]) == 1
        expect(page.get_by_text("Northlight Studio")).to_be_visible()
        total = figure(page, "Deliveries")
        assert total == figure(page, "Failed") + figure(page, "In flight") + int(
            page.locator(".key.delivered b").inner_text()
        )
        kept = page.evaluate("JSON.stringify(localStorage) + location + document.cookie")
        assert production.keys.reader not in kept
        assert production.keys.reader in page.evaluate("JSON.stringify(sessionStorage)")


def test_facets_and_figures_filter_and_the_address_shows_a_colleague_the_same(
    production: Served, browser: Browser
) -> None:
    with visited(browser, f"{production.address}/?range=30d", production.keys.reader) as page:
        settled(page)
        everything = figure(page, "Deliveries")
        facet(page, "Status", "Failed").click()
        facet(page, "Reason", "Timeout").click()
        settled(page)
        expect(page.get_by_role("list", name="Filters").get_by_role("listitem")).to_have_count(3)
        kept = figure(page, "Deliveries")
        assert 0 < kept < everything
        assert kept == figure(page, "Failed")
        expect(facet(page, "Reason", "DNS error")).to_be_visible()  # what else there is stays to be chosen
        expect(rows(page)).to_have_count(kept)
        link = page.url
        assert parse_qs(urlsplit(link).query) == {"range": ["30d"], "status": ["failed"], "reason": ["timeout"]}
        assert production.keys.reader not in link
        page.go_back()
        expect(facet(page, "Reason", "Timeout")).not_to_be_checked()
        page.get_by_role("button", name="Clear all").click()
        settled(page)
        page.get_by_role("button", name=re.compile("^In flight")).click()
        settled(page)
        assert figure(page, "Deliveries") == figure(page, "In flight")
    with visited(browser, link, production.keys.reader) as page:
        settled(page)
        assert figure(page, "Deliveries") == kept


def test_a_range_is_drawn_with_the_mouse_and_moved_with_the_keyboard(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=30d", production.keys.reader) as page:
        settled(page)
        everything = figure(page, "Deliveries")
        box = page.locator(".plot .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 60, steps=4)
        page.mouse.up()
        page.wait_for_url(re.compile("from="))
        settled(page)
        drawn = figure(page, "Deliveries")
        assert 0 < drawn < everything
        slider = page.get_by_role("slider", name="Range begins")
        slider.focus()
        for _ in range(3):
            slider.press("ArrowRight")
        before = page.url
        page.wait_for_function("before => location.href !== before", arg=before)
        settled(page)
        assert figure(page, "Deliveries") < drawn
        page.get_by_text("As a table").click()
        table = page.get_by_role("region", name="Timeline as a table")
        total = sum(int(cell) for cell in table.locator("td").all_inner_texts())
        assert total == figure(page, "Deliveries")
        page.get_by_label("Time zone").select_option("Asia/Tokyo")
        expect(page.get_by_role("list", name="Filters")).to_contain_text("Time")
        assert "zone=Asia%2FTokyo" in page.url


def test_the_list_is_scrolled_to_its_end_and_keeps_its_place(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=all", production.keys.reader) as page:
        settled(page)
        total = figure(page, "Deliveries")
        assert total > 200
        shown = page.get_by_role("list", name="Deliveries, newest first")
        for read in range(100, total + 100, 100):
            expect(shown).to_have_css("height", f"{44 * min(total, read)}px")
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(page.get_by_text("These are all.")).to_be_visible()
        assert rows(page).count() < 60
        last = rows(page).last
        expect(last).to_have_attribute("aria-posinset", str(total))
        expect(last).to_have_attribute("aria-setsize", str(total))
        where = page.evaluate("scrollY")
        last.get_by_role("link").click()
        expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
        page.keyboard.press("Escape")
        expect(last).to_be_visible()
        assert page.evaluate("scrollY") == where


def test_the_keyboard_walks_the_list_opens_a_delivery_and_searches(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=30d", production.keys.reader) as page:
        settled(page)
        rows(page).first.get_by_role("link").focus()
        for key in ("ArrowDown", "j", "k", "j"):
            page.keyboard.press(key)
        focused = rows(page).nth(2).get_by_role("link")
        expect(focused).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1).last).to_be_focused()
        page.keyboard.press("Escape")
        expect(rows(page).first).to_be_visible()
        page.keyboard.press("/")
        expect(page.get_by_label("Search deliveries")).to_be_focused()


@pytest.mark.parametrize("kind", ["batch", "host", "url", "error", "metadata"])
def test_the_search_takes_a_text_for_what_it_is(kind: str, production: Served, browser: Browser) -> None:
    texts = {
        "batch": (production.sample.batch_id, f"batch={production.sample.batch_id}"),
        "host": ("hooks.northlight.example", "host=hooks.northlight.example"),
        "url": ("https://gone.studio.example/", "url=https"),
        "error": ("refused", "error=refused"),
        "metadata": ("project=winter", "metadata=project"),
    }
    text, told = texts[kind]
    with visited(browser, f"{production.address}/?range=all", production.keys.reader) as page:
        settled(page)
        everything = figure(page, "Deliveries")
        box = page.get_by_label("Search deliveries")
        box.fill(text)
        box.press("Enter")
        page.wait_for_url(re.compile(re.escape(told)))
        settled(page)
        if kind == "metadata":  # a month of samples may have no such label
            assert figure(page, "Deliveries") < everything
        else:
            assert 0 < figure(page, "Deliveries") < everything
        box.fill(str(uuid4()))
        box.press("Enter")
        expect(page.get_by_text("No delivery and no batch has this id.")).to_be_visible()


def opened(page: Page, production: Served) -> None:
    """Open the delivery of the sample that failed."""
    page.goto(f"{production.address}/?range=all&batch={production.sample.batch_id}")
    failed(page).click()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def failed(page: Page) -> Locator:
    """The links to deliveries that failed."""
    return rows(page).filter(has=page.get_by_text("Failed", exact=True)).get_by_role("link")


def test_a_url_that_might_tell_a_secret_is_searched_by_whole_segments(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?url=https://gone.studio.example/ho", production.keys.reader) as page:
        expect(page.get_by_role("heading", name="This key may search URLs by whole segments only")).to_be_visible()
        page.get_by_role("button", name="Clear all").click()
        expect(rows(page).first).to_be_visible()


def test_an_investigation_tells_what_happened_and_what_to_do(production: Served, browser: Browser) -> None:
    with visited(browser, production.address, production.keys.reader) as page:
        settled(page)
        opened(page, production)
        expect(page.get_by_role("heading", name="The receiver failed while it handled the callback")).to_be_visible()
        expect(page.get_by_text("What to do.")).to_be_visible()
        attempts = page.get_by_role("list", name=re.compile("^Attempts over")).get_by_role("listitem")
        expect(attempts).to_have_count(5)
        expect(attempts.nth(4)).to_contain_text("after 32 min")
        answer = page.get_by_role("region", name="What came back at attempt 5")
        expect(answer).to_contain_text("… cut here")
        shown = len(answer.inner_text())
        attempts.nth(4).get_by_role("button", name=re.compile("^Show all")).click()
        expect(answer).not_to_contain_text("… cut here")
        assert len(answer.inner_text()) > 10 * shown
        sent = page.get_by_role("region", name="The body that was sent")
        expect(sent.locator(".t-key").first).to_contain_text('"event"')
        page.get_by_text("As cURL").click()
        page.get_by_role("button", name="Copy the command").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert "curl" in page.evaluate("navigator.clipboard.readText()")
        sibling = page.get_by_role("complementary").get_by_role("link").filter(has_text="by hand")
        sibling.click()
        expect(page.get_by_role("heading", level=1).last).to_be_visible()
        expect(page.locator(".investigation .title .badge")).to_have_text("Delivered")
        page.go_back()
        expect(page.locator(".investigation .title .badge")).to_have_text("Failed")


def test_the_next_attempt_ticks(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=30d&status=retrying", production.keys.reader) as page:
        settled(page)
        rows(page).filter(has_text="Retrying").first.get_by_role("link").click()
        clock = page.locator(".ticking")
        expect(clock).to_be_visible()
        before = clock.inner_text()
        expect(clock).not_to_have_text(before)


def test_a_delivery_that_is_not_there_says_so(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?delivery={uuid4()}", production.keys.reader) as page:
        expect(page.get_by_role("heading", name="There is no such delivery")).to_be_visible()
        page.get_by_role("button", name="All deliveries").click()
        expect(rows(page).first).to_be_visible()


@pytest.mark.parametrize(
    ("key", "address", "title", "action"),
    [
        ("empty", "/?range=all", "This organization has no deliveries yet", None),
        ("empty", "/", "No deliveries in this time", "Look at all time"),
        ("reader", "/?host=nowhere.example", "No delivery is like that", "Clear the filters"),
        ("nothing", "/", "This key may not read deliveries", "Enter a key"),
        ("wrong", "/", "The gateway does not accept this key", "Enter a key"),
    ],
    ids=["empty-organization", "empty-time", "no-such-host", "no-scope", "wrong-key"],
)
def test_a_view_without_rows_says_what_to_do(
    key: str, address: str, title: str, action: str | None, production: Served, browser: Browser
) -> None:
    secret = getattr(production.keys, key, "wrong-key")
    with visited(browser, f"{production.address}{address}", secret) as page:
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        if action is not None:
            page.get_by_role("button", name=action).click()
            expect(page.get_by_role("heading", name=title)).to_be_visible(visible=action == "Enter a key")


def test_a_deadline_and_a_rate_limit_say_what_to_do(production: Served, browser: Browser) -> None:
    with ExitStack() as stack:
        slow = settings(production.url, "production", page=True, deadline_seconds=1e-6, access_log=False)
        address = stack.enter_context(serving(create_app(slow)))
        page = stack.enter_context(visited(browser, f"{address}/?range=30d", production.keys.reader))
        expect(page.get_by_role("heading", name="The answer took too long")).to_be_visible()
        page.get_by_role("button", name="Last 24 hours").click()
        page.wait_for_url(re.compile("range=24h"))
    with ExitStack() as stack:
        tight = settings(production.url, "production", page=True, rate_limit=0.1, rate_limit_burst=1, access_log=False)
        address = stack.enter_context(serving(create_app(tight)))
        page = stack.enter_context(visited(browser, address, production.keys.reader))
        page.get_by_label("Time", exact=True).select_option("30d")
        expect(page.get_by_role("heading", name="Too many requests with this key")).to_be_visible()
        expect(page.get_by_text("The page asks again in")).to_be_visible()


def test_a_database_that_is_gone_is_told_and_the_page_takes_up_again(
    production: Served, browser: Browser, beside: Beside
) -> None:
    url = make_url(production.url)
    if url.host is None or url.port is None:
        pytest.skip("an embedded database is never gone")
    proxy = Proxy(url.host, url.port)
    beside.run(proxy.start())
    try:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        configured: Settings = settings(through, "production", page=True, access_log=False, database_wait_seconds=0.5)
        with (
            serving(create_app(configured)) as address,
            visited(browser, f"{address}/?range=30d", production.keys.reader) as page,
        ):
            expect(rows(page).first).to_be_visible()
            beside.loop.call_soon_threadsafe(proxy.stop)
            page.get_by_role("button", name="Refresh").click()
            page.get_by_label("Time", exact=True).select_option("24h")
            expect(page.get_by_role("heading", name="The database does not answer")).to_be_visible()
            beside.run(proxy.start())
            page.get_by_role("button", name="Try again").click()
            expect(rows(page).first).to_be_visible()
    finally:
        beside.run(proxy.close())


def test_one_callback_is_delivered_again(production: Served, browser: Browser) -> None:
    with visited(browser, production.address, production.keys.reader) as page:
        settled(page)
        opened(page, production)
        expect(page.get_by_role("button", name="Deliver again")).to_have_count(0)
    with visited(browser, production.address, production.keys.all) as page:
        settled(page)
        opened(page, production)
        page.get_by_role("button", name="Deliver again").click()
        page.get_by_role("dialog").get_by_role("button", name="Deliver again").click()
        page.get_by_role("button", name="Open the new delivery").click()
        expect(page.get_by_role("complementary").get_by_role("link")).to_have_count(3)
        assert production.sample.batch_id in production.platform.taken


def test_many_callbacks_are_delivered_again_after_their_plan(production: Served, browser: Browser) -> None:
    with visited(browser, f"{production.address}/?range=all&reason=tls_error", production.keys.all) as page:
        settled(page)
        before = len(production.platform.taken)
        page.get_by_role("button", name="Deliver again …").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Nothing has been sent yet.")
        assert len(production.platform.taken) == before
        run = dialog.get_by_role("button", name=re.compile(r"^Deliver \d+ again$"))
        planned = int(re.findall(r"\d+", run.inner_text())[0])
        run.click()
        expect(dialog).to_contain_text(f"Delivered to the platform{planned}")
        assert len(production.platform.taken) == before + planned
        dialog.get_by_role("button", name="Close").click()


async def write(url: str, *statements: Any) -> None:
    """Change rows, as the platform does."""
    database = Database(url)
    try:
        async with database.transaction() as connection:
            for statement in statements:
                await connection.execute(statement)
    finally:
        await database.close()


def made(production: Served, **values: Any) -> dict[str, Any]:
    """A new delivery of the sample's batch."""
    now = datetime.now(UTC)
    return {
        "id": str(uuid4()),
        "org_id": production.sample.organization_id,
        "batch_id": production.sample.batch_id,
        "callback_url": "https://new.example/in",
        "callback_host": "new.example",
        "is_automatic": False,
        "status_code": "delivered",
        "attempt_count": 0,
        "max_attempts": 5,
        "created_at": now,
        "updated_at": now,
        "completed_at": now,
    } | values


def follows(request: Request) -> bool:
    """Whether the page begins to follow what changes in its list."""
    return request.headers.get("accept", "").startswith("text/event-stream")


def test_what_changes_is_told_and_a_lost_connection_is_taken_up_again(
    production: Served, browser: Browser, beside: Beside
) -> None:
    proxy = Proxy("127.0.0.1", urlsplit(production.address).port or 0)
    beside.run(proxy.start())
    try:
        address = f"http://127.0.0.1:{proxy.port}/?range=24h"
        with visited(browser, address, production.keys.reader) as page:
            live = page.get_by_text("Live", exact=True)
            expect(live).to_be_visible()
            first = rows(page).first.get_by_role("link").get_attribute("data-delivery")
            beside.run(write(production.url, insert(deliveries).values(made(production))))
            fresh = page.get_by_role("button", name="1 new delivery: show")
            expect(fresh).to_be_visible()
            assert rows(page).first.get_by_role("link").get_attribute("data-delivery") == first
            # A minute later "the last 24 hours" begin at another one: what is watched is another filter from here on.
            page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=1))
            with page.expect_request(follows) as again:
                fresh.click()
            assert json.loads(again.value.post_data or "")["variables"]["after"]
            expect(rows(page).first).to_contain_text("new.example")
            expect(live).to_be_visible()
            beside.loop.call_soon_threadsafe(proxy.stop)
            expect(page.get_by_text("The connection was lost.")).to_be_visible()
            row = made(production)
            beside.run(write(production.url, insert(deliveries).values(row)))
            beside.run(proxy.start())
            expect(live).to_be_visible()
            page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=2))
            fresh.click()
            expect(rows(page).first.get_by_role("link")).to_have_attribute("data-delivery", row["id"])
            rows(page).first.get_by_role("link").click()
            badge = page.locator(".investigation .title .badge")
            expect(badge).to_have_text("Delivered")
            expect(page.get_by_text("Live", exact=True).first).to_be_visible()
            one = update(deliveries).where(deliveries.c.id == row["id"])
            beside.run(write(production.url, one.values(status_code="failed", updated_at=datetime.now(UTC))))
            expect(badge).to_have_text("Failed")
    finally:
        beside.run(proxy.close())


@pytest.mark.parametrize("form", ["CSV", "NDJSON"])
def test_what_the_filter_keeps_is_exported(form: str, production: Served, browser: Browser, tmp_path: Path) -> None:
    address = f"{production.address}/?range=all&status=failed"
    with visited(browser, address, production.keys.reader, accept_downloads=True) as page:
        settled(page)
        kept = figure(page, "Deliveries")
        with page.expect_download() as caught:
            page.get_by_role("button", name=f"Export {form}").click()
        expect(page.get_by_text("The download has begun.")).to_be_visible()
        caught.value.save_as(tmp_path / "file")
        text = (tmp_path / "file").read_text(encoding="utf-8-sig")
        lines = list(csv.reader(StringIO(text, newline=""))) if form == "CSV" else text.splitlines()
        assert len(lines) == kept + (2 if form == "CSV" else 1)  # the names of the columns, and that it is whole


VIEWS = {
    "list": "/?range=30d",
    "filtered": "/?range=30d&status=failed&http=5xx",
    "delivery": "/?range=all&batch={batch}",
    "welcome": "/",
    "nothing": "/?host=nowhere.example",
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(view: str, scheme: str, production: Served, browser: Browser, axe: str) -> None:
    address = production.address + VIEWS[view].format(batch=production.sample.batch_id)
    key = "" if view == "welcome" else production.keys.all
    with visited(browser, address, key, color_scheme=scheme, reduced_motion="reduce") as page:
        if view == "welcome":
            expect(page.get_by_role("heading", name="Enter a key to see deliveries")).to_be_visible()
        else:
            settled(page)
        if view == "delivery":
            failed(page).last.click()  # the sample's: another test made a newer one, without a body
            expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
            page.get_by_text("As cURL").click()
        assert violations(page, axe) == []


@pytest.mark.parametrize("width", [390, 800])
def test_small_screens_show_all_of_it_without_scrolling_aside(width: int, production: Served, browser: Browser) -> None:
    size = {"width": width, "height": 800}
    with visited(
        browser, f"{production.address}/?range=30d&status=failed", production.keys.reader, viewport=size
    ) as page:
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        failed(page).first.click()
        expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
