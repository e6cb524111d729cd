"""A client that openapi-python-client generates from the reference reads everything, and understands every error."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from gateway.writing.demo import write_sample
from tests.rest.test_openapi import REFERENCE
from tests.support.machine import lacking
from tests.support.serving import serving

TIMES = {"next_attempt_at", "created_at", "updated_at", "completed_at"}

# Runs where the generator is installed, beside the generated package: an environment of its own, since the generator
# needs an older typer. Reads `[key, batch id]` a line and answers `[status, type, as a dictionary]` a line.
CLIENT = """
import json, sys
from client import AuthenticatedClient
from client.api.batches import get_batch_callback

clients = {}
for line in sys.stdin:
    key, batch_id = json.loads(line)
    if key not in clients:
        clients[key] = AuthenticatedClient(base_url=sys.argv[1], token=key)
    answer = get_batch_callback.sync_detailed(batch_id, client=clients[key])
    parsed = answer.parsed
    read = [one.to_dict() for one in parsed] if isinstance(parsed, list) else parsed.to_dict()
    print(json.dumps([answer.status_code, type(parsed).__name__, read]))
"""


@dataclass(frozen=True)
class Gateway:
    """Where it listens, and the ids of the sample's batches by the key that reads them."""

    address: str
    batch_ids: dict[str, list[str]]


async def fill(url: str) -> dict[str, list[str]]:
    database = Database(url)
    sample = await write_sample(database, datetime(2026, 5, 6, 10, tzinfo=UTC))
    ids: dict[str, list[str]] = {}
    for organization in sample.organization_ids:
        key = await create_key(database, organization, "test", [READ])
        rows = await database.fetch(select(batches.c.id).where(batches.c.org_id == organization))
        ids[key] = [row.id for row in rows]
    ids["blind"] = []
    await create_key(database, sample.organization_id, "reads nothing", [], "blind")
    await database.close()
    assert sum(map(len, ids.values())) == sample.batches
    return ids


@pytest.fixture(scope="module")
def gateway(module_database_url: str) -> Iterator[Gateway]:
    """A gateway with the sample history."""
    ids = asyncio.run(fill(module_database_url))
    with serving(create_app(Settings(database_url=module_database_url))) as address:
        yield Gateway(address, ids)


@pytest.fixture(scope="session")
def generator(pytestconfig: pytest.Config) -> Path:
    """The generator's program, in a virtual environment of its own: its dependencies do not go with the gateway's."""
    cache = pytestconfig.cache.mkdir("openapi-python-client")
    made = cache / f"{sys.version_info.major}.{sys.version_info.minor}"
    program = made / "bin" / "openapi-python-client"
    if not program.exists():
        shutil.rmtree(made, ignore_errors=True)
        venv.create(made, with_pip=True)
        command = [str(made / "bin" / "python"), "-m", "pip", "install", "-q", "openapi-python-client"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lacking(f"openapi-python-client, which pip cannot install: {done.stderr.strip()[-300:]}")
    return program


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, generator: Path) -> tuple[Path, Path]:
    """The generator's interpreter, and the directory with the package `client`."""
    directory = tmp_path_factory.mktemp("generated")
    (directory / "reference.json").write_text(json.dumps(reference_with_unique_titles()), encoding="utf-8")
    command = [str(generator), "generate", "--path", "reference.json", "--output-path", "client", "--meta", "none"]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # it formats with ruff, ours
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    return generator.with_name("python"), directory


def reference_with_unique_titles() -> dict[str, Any]:
    """The reference as a document of its own. The generator names classes by title, and two are `FullValidator`."""
    document = {**json.loads(json.dumps(REFERENCE)), "info": {"title": "Reference", "version": "1"}}
    for name, schema in document["components"]["schemas"].items():
        if schema.get("title") == "FullValidator":
            schema["title"] = name.split("__")[-2]
    return document


def read(generated: tuple[Path, Path], gateway: Gateway, asked: list[tuple[str, str]]) -> list[tuple[int, str, Any]]:
    """What the generated client makes of the answers for these keys and batches."""
    python, directory = generated
    lines = "\n".join(map(json.dumps, asked))
    done = subprocess.run(
        [python, "-c", CLIENT, gateway.address], cwd=directory, input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def as_the_client_writes_times(served: Any) -> Any:
    """Our JSON with `+00:00` for `Z` in the times of deliveries and attempts: Python's own form, which it writes."""
    for row in [*served, *(attempt for delivery in served for attempt in delivery["attempts"])]:
        row.update({name: row[name].replace("Z", "+00:00") for name in TIMES & row.keys() if row[name] is not None})
    return served


def test_generated_client_reads_every_batch_of_the_sample(generated: tuple[Path, Path], gateway: Gateway) -> None:
    asked = [(key, id_) for key, ids in gateway.batch_ids.items() for id_ in ids]
    with httpx.Client(base_url=gateway.address) as client:
        served = [
            client.get(f"/v1/batches/{id_}/callback", headers={"Authorization": f"Bearer {key}"}).json()
            for key, id_ in asked
        ]
    assert len(served) > 500
    answers = read(generated, gateway, asked)
    assert [(status, kind) for status, kind, _ in answers] == [(200, "list")] * len(asked)
    assert [rows for _, _, rows in answers] == [as_the_client_writes_times(rows) for rows in served]


def test_generated_client_understands_every_error(generated: tuple[Path, Path], gateway: Gateway) -> None:
    key = next(iter(gateway.batch_ids))
    asked = [("unknown", str(uuid4())), ("blind", str(uuid4())), (key, str(uuid4())), (key, "nonsense")]
    answers = read(generated, gateway, asked)
    assert [(status, kind, error["code"]) for status, kind, error in answers] == [
        (401, "ErrorResponse", "UNAUTHORIZED"),
        (403, "ErrorResponse", "PERMISSION_DENIED"),
        (404, "ErrorResponse", "BATCH_NOT_FOUND"),
        (422, "ErrorResponse", "VALIDATION_ERROR"),
    ]
    assert answers[3][2]["errors"][0]["loc"] == ["path", "batch_id"]
    assert [error["errors"] for _, _, error in answers[:3]] == [None, None, None]
