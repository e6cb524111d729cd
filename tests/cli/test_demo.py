"""The sample history is believable, consistent and the same every time."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest
from sqlalchemy import Table, select

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    metadata,
    organizations,
)
from gateway.database.types import AnyRow
from gateway.reading.payload import body_payload
from gateway.writing.demo import SampleHistory, write_sample
from tests.support.rows import START


async def rows_of(database: Database, table: Table) -> Sequence[AnyRow]:
    return await database.fetch(select(table).order_by(*table.primary_key))


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Database, SampleHistory]]:
    """The sample history, only read from."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}")
    await migrate(database)
    yield database, await write_sample(database, START)
    await database.close()


async def test_the_history_is_the_same_on_every_database(
    database: Database, demo: tuple[Database, SampleHistory]
) -> None:
    other, sample = demo
    assert await write_sample(database, START) == sample
    for table in metadata.sorted_tables:
        assert [tuple(row) for row in await rows_of(database, table)] == [
            tuple(row) for row in await rows_of(other, table)
        ]


async def test_another_seed_is_another_history(database: Database, demo: tuple[Database, SampleHistory]) -> None:
    assert (await write_sample(database, START, seed=2)).batch_id != demo[1].batch_id


async def test_two_organizations_have_five_hundred_batches(demo: tuple[Database, SampleHistory]) -> None:
    database, sample = demo
    assert {row.name for row in await rows_of(database, organizations)} == {"Northlight Studio", "Paper Lantern"}
    found = await rows_of(database, batches)
    assert len(found) == sample.batches == 501
    assert {row.org_id for row in found} == set(sample.organization_ids)
    assert all((START - row.created_at).days <= 30 and row.created_at < START for row in found)


async def test_deliveries_have_every_status_and_reason(demo: tuple[Database, SampleHistory]) -> None:
    deliveries = await rows_of(demo[0], batch_callback_deliveries)
    statuses = Counter(row.status_code for row in deliveries)
    assert statuses.keys() == {"pending", "retrying", "delivered", "failed"}
    assert statuses["delivered"] > 0.75 * len(deliveries)
    reasons = {row.failure_reason_code for row in deliveries if row.status_code == "failed"}
    assert reasons == {"timeout", "connection_refused", "tls_error", "dns_error", "http_4xx", "http_5xx"}


async def test_deliveries_agree_with_their_attempts(demo: tuple[Database, SampleHistory]) -> None:
    tries: dict[str, list[AnyRow]] = {}
    for row in sorted(await rows_of(demo[0], batch_callback_delivery_attempts), key=lambda row: row.attempt_number):
        tries.setdefault(row.delivery_id, []).append(row)
    for row in await rows_of(demo[0], batch_callback_deliveries):
        made = tries.get(row.id, [])
        assert [one.attempt_number for one in made] == list(range(1, row.attempt_count + 1))
        times = [row.created_at, *(one.created_at for one in made), row.completed_at or START]
        assert times == sorted(times)
        assert (
            (row.completed_at is None)
            == (row.status_code in {"pending", "retrying"})
            == (row.next_attempt_at is not None)
        )
        assert (row.status_code == "delivered") == bool(made and 200 <= (made[-1].status_code or 0) < 300)


async def test_some_deliveries_are_under_way_and_some_overdue(demo: tuple[Database, SampleHistory]) -> None:
    waiting = [row for row in await rows_of(demo[0], batch_callback_deliveries) if row.completed_at is None]
    assert len({row.batch_id for row in waiting}) == len(waiting)
    assert sum(row.next_attempt_at > START for row in waiting) >= 3
    assert sum(row.next_attempt_at < START for row in waiting) >= 3


async def test_the_batch_to_show_was_sent_again_by_hand(demo: tuple[Database, SampleHistory]) -> None:
    database, sample = demo
    deliveries = await rows_of(database, batch_callback_deliveries)
    shown = sorted((row for row in deliveries if row.batch_id == sample.batch_id), key=lambda row: row.created_at)
    assert [(row.is_automatic, row.status_code) for row in shown] == [(True, "failed"), (False, "delivered")]
    assert shown[0].completed_at < shown[1].created_at
    assert all(row.org_id == sample.organization_id for row in shown)


async def test_bodies_are_the_contract_s_and_cost_is_what_succeeded(demo: tuple[Database, SampleHistory]) -> None:
    parents = {row.id: row for row in await rows_of(demo[0], batches)}
    deliveries = await rows_of(demo[0], batch_callback_deliveries)
    unread = [row for row in deliveries if body_payload(row.payload_bytes) is None]
    assert len(unread) == 1
    for row in deliveries:
        if row not in unread:
            body, of = json.loads(row.payload_bytes), parents[row.batch_id]
            assert (body["status"], body["output"], body["metadata"]) == (of.status_code, of.output, of.metadata)
            assert body["completed_at"] == of.completed_at.isoformat()
            prices = {"aurora-xl": "0.0400", "aurora-video": "0.3500", "lantern-2": "0.0125"}
            assert Decimal(of.cost) == Decimal(prices[of.target_id]) * of.items_succeeded


async def test_there_is_something_of_everything(demo: tuple[Database, SampleHistory]) -> None:
    deliveries = await rows_of(demo[0], batch_callback_deliveries)
    attempts = await rows_of(demo[0], batch_callback_delivery_attempts)
    assert max(len(row.payload_bytes) for row in deliveries) > 64_000
    assert max(len(row.response_body or "") for row in attempts) > 64_000
    assert any("Bearer" in (row.response_body or "") for row in attempts)
    assert any("token=" in row.callback_url for row in deliveries)
    assert len({row.callback_host for row in deliveries}) > 6
    assert {row.id for row in await rows_of(demo[0], batches)} - {row.batch_id for row in deliveries}
