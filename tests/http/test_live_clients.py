"""The clients that frontends use, each as its users have it, watch at once: behind a cursor, to the end of a stream."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.websockets import WebsocketsTransport

from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.live import SECONDS, create, sse
from tests.support.rows import OURS, batch, store
from tests.support.serving import gateway_here

pytestmark = pytest.mark.anyio

CLIENTS = {"graphql-sse", "graphql-ws", "apollo-multipart", "apollo-graphql-ws", "urql", "relay"}
WATCH = "subscription Watch($after: String) { callbackDeliveries(after: $after) { node { id } } }"


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, tmp_path / 'live.db')}"


class Told:
    """What each client printed, as it comes."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    async def follow(self, lines: asyncio.StreamReader) -> None:
        """Read to the end."""
        async for line in lines:
            self.lines.append(json.loads(line))
            async with self._changed:
                self._changed.notify_all()

    async def ids(self, *ids: str) -> None:
        """Wait until each client has told these ids."""
        async with asyncio.timeout(2 * SECONDS), self._changed:
            await self._changed.wait_for(lambda: all(self.of(client, "id") == [*ids] for client in CLIENTS))

    def of(self, client: str, what: str) -> list[Any]:
        """What one client told under a name."""
        return [line[what] for line in self.lines if line["client"] == client and what in line]


async def test_clients_from_npm_resume_receive_and_complete(url: str, clients: Path) -> None:
    database = Database(url)
    await store(database, {batches: [batch(1)]})
    key = await create_key(database, OURS, "clients", [READ])
    settings = Settings(database_url=url, profile=Profile.PRODUCTION, watch_seconds=0.1, drain_seconds=0, rate_limit=0)
    told = Told()
    async with gateway_here(settings) as port:
        async with sse(port, key) as stream:
            await create(database, OURS, 1)
            cursor = (await stream.next())["id"]
        rows = [await create(database, OURS, number) for number in (2, 3)]
        program = await asyncio.create_subprocess_exec(
            *("node", "live.mjs", f"http://127.0.0.1:{port}/graphql", key, cursor),
            cwd=clients,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert program.stdout is not None
        assert program.stderr is not None
        following = asyncio.create_task(told.follow(program.stdout))
        try:
            await told.ids(*(row["id"] for row in rows))
            rows.append(await create(database, OURS, 4))
            await told.ids(*(row["id"] for row in rows))
        except TimeoutError:
            program.kill()
            pytest.fail(f"{told.lines} {(await program.stderr.read()).decode()}")
    errors = await program.stderr.read()
    await following
    await program.wait()
    await database.close()
    assert (program.returncode, errors.decode()) == (0, "")
    for client in CLIENTS:
        assert told.of(client, "complete") == [True], told.lines
        assert told.of(client, "error") == []
    for client in ("apollo-multipart", "apollo-graphql-ws", "urql"):
        assert told.of(client, "scopes") == [[READ]]


async def test_the_client_from_pypi_watches(url: str) -> None:
    database = Database(url)
    await store(database, {batches: [batch(1)]})
    key = await create_key(database, OURS, "clients", [READ])
    settings = Settings(database_url=url, profile=Profile.PRODUCTION, watch_seconds=0.1, drain_seconds=0, rate_limit=0)
    seen = []
    async with gateway_here(settings) as port:
        async with sse(port, key) as stream:
            await create(database, OURS, 1)
            cursor = (await stream.next())["id"]
        rows = [await create(database, OURS, number) for number in (2, 3)]
        transport = WebsocketsTransport(
            url=f"ws://127.0.0.1:{port}/graphql",
            init_payload={"Authorization": f"Bearer {key}"},
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )
        async with Client(transport=transport) as session:
            asked = GraphQLRequest(WATCH, variable_values={"after": cursor})
            async for result in session.subscribe(asked):
                seen.append(result["callbackDeliveries"]["node"]["id"])
                if len(seen) == len(rows):
                    break
    await database.close()
    assert seen == [row["id"] for row in rows]
