"""The audits of npm's graphql-http: does the development profile serve GraphQL over HTTP as the specification says?"""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.app import create_app
from tests.support import npm
from tests.support.edge import furnished, settings
from tests.support.serving import serving

SOURCES = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return npm.packages(SOURCES, pytestconfig)


def test_all_audits_of_graphql_over_http_pass(packages: Path, sqlite_template: Path, tmp_path: Path) -> None:
    folder = npm.project(SOURCES, packages, tmp_path / "clients")
    with serving(create_app(settings(furnished(sqlite_template, tmp_path)))) as address:
        command = ("node", "audit.mjs", f"{address}/graphql")
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True, timeout=60)
    audits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61
