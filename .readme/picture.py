"""Makes `explorer.png`, the picture in README, from the explorer of `gateway demo`.

    .venv/bin/python .readme/picture.py

It needs the extra `test`, a Chromium on the PATH, and the explorer's bundle (`gateway/http/explorer/build.py`).
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

from playwright.sync_api import Page, expect, sync_playwright

from gateway.http.explorer import built

PICTURE = Path(__file__).with_name("explorer.png")
SIZE = {"width": 1200, "height": 700}
QUESTION = "A batch and its deliveries"


def main() -> None:
    """Start the demo, ask one of its ready questions, and keep what the page shows."""
    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    if chromium is None or not built():
        sys.exit("A Chromium and the explorer's bundle are needed: see gateway/http/README.md.")
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--port", "0"],
        env={**os.environ, "GATEWAY_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = _address(demo)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.goto(address)
            _ask(page)
            page.screenshot(path=PICTURE)
            browser.close()
    finally:
        demo.terminate()
        demo.wait()


def _address(demo: "subprocess.Popen[str]") -> str:
    """The explorer's address, which the demo prints first."""
    for line in demo.stdout or ():
        if found := re.match(r"Explorer +(\S+)", line):
            return found[1]
    sys.exit("The demo did not start.")


def _ask(page: Page) -> None:
    page.get_by_role("button", name="Ready questions").click()
    page.get_by_role("menuitem", name=QUESTION).click()
    page.get_by_role("button", name="Execute query").click()
    expect(page.locator(".graphiql-response .view-lines")).to_contain_text('"data"', timeout=30_000)
    page.mouse.move(0, 0)


if __name__ == "__main__":
    main()
