"""The gateway over a database that the platform already has: it reads, and needs nothing else."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.migrate import migrate, prepare_database
from gateway.errors import DatabaseUnavailable, OperatorError, SchemaBehind
from gateway.settings import DatabaseSettings, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key, list_keys
from tests.cli.test_cli import ask
from tests.support.commands import run, running
from tests.support.existing import Existing, existing_database
from tests.support.issuer import ISSUER, Issuer
from tests.support.rows import OURS, identifier

BATCH = identifier(0xBA, 1)
QUERY = f'{{ batch(id: "{BATCH}") {{ callbackDeliveries {{ attempts {{ id }} }} }} }}'
EACH = [3, 3]  # attempts of each delivery


@pytest.fixture(params=["sqlite", "postgresql"])
def without_keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Existing]:
    if request.param == "postgresql":
        request.getfixturevalue("postgres_url")
    with existing_database(request.param, tmp_path, keys=False) as made:
        yield made


@asynccontextmanager
async def client(settings: Settings, credential: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    headers = {"Authorization": f"Bearer {credential}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        yield client


async def new_key(url: str, schema: str | None = None) -> str:
    database = Database(url, DatabaseSettings(database_schema=schema))
    token = await create_key(database, OURS, "test", [READ])
    await database.close()
    return token


async def both_faces(client: httpx.AsyncClient) -> tuple[list[int], list[int]]:
    """How many attempts each delivery of a batch has, as GraphQL and as REST answer."""
    graph = (await client.post("/graphql", json={"query": QUERY})).json()
    assert "errors" not in graph, graph["errors"]
    rest = (await client.get(f"/v1/batches/{BATCH}/callback")).json()
    return [len(d["attempts"]) for d in graph["data"]["batch"]["callbackDeliveries"]], [
        len(d["attempts"]) for d in rest
    ]


async def test_both_faces_answer_to_a_role_that_may_only_read(
    existing: Existing, caplog: pytest.LogCaptureFixture
) -> None:
    key = await new_key(existing.url, existing.schema)
    caplog.set_level(logging.WARNING)
    async with client(existing.settings(), key) as asking:
        assert await both_faces(asking) == (EACH, EACH)
        assert (await asking.get("/readyz")).status_code == 200
    assert [record.name for record in caplog.records] == ["gateway.writing.last_used"]


def test_the_server_serves_it(existing: Existing, tmp_path: Path) -> None:
    variables = {"GATEWAY_DATABASE_URL": existing.reader} | existing.schema_variable
    owner = variables | {"GATEWAY_DATABASE_URL": existing.url}
    status, key, errors = run(tmp_path, "keys", "create", "--organization", OURS, "--name", "test", **owner)
    assert status == 0, errors
    with running(tmp_path, "serve", "--port", "0", first="Listening", **variables) as (_, said):
        address = said.split()[-1]
        assert len(ask(f"{address}/v1/batches/{BATCH}/callback", key=key.strip())) == 2
        assert ask(f"{address}/graphql", {"query": QUERY}, key.strip())["data"]["batch"]


async def test_keys_may_live_in_another_database(without_keys: Existing, tmp_path: Path) -> None:
    elsewhere = f"sqlite+aiosqlite:///{tmp_path / 'keys.db'}"
    settings = without_keys.settings(keys_database_url=elsewhere)
    keys = Database(elsewhere)
    await prepare_database(keys)
    token = await create_key(keys, OURS, "test", [READ])
    async with client(settings, token) as asking:
        assert await both_faces(asking) == (EACH, EACH)
        assert (await asking.get("/readyz")).status_code == 200
    (key,) = await list_keys(keys)
    assert key.last_used_at is not None
    await keys.close()


def test_the_commands_for_keys_know_where_keys_live(database_url: str, tmp_path: Path) -> None:
    variables = {"GATEWAY_DATABASE_URL": "sqlite:///rows.db", "GATEWAY_KEYS_DATABASE_URL": database_url}
    status, _, errors = run(tmp_path, "keys", "create", "--organization", OURS, "--name", "here", **variables)
    assert (status, errors) == (0, "")
    assert "\there\t" in run(tmp_path, "keys", "list", "--database-url", database_url)[1]
    assert not (tmp_path / "rows.db").exists()


async def test_without_keys_tokens_are_enough(without_keys: Existing) -> None:
    issuer = Issuer()
    settings = without_keys.settings(jwt_public_key=issuer.pem, jwt_issuer=ISSUER, jwt_audience="callback-gateway")
    async with client(settings, issuer.token(org_id=OURS, scope=READ)) as asking:
        assert await both_faces(asking) == (EACH, EACH)
        asking.headers["Authorization"] = "Bearer gw_some_key"
        assert (await asking.get(f"/v1/batches/{BATCH}/callback")).status_code == 401


async def test_without_keys_and_tokens_nobody_could_be_let_in(without_keys: Existing) -> None:
    with pytest.raises(SchemaBehind, match=r"^Nobody could be let in: .*api_keys"):
        async with client(without_keys.settings(), "any"):
            pass


def test_what_is_missing_is_said_in_one_line(existing: Existing, tmp_path: Path) -> None:
    existing.run(
        "ALTER TABLE batches DROP COLUMN cost",
        "ALTER TABLE batch_callback_delivery_attempts DROP COLUMN error_message_masked",
    )
    variables = {"GATEWAY_DATABASE_URL": existing.reader} | existing.schema_variable
    status, output, errors = run(tmp_path, "serve", "--port", "0", **variables)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "batches.cost" in errors
    assert "batch_callback_delivery_attempts.error_message_masked" in errors
    assert "`gateway doctor`" in errors


def test_what_the_role_may_not_read_is_said_in_one_line(postgres_existing: Existing, tmp_path: Path) -> None:
    postgres_existing.run(f"REVOKE SELECT ON batches FROM {postgres_existing.role}")
    variables = {"GATEWAY_DATABASE_URL": postgres_existing.reader} | postgres_existing.schema_variable
    status, _, errors = run(tmp_path, "serve", "--port", "0", **variables)
    assert (status, errors.count("\n")) == (1, 1)
    assert "permission denied for table batches" in errors


async def test_tables_of_somebody_else_are_not_migrated(existing: Existing) -> None:
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    with pytest.raises(OperatorError, match="somebody else's"):
        await migrate(database)
    await database.close()


def test_the_demo_is_a_database_of_its_own(tmp_path: Path) -> None:
    variables = {"GATEWAY_KEYS_DATABASE_URL": "sqlite:///keys.db", "GATEWAY_DATABASE_SCHEMA": "platform"}
    with running(tmp_path, "demo", "--port", "0", first="REST", **variables) as (_, said):
        address, batch = (line.split()[1] for line in said.splitlines() if line.startswith(("Explorer", "Batch")))
        assert ask(f"{address.removesuffix('/graphql')}/v1/batches/{batch}/callback")
    assert not (tmp_path / "keys.db").exists()


def test_sqlite_has_no_schemas() -> None:
    with pytest.raises(DatabaseUnavailable, match="GATEWAY_DATABASE_SCHEMA is for PostgreSQL"):
        Database("sqlite:///any.db", DatabaseSettings(database_schema="platform"))
