"""The clients that frontends use, each as its users have it: a query, the same by GET, by its hash, and a mistake."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from tests.support.edge import BATCH, KEY, furnished, settings
from tests.support.machine import lacking
from tests.support.serving import serving

SOURCES = Path(__file__).parent / "clients"
DELIVERIES = "query Deliveries($id: ID!) { batch(id: $id) { id callbackDeliveries { id attempts { id } } } }"


def told(command: tuple[str, ...], folder: Path, url: str, profile: str) -> dict[str, Any]:
    """What a client's program says about a gateway that really listens."""
    manifest = folder / "persisted.json"
    manifest.write_text(json.dumps({"deliveries-1": DELIVERIES}))
    with serving(create_app(settings(url, profile, trusted_documents=manifest))) as address:
        whole = (*command, f"{address}/graphql", KEY, BATCH)
        done = subprocess.run(whole, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def is_whole(data: Any) -> bool:
    """Whether the data is the batch with two deliveries of three attempts."""
    batch = data["batch"]
    return batch["id"] == BATCH and [len(each["attempts"]) for each in batch["callbackDeliveries"]] == [3, 3]


@pytest.mark.parametrize("profile", ["development", "production"])
@pytest.mark.parametrize(
    ("client", "sent"),
    [
        # The mistake, the query, GET; the hash, which is not known, the document with it; the hash alone by GET.
        ("apollo-3", ["POST document"] * 2 + ["GET document", "POST hash", "POST document", "GET hash"]),
        ("apollo-4", ["POST document"] * 2 + ["GET document", "POST hash", "POST document", "GET hash"]),
        ("urql", ["GET document", "POST document", "GET document"]),
        ("relay", ["POST document", "POST document", "POST hash"]),
    ],
)
def test_clients_from_npm_work(
    client: str, sent: list[str], profile: str, clients: Path, sqlite_template: Path, tmp_path: Path
) -> None:
    result = told(("node", "matrix.mjs", client), clients, furnished(sqlite_template, tmp_path), profile)
    answers = {name: data for name, data in result.items() if name not in {"codes", "sent"}}
    assert all(is_whole(data) for data in answers.values()), answers
    assert result["codes"] == ["VALIDATION_ERROR"]
    assert result["sent"] == sent


@pytest.mark.parametrize("profile", ["development", "production"])
def test_the_client_from_pypi_works(profile: str, sqlite_template: Path, tmp_path: Path) -> None:
    if find_spec("gql") is None:
        lacking("the client gql: pip install 'gql[httpx]'")
    command = (sys.executable, str(SOURCES / "matrix.py"))
    result = told(command, tmp_path, furnished(sqlite_template, tmp_path), profile)
    assert is_whole(result["query"])
    assert result["codes"] == ["VALIDATION_ERROR"]
