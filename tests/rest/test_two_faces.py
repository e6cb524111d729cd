"""One read path, two faces: REST and GraphQL tell the same of every batch of the sample, field by field."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.reading.pages import Order, Slice
from gateway.reading.questions import PageOf
from gateway.reading.reader import Reader
from gateway.settings import Settings
from gateway.viewer import READ, READ_SECRETS
from gateway.writing.api_keys import create_key
from gateway.writing.demo import write_sample
from tests.support.rows import START

DELIVERIES = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Batch { id callbackDeliveries(first: 50) {
  id batchId callbackUrl payloadBytes signingSecretId isAutomatic statusCode failureReasonCode failureDetail
  attemptCount maxAttempts nextAttemptAt createdAt updatedAt completedAt
  payload { event batchId status output durationMs createdAt completedAt metadata }
  attempts(first: 50) {
    id deliveryId attemptNumber statusCode responseBody responseTimeMs errorMessage createdAt } } } } }"""


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _as_rest(value: dict[str, Any]) -> dict[str, Any]:
    """A delivery as GraphQL tells it, with the names and forms of REST."""
    told = {_snake(name): part for name, part in value.items()}
    told["attempts"] = [{_snake(name): part for name, part in each.items()} for each in value["attempts"]]
    if (payload := value["payload"]) is not None:
        told["payload"] = {_snake(name): part for name, part in payload.items()}
        told["payload"]["event"] = "batch." + payload["event"].removeprefix("BATCH_").lower()
        told["payload"]["status"] = payload["status"].lower()
    return told


def _in_one_form(delivery: dict[str, Any]) -> dict[str, Any]:
    """The times of a payload, which REST writes with their own offset and GraphQL in UTC, as instants."""
    for name in ("created_at", "completed_at"):
        if delivery["payload"] is not None and delivery["payload"][name] is not None:
            delivery["payload"][name] = datetime.fromisoformat(delivery["payload"][name])
    return delivery


@pytest.mark.no_cover
async def test_both_faces_tell_the_same_of_every_batch(database: Database) -> None:
    sample = await write_sample(database, START)
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False), rate_limit=0))
    seen = 0
    for organization in sample.organization_ids:
        key = await create_key(database, organization, "both faces", [READ, READ_SECRETS])
        everything = PageOf(batches, frozenset(), None, Order("created_at"), Slice(1000))
        ids = [row.id for row in (await Reader(database, organization).load(everything)).rows]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            for start in range(0, len(ids), 20):
                asked = {"query": DELIVERIES, "variables": {"ids": ids[start : start + 20]}}
                answer = (await client.post("/graphql", json=asked)).json()
                assert "errors" not in answer
                for node in answer["data"]["nodes"]:
                    rest = (await client.get(f"/v1/batches/{node['id']}/callback")).json()
                    graphql = [_as_rest(delivery) for delivery in node["callbackDeliveries"]]
                    assert [*map(_in_one_form, graphql)] == [*map(_in_one_form, rest)]
                    seen += len(rest)
    assert seen == sample.deliveries > 400
