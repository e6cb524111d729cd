"""Requests and their answers as they stand on the wire, compared byte for byte.

Each file of `golden/` is a request, a line of dashes, and its answer; lines end in CRLF on the wire. `Date` and
`Server` are the HTTP server's own and left out. `{…}` in a request stands for a token, which is new each time.
"""

import asyncio
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.rows import OURS, START, THEIRS, Rows, attempt, batch, delivery, store
from tests.support.serving import serving

FILES = sorted((Path(__file__).parent / "golden").glob("*.http"))
RULE = "\n" + 80 * "-" + "\n"
BODY = (
    '{"event": "batch.succeeded", "batch_id": "000000ba-0000-4000-8000-000000000001", "status": "succeeded", '
    '"output": {"items": [], "total": 1e2, "größe": "√2"}, "duration_ms": 61000, '
    '"created_at": "2026-05-06T12:01:00+02:00", "completed_at": "2026-05-06T10:02:01.000500+00:00", "metadata": null}'
)


def rows() -> Rows:
    """Ours: a batch with three deliveries and one without any. Theirs: one batch."""
    first, empty, foreign = batch(1), batch(2), batch(3, THEIRS)
    delivered = delivery(
        first,
        1,
        callback_url="https://hooks.example/ünïcode?a=1&b=2",
        payload_bytes=BODY.encode(),
        signing_secret_id="0c000000-0000-4000-8000-000000000003",
        is_automatic=True,
        status_code="delivered",
        attempt_count=2,
        max_attempts=5,
        updated_at=START.replace(microsecond=120),
    )
    odd = delivery(first, 2, payload_bytes=b"<html>\x00\xff", is_automatic=False, status_code="failed")
    in_flight = {**delivery(first, 3, next_attempt_at=START, failure_detail='said "no"\n'), "completed_at": None}
    return {
        batches: [first, empty, foreign],
        batch_callback_deliveries: [delivered, odd, in_flight],
        batch_callback_delivery_attempts: [
            attempt(delivered, 2, status_code=200, response_body="", response_time_ms=12),
            attempt(delivered, 1, error_message="no response within 10 s"),
        ],
    }


def tokens(issuer: Issuer) -> dict[str, str]:
    """What the names in the requests stand for."""
    both = [{"id": OURS, "role": "reader"}, {"id": THEIRS, "role": "cook"}]
    return {
        "{reader}": issuer.token(organizations=both, org_id=OURS),
        "{expired}": issuer.token(organizations=both, org_id=OURS, exp=1),
        "{unsigned}": issuer.token(organizations=both, org_id=OURS)[:-80],
        "{unverified}": issuer.token(organizations=both, org_id=OURS, email_verified=False),
        "{two organizations}": issuer.token(organizations=both),
        "{no organization}": issuer.token(),
        "{no scope}": issuer.token(org_id=OURS, scope="runs:read"),
    }


async def fill(url: str) -> None:
    database = Database(url)
    await store(database, rows())
    await create_key(database, OURS, "reads", [READ], "reading-key")
    await create_key(database, OURS, "reads nothing", ["runs:read"], "other-key")
    await database.close()


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def gateway(module_database_url: str, issuer: Issuer) -> Iterator[tuple[str, int]]:
    """Host and port of a gateway with data."""
    asyncio.run(fill(module_database_url))
    settings = Settings(
        database_url=module_database_url,
        jwt_public_key=issuer.pem,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_role_scopes={"reader": frozenset({READ})},
    )
    with serving(create_app(settings)) as address:
        parts = urlsplit(address)
        yield str(parts.hostname), int(parts.port or 0)


def exchange(address: tuple[str, int], request: str) -> str:
    """What comes back for a request, until the connection is closed."""
    with socket.create_connection(address, 10) as connection:
        connection.sendall((request + "\nHost: gateway\nConnection: close\n\n").replace("\n", "\r\n").encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, body = answer.split("\r\n\r\n", 1)
    assert "\n" not in head.replace("\r\n", "")
    lines = [line for line in head.split("\r\n") if not line.lower().startswith(("date:", "server:"))]
    return "\n".join([*lines, "", body])


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_answer_is_the_golden_one(gateway: tuple[str, int], issuer: Issuer, file: Path) -> None:
    request, answer = file.read_text(encoding="utf-8").removesuffix("\n").split(RULE)
    for name, token in tokens(issuer).items():
        request = request.replace(name, token)
    # Python 3.13 calls 422 by its newer name, as any server may: HTTP gives the phrase no meaning.
    answer = answer.replace("422 Unprocessable Entity", f"422 {HTTPStatus(422).phrase}")
    assert exchange(gateway, request) == answer


def test_every_status_of_the_contract_has_a_golden_file() -> None:
    statuses = {file.read_text(encoding="utf-8").split(RULE)[1].split()[1] for file in FILES}
    assert statuses == {"200", "307", "400", "401", "403", "404", "405", "422"}
