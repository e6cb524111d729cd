"""schemathesis, with all its checks, finds nothing in a gateway with data."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from gateway.writing.demo import SampleHistory, write_sample
from tests.support.machine import lacking
from tests.support.serving import serving

KEY = "reading-key"
CONFIGURATIONS = {
    # With no organization named there is nothing to reject but what the document rejects too.
    "any batch of our organization": '[parameters]\n"header.X-Organization-Id" = "{organization}"\n',
    "a batch with a history": '[parameters]\nbatch_id = "{batch}"\n"header.X-Organization-Id" = "{organization}"\n',
    # The document types X-Organization-Id as any string, and lists 400: so 400 is no surprise for a valid request.
    "any organization": '[checks]\npositive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404]\n',
}


async def fill(url: str) -> SampleHistory:
    database = Database(url)
    sample = await write_sample(database, datetime(2026, 5, 6, 10, tzinfo=UTC))
    await create_key(database, sample.organization_id, "test", [READ], KEY)
    await database.close()
    return sample


@pytest.fixture(scope="module")
def gateway(module_database_url: str) -> Iterator[tuple[str, SampleHistory]]:
    """The address of a gateway and what is in it."""
    if find_spec("schemathesis") is None:
        lacking("schemathesis is not installed: pip install 'callback-gateway[test]'")
    sample = asyncio.run(fill(module_database_url))
    with serving(create_app(Settings(database_url=module_database_url))) as address:
        yield address, sample


@pytest.mark.parametrize("examples", [50, pytest.param(200, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_schemathesis_finds_nothing(
    gateway: tuple[str, SampleHistory], configuration: str, examples: int, tmp_path: Path
) -> None:
    address, sample = gateway
    configured = configuration.format(organization=sample.organization_id, batch=sample.batch_id)
    search(address, configured, tmp_path, "--include-path-regex=^/v1/", "--checks=all", f"--max-examples={examples}")


def test_exports_answer_whatever_their_parameters_hold_as_documented(
    gateway: tuple[str, SampleHistory], tmp_path: Path
) -> None:
    told = "not_a_server_error,status_code_conformance"
    search(gateway[0], "", tmp_path, "--include-path-regex=^/exports/", f"--checks={told}", "--max-examples=4")


def search(address: str, configuration: str, folder: Path, *options: str) -> None:
    """Let schemathesis ask what the document allows, and more."""
    file = folder / "schemathesis.toml"
    file.write_text(configuration, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(file), "run"]
    options = (*options, "--generation-deterministic", "--no-color")
    document = f"{address}/api/openapi.public.json"
    done = subprocess.run(
        [*command, document, f"--header=Authorization: Bearer {KEY}", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        # Nothing of the gateway runs there: it is not measured, which would make it twice as slow.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
