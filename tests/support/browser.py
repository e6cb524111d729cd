"""The browser of the explorer's tests: the machine's Chromium, else the one that npm has."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.support import npm
from tests.support.machine import lacking

FOLDER = Path(__file__).parents[1] / "http" / "browser"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
# The package unpacks its libraries, too, where it takes the machine for one of those that it is made for.
UNPACK = """
process.env.AWS_LAMBDA_JS_RUNTIME = "nodejs22.x";
const { default: chromium } = await import("@sparticuz/chromium");
console.log(await chromium.executablePath());
console.log(process.env.LD_LIBRARY_PATH ?? "");
"""


@contextmanager
def launched(config: pytest.Config) -> Iterator[Browser]:
    """A Chromium meanwhile. Skips the test where there is none, or where it does not run."""
    found = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
    program, libraries = (found, "") if found else _unpacked(config)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program,
                args=ARGUMENTS,
                env={"LD_LIBRARY_PATH": libraries} if libraries else None,
            )
        except Error as failure:
            lacking(f"no Chromium that runs ({failure.message.splitlines()[0]}): apt-get install chromium")
        yield browser
        browser.close()


def _unpacked(config: pytest.Config) -> tuple[str, str]:
    """The program of npm's Chromium, and where its libraries are."""
    packages = npm.packages(FOLDER, config)
    try:
        done = npm.node(FOLDER, packages.parent, "--input-type=module", "--eval", UNPACK)
    except subprocess.CalledProcessError as failure:
        lacking(f"no Chromium ({failure.stderr.strip().splitlines()[-1:]}): apt-get install chromium")
        raise
    program, libraries = done.split("\n")[:2]
    return program, libraries
