"""Many callbacks delivered again: what a dry run names is what a run does, at its pace, and what is left is told."""

import asyncio
import json
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.deadline import Deadline
from gateway.errors import StatementTimeout, Unavailable
from gateway.platform.bulk import BulkRedeliveries, LatestOfBatch
from gateway.platform.client import Platform
from gateway.platform.outcomes import Refused
from gateway.platform.redelivery import Redeliveries
from gateway.reading import queries
from gateway.reading.filters import CallbackDeliveryFilter, TextFilter
from gateway.reading.history import OLDEST_FIRST
from gateway.reading.pages import Slice
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility
from gateway.settings import PlatformSettings
from gateway.signing import Signer
from gateway.viewer import READ, REDELIVER, Viewer
from gateway.writing.api_keys import create_key
from tests.support.acting import acting, ended
from tests.support.commands import running
from tests.support.platform import TestPlatform, platform_over
from tests.support.rows import OURS, START, THEIRS, Rows, delivery, identifier, store
from tests.support.tenancy import assert_names_organization

pytestmark = pytest.mark.anyio

SECRET = "a secret of all gateways"
FAILED = {"statusCode": {"eq": "failed"}}
DOCUMENT = """
mutation Again($input: RedeliverCallbacksInput!) {
  redeliverCallbacks(input: $input) {
    dryRun token expiresAt totalCount { value precision }
    results {
      __typename
      ... on RedeliveryMade { batchId delivery { id } }
      ... on RedeliveryRefused { batchId reason }
      ... on RedeliveryUnknown { batchId }
      ... on RedeliveryPlanned { batchId delivery { id statusCode } }
    }
  }
}
"""


async def asked(client: httpx.AsyncClient, **values: Any) -> Any:
    """The answer to a `redeliverCallbacks`, or the code of its error."""
    answer = await client.post("/graphql", json={"query": DOCUMENT, "variables": {"input": values}}, timeout=60)
    body = answer.json()
    return body["errors"][0]["extensions"]["code"] if "errors" in body else body["data"]["redeliverCallbacks"]


def told(answer: Any) -> list[tuple[str, str]]:
    """What each batch came to, in a word."""
    return [(each["batchId"], each.get("reason") or each["__typename"]) for each in answer["results"]]


def ids(*numbers: int) -> list[str]:
    return [identifier(0xBA, number) for number in numbers]


def six() -> Rows:
    """Six batches: the third has not ended, the fifth has no URL, and the sixth was delivered by hand."""
    rows = ended(6)
    rows[batches][2].update(completed_at=None, status_code="running")
    rows[batches][4].update(callback_url=None)
    rows[deliveries].append(delivery(rows[batches][5], 600, status_code="delivered", is_automatic=False))
    return rows


async def test_a_dry_run_names_what_a_run_does_while_rows_change(database: Database, database_url: str) -> None:
    await store(database, six())
    async with platform_over(database) as platform, acting(database, database_url, platform.url) as client:
        plan = await asked(client, filter=FAILED)
        assert told(plan) == [
            *((id_, "RedeliveryPlanned") for id_ in ids(1, 2)),
            (ids(3)[0], "NOT_ENDED"),
            (ids(4)[0], "RedeliveryPlanned"),
            (ids(5)[0], "NO_CALLBACK_URL"),
        ]
        assert (plan["dryRun"], plan["totalCount"]) == (True, {"value": 5, "precision": "EXACT"})
        assert platform.seen == []

        await change(database)
        done = await asked(client, filter=FAILED, dryRun=False, token=plan["token"])
        assert told(done) == [
            (ids(1)[0], "RedeliveryMade"),
            (ids(2)[0], "CHANGED"),
            (ids(4)[0], "NO_CALLBACK_URL"),
        ]
        assert (done["dryRun"], done["token"], done["totalCount"]) == (False, None, None)
        assert platform.taken == ids(1)

        twice = await asked(client, filter=FAILED, dryRun=False, token=plan["token"])
        assert [reason for _, reason in told(twice)] == ["CHANGED", "CHANGED", "NO_CALLBACK_URL"]
        assert len(platform.seen) == 1


async def change(database: Database) -> None:
    """Meanwhile the second is sent again by somebody else, the third ends, and the fourth loses its URL."""
    async with database.transaction() as connection:
        other = delivery(ended(2)[batches][1], 700, status_code="failed", is_automatic=False)
        await connection.execute(insert(deliveries), other)
        of = batches.c.id
        await connection.execute(update(batches).where(of == ids(3)[0]).values(completed_at=other["created_at"]))
        await connection.execute(update(batches).where(of == ids(4)[0]).values(callback_url=None))


async def test_a_plan_is_of_so_many_batches_of_the_organization(database: Database, database_url: str) -> None:
    rows, theirs = ended(5), ended(9, THEIRS)
    await store(database, {table: rows[table] + theirs[table][5:] for table in (batches, deliveries)})
    async with acting(database, database_url, "http://127.0.0.1:9", platform_most=3) as client:
        plan = await asked(client, filter=FAILED, first=2)
        assert (told(plan), plan["totalCount"]["value"]) == ([(id_, "RedeliveryPlanned") for id_ in ids(1, 2)], 5)
        assert [await asked(client, first=first) for first in (0, 4)] == ["VALIDATION_ERROR"] * 2


async def test_without_a_platform_a_plan_says_so(database: Database, database_url: str) -> None:
    await store(database, ended(2))
    async with acting(database, database_url, None) as client:
        plan = await asked(client, filter=FAILED)
    assert (told(plan), plan["token"]) == ([(id_, "NOT_OFFERED") for id_ in ids(1, 2)], None)


async def test_a_token_is_for_its_viewer_and_filter(database: Database, database_url: str) -> None:
    await store(database, ended(2))
    async with platform_over(database) as platform:
        async with acting(database, database_url, platform.url, signing_secret=SECRET) as client:
            token = (await asked(client, filter=FAILED))["token"]
            wrong = [
                await asked(client, filter=FAILED, dryRun=False),
                await asked(client, dryRun=False, token=token),
                await asked(client, filter=FAILED, dryRun=False, token=token[:-3]),
                await asked(client, filter=FAILED, dryRun=False, token="x"),
            ]
        async with acting(database, database_url, platform.url, signing_secret=SECRET) as other:
            wrong.append(await asked(other, filter=FAILED, dryRun=False, token=token))
        async with acting(database, database_url, platform.url, (READ,)) as reading:
            wrong.append(await asked(reading, filter=FAILED))
    assert wrong == ["VALIDATION_ERROR", "BAD_TOKEN", "BAD_TOKEN", "BAD_TOKEN", "BAD_TOKEN", "PERMISSION_DENIED"]
    assert platform.seen == []


async def test_no_more_are_asked_for_at_a_time_than_may_be(database: Database, database_url: str) -> None:
    await store(database, ended(9))
    async with (
        platform_over(database) as platform,
        acting(database, database_url, platform.url, platform_at_once=3, platform_answer_seconds=5) as client,
    ):
        platform.go_on.clear()
        token = (await asked(client, filter=FAILED))["token"]
        run = asyncio.create_task(asked(client, filter=FAILED, dryRun=False, token=token))
        for _ in range(3):
            await platform.arrived.acquire()
        platform.go_on.set()
        assert {reason for _, reason in told(await run)} == {"RedeliveryMade"}
    assert platform.at_once == 3
    assert sorted(platform.taken) == sorted(ids(*range(1, 10)))


async def test_what_would_not_end_in_time_is_left_for_the_next_run(database: Database, database_url: str) -> None:
    await store(database, ended(3))
    async with platform_over(database) as platform:
        key = ""
        async with acting(
            database, database_url, platform.url, signing_secret=SECRET, deadline_seconds=4, platform_answer_seconds=5
        ) as client:
            token = (await asked(client, filter=FAILED))["token"]
            done = await asked(client, filter=FAILED, dryRun=False, token=token)
            key = client.headers["authorization"]
        assert told(done) == [(id_, "NOT_BEGUN") for id_ in ids(1, 2, 3)]
        assert platform.seen == []
        async with acting(database, database_url, platform.url, signing_secret=SECRET) as client:
            client.headers["authorization"] = key
            rest = await asked(client, filter=FAILED, dryRun=False, token=done["token"])
    assert told(rest) == [(id_, "RedeliveryMade") for id_ in ids(1, 2, 3)]


class Interrupted(Database):
    """A database that fails the next statements so."""

    failures: list[Exception]

    async def run(self, *arguments: Any, **options: Any) -> Any:
        if self.failures:
            raise self.failures.pop()
        return await super().run(*arguments, **options)


async def test_a_batch_that_cannot_be_looked_up_is_left_and_the_others_are_told(database: Database) -> None:
    await store(database, ended(3))
    interrupted = Interrupted(database.url.render_as_string(hide_password=False))
    interrupted.failures = []
    where, signer = CallbackDeliveryFilter(status_code=TextFilter(eq="failed")), Signer()
    viewer = Viewer(OURS, frozenset({READ, REDELIVER}), "a key")
    async with platform_over(database, lambda _: "cut") as platform:
        asked_platform = Platform(PlatformSettings(platform_url=platform.url, platform_rate=0, platform_at_once=1))
        many = BulkRedeliveries(Redeliveries(asked_platform, viewer, "token"), signer, Deadline(None))
        plan = await many.plan(Reader(interrupted, OURS), where, 3)
        interrupted.failures = [StatementTimeout("slow"), Unavailable("gone")]
        done = await many.run(Reader(interrupted, OURS, newest=True), where, str(plan.token))
        rest = await many.run(Reader(interrupted, OURS, newest=True), where, str(done.token))
        await asked_platform.close()
    await interrupted.close()
    words = [each.message if isinstance(each, Refused) else type(each).__name__ for each in done.outcomes]
    assert words == ["gone", "slow", "Made"]
    assert ([type(each).__name__ for each in rest.outcomes], rest.token) == (["Made"] * 2, None)
    assert sorted(platform.taken) == ids(1, 2, 3)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_a_gateway_that_is_ended_in_the_middle_tells_what_was_done(
    sqlite_template: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    shutil.copy(sqlite_template, tmp_path / "acting.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'acting.db'}")
    await store(database, ended(6))
    key = await create_key(database, OURS, "acting", [READ, REDELIVER])
    async with platform_over(database) as platform:
        platform.go_on.clear()
        answer: Any = None
        log = ""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        variables = {
            "GATEWAY_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'acting.db'}",
            "GATEWAY_PLATFORM_URL": platform.url,
            "GATEWAY_PLATFORM_AT_ONCE": "2",
            "GATEWAY_PLATFORM_RATE": "0",
            "GATEWAY_PROFILE": "development",
            "GATEWAY_LOG_FORMAT": "json",
            "GATEWAY_LOG_LEVEL": "ERROR",
            "GATEWAY_DRAIN_SECONDS": "60",
        }
        started = running(tmp_path, "serve", "--port", str(port), first="Listening", **variables)
        process, _ = await asyncio.to_thread(started.__enter__)
        try:
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
                token = (await asked(client, filter=FAILED))["token"]
                run = asyncio.create_task(asked(client, filter=FAILED, dryRun=False, token=token))
                for _ in range(2):
                    await platform.arrived.acquire()
                process.send_signal(ending)
                if ending is signal.SIGTERM:
                    while (await client.get("/readyz")).status_code != 503:
                        pass
                    platform.go_on.set()
                    answer = await run
                else:
                    with pytest.raises(httpx.HTTPError):
                        await run
                    platform.go_on.set()
                    log = (await asyncio.to_thread(process.communicate))[1]
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
        await database.close()
        check(platform, answer, log)


def check(platform: TestPlatform, answer: Any, log: str) -> None:
    """Two were asked for: the answer says so, or where none came the audit log does."""
    assert len(platform.seen) == 2
    asked_for = {request.batch_id for request in platform.seen}
    if answer is not None:
        assert {id_ for id_, reason in told(answer) if reason == "RedeliveryMade"} == asked_for
        assert [reason for _, reason in told(answer)].count("NOT_BEGUN") == 4
        assert answer["token"]
        return
    lines = [json.loads(line) for line in log.splitlines() if '"audit"' in line]
    assert {line["batch"] for line in lines if line["message"] == "redelivery begun"} == asked_for
    assert not [line for line in lines if line["message"] == "redelivery"]


def test_what_a_plan_reads_is_held_to_the_organization() -> None:
    scope = Visibility(OURS, START)
    latest = LatestOfBatch(CallbackDeliveryFilter(overdue=True))
    asked_for = Slice(5, after=(START, ids(1)[0]))
    assert_names_organization(queries.rows_in_order(scope, deliveries, {"id"}, latest, OLDEST_FIRST, asked_for))
    assert_names_organization(queries.count_up_to(scope, deliveries, latest, 10))
