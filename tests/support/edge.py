"""The GraphQL edge in tests: a gateway over a small history, and a client that holds its key."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.rows import OURS, history, identifier, store

KEY = "gw_edge"
BATCH = identifier(0xBA, 1)
JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"


def furnished(template: Path, folder: Path) -> str:
    """The URL of a database with three batches, two deliveries each, three attempts each, and the keys."""
    path = folder / "edge.db"
    shutil.copy(template, path)
    url = f"sqlite+aiosqlite:///{path}"
    asyncio.run(_furnish(url))
    return url


async def _furnish(url: str) -> None:
    database = Database(url)
    await store(database, history(3))
    await create_key(database, OURS, "edge", [READ], KEY)
    await create_key(database, OURS, "edge that sees costs", [READ, "cost:read"], f"{KEY}_cost")
    await create_key(database, OURS, "edge that reads nothing", [], f"{KEY}_nothing")
    await database.close()


def settings(url: str, profile: str = "development", **values: Any) -> Settings:
    """The settings of a gateway over that database; any number of requests is let through."""
    return Settings(database_url=url, profile=Profile(profile), **{"rate_limit": 0, **values})


@asynccontextmanager
async def gateway(
    url: str, profile: str = "development", key: str | None = KEY, **values: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of such a gateway; it sends the key."""
    app = create_app(settings(url, profile, **values))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        yield client


async def ask(client: httpx.AsyncClient, query: str, accept: str = RESPONSE_JSON, **more: Any) -> httpx.Response:
    """POST a document, and whatever more the body is to hold."""
    return await client.post("/graphql", json={"query": query, **more}, headers={"Accept": accept})


def code(response: httpx.Response) -> str:
    """The code of the only error of an answer without data."""
    body = response.json()
    assert set(body) == {"errors"}, body
    (error,) = body["errors"]
    return str(error["extensions"]["code"])
