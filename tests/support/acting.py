"""Gateways that ask a platform, in tests: batches to deliver again, and a client that may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.settings import Profile, Settings
from gateway.viewer import READ, REDELIVER
from gateway.writing.api_keys import create_key
from tests.support.rows import OURS, Rows, history


def ended(count: int = 1, organization: str = OURS) -> Rows:
    """Batches that have ended and have a URL, with a delivery each that failed."""
    rows = history(count, deliveries=1, attempts=0, organization=organization)
    for of in rows[batches]:
        of.update(status_code="succeeded", completed_at=of["created_at"], callback_url="https://hooks.example/in")
    for of in rows[deliveries]:
        of.update(status_code="failed", is_automatic=True)
    return rows


@asynccontextmanager
async def acting(
    database: Database,
    database_url: str,
    platform_url: str | None,
    scopes: tuple[str, ...] = (READ, REDELIVER),
    organization: str = OURS,
    **values: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway over the database that asks the platform at that address, at any pace."""
    key = await create_key(database, organization, "acting", list(scopes))
    known = {"rate_limit": 0, "platform_rate": 0, "platform_answer_seconds": 0.5, "platform_look_seconds": 0, **values}
    settings = Settings(database_url=database_url, platform_url=platform_url, profile=Profile.DEVELOPMENT, **known)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://gateway",
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
        ) as client,
    ):
        yield client
