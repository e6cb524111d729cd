"""Makes the pictures of README and of the deliveries page, and that of the explorer, from what `gateway demo` serves.

    .venv/bin/python .readme/picture.py

It needs the extra `test`, a Chromium on the PATH, and the bundles (`gateway/http/explorer/build.py`).
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

from playwright.sync_api import Browser, Page, expect, sync_playwright

from gateway.http.explorer import explorer_is_bundled
from gateway.page import page_is_bundled

FOLDER = Path(__file__).parent
SIZE = {"width": 1280, "height": 860}
QUESTION = "A batch and its deliveries"


def main() -> None:
    """Start the demo, look at it, and keep what the browser shows."""
    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    if chromium is None or not explorer_is_bundled() or not page_is_bundled():
        sys.exit("A Chromium and both bundles are needed: see gateway/http/README.md.")
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--port", "0"],
        env={**os.environ, "GATEWAY_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address, batch = _told(demo)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            _keep(browser, "list", f"{address}?range=30d", _seen)
            _keep(browser, "filtered", f"{address}?range=30d&status=failed", _seen, scheme="dark")
            _keep(browser, "investigation", f"{address}?range=all&batch={batch}", _opened)
            _keep(browser, "redelivery", f"{address}?range=30d&status=failed", _planned)
            _keep(browser, "explorer", f"{address}graphql", _asked)
            browser.close()
    finally:
        demo.terminate()
        demo.wait()


def _told(demo: "subprocess.Popen[str]") -> tuple[str, str]:
    """The page's address and the batch worth looking at, which the demo prints."""
    address = ""
    for line in demo.stdout or ():
        if found := re.match(r"Page +(\S+)", line):
            address = found[1]
        if found := re.match(r"Batch +(\S+)", line):
            return address, found[1]
    sys.exit("The demo did not start.")


def _keep(browser: Browser, name: str, address: str, look: Callable[[Page], None], scheme: str = "light") -> None:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.goto(address)
    look(page)
    page.mouse.move(0, 0)
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()


def _seen(page: Page) -> None:
    expect(page.locator(".view")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def _opened(page: Page) -> None:
    page.get_by_role("list", name="Deliveries, newest first").get_by_role("link").filter(has_text="Failed").click()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
    expect(page.get_by_text("Live", exact=True).first).to_be_visible()
    page.evaluate("document.activeElement?.blur()")


def _planned(page: Page) -> None:
    _seen(page)
    page.get_by_role("button", name="Deliver again …").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing has been sent yet.")


def _asked(page: Page) -> None:
    page.get_by_role("button", name="Ready questions").click()
    page.get_by_role("menuitem", name=QUESTION).click()
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".graphiql-response .view-lines")).to_contain_text('"data"', timeout=30_000)


if __name__ == "__main__":
    main()
