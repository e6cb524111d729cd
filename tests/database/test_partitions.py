"""The same statements over rows that lie elsewhere: in hash partitions, and on two other servers by postgres_fdw."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.counting.triggers import unwatch_tables
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.replicas import Affinity
from gateway.database.statements import CompiledStatement
from gateway.database.tables import batch_callback_deliveries, batches
from gateway.http.explorer import gallery
from gateway.reading.changes import ChangesSince, SlotsChangedSince
from gateway.reading.exporting import export_lines
from gateway.reading.pages import Order, Slice
from gateway.reading.questions import PageOf
from gateway.reading.reader import Reader
from gateway.rest.history import read_page
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from gateway.writing.demo import SampleHistory, write_sample
from gateway.writing.importing import import_file
from tests.reading.test_stats import EVERYTHING
from tests.support.asking import NOW, data, is_subscription
from tests.support.counted import Books
from tests.support.placement import partition, shard
from tests.support.rows import OURS, START, THEIRS, Rows, history, identifier, replace
from tests.support.servers import postgres_server
from tests.support.strategies import as_variable, attempt_filters, batch_filters, delivery_filters, histories

pytestmark = pytest.mark.postgresql
PLACEMENTS = ["partitions", "servers"]
LISTS = """query (
  $ids: [ID!]!
  $batches: BatchFilter, $batchOrder: BatchOrder
  $deliveries: CallbackDeliveryFilter, $deliveryOrder: CallbackDeliveryOrder
  $attempts: CallbackAttemptFilter, $attemptOrder: CallbackAttemptOrder
) {
  nodes(ids: $ids) { id __typename }
  batches(first: 3, filter: $batches, orderBy: $batchOrder) {
    nodes {
      id callbackHealth callbackDeliveryCount(filter: $deliveries)
      callbackDeliveries(first: 2, filter: $deliveries, orderBy: $deliveryOrder) {
        id latestAttempt { id } attemptTotal: attemptCount batch { id }
        attempts(first: 2) { id errorMessage }
      }
    }
    pageInfo { hasNextPage endCursor } totalCount { value precision }
  }
  callbackDeliveries(last: 3, filter: $deliveries, orderBy: $deliveryOrder) {
    nodes { id } pageInfo { hasPreviousPage startCursor } totalCount { value precision }
  }
  callbackAttempts(first: 3, filter: $attempts, orderBy: $attemptOrder) {
    nodes { id } pageInfo { hasNextPage endCursor } totalCount { value precision }
  }
}"""
SEED = 4  # of a sample whose two organizations lie on different servers
IDS = [identifier(kind, number) for kind, number in ((0xBA, 1), (0xDE, 1), (0xA7, 1001), (0xBA, 99))]


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """A database of plain tables, one of hash partitions, and one whose rows live on two other servers."""
    with ExitStack() as running:
        server, *shards = (running.enter_context(postgres_server()) for _ in range(3))
        urls = {name: server.url(name) for name in ("plain", *PLACEMENTS)}
        for name, url in urls.items():
            server.sql(f"CREATE DATABASE {name}")
            asyncio.run(_migrated(url))
        for each in shards:
            asyncio.run(_migrated(each.url()))
        partition(server, "partitions")
        shard(server, "servers", shards)
        yield urls


async def _migrated(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


class _Asked(Database):
    """A database that remembers what it is asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[str, list[Any]]] = []

    async def run(
        self,
        prepared: CompiledStatement,
        values: Mapping[str, Any],
        affinity: Affinity | None = None,
        *,
        newest: bool = False,
    ) -> Any:
        self.asked.append((prepared.text, prepared.arguments(values)))
        return await super().run(prepared, values, affinity, newest=newest)


@pytest.fixture
async def plain(urls: dict[str, str]) -> AsyncIterator[Database]:
    database = Database(urls["plain"])
    yield database
    await database.close()


@pytest.fixture(params=PLACEMENTS)
async def placed(request: pytest.FixtureRequest, urls: dict[str, str]) -> AsyncIterator[_Asked]:
    database = _Asked(urls[request.param])
    yield database
    await database.close()


def _order(*fields: str) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"field": st.sampled_from(fields), "direction": st.sampled_from(("ASC", "DESC"))})


# The databases are shared by all examples on purpose: each replaces all of their rows.
@pytest.mark.no_cover
@given(
    rows=histories(),
    asked=st.fixed_dictionaries(
        {
            "batches": batch_filters().map(as_variable),
            "batchOrder": _order("CREATED_AT", "COMPLETED_AT"),
            "deliveries": delivery_filters().map(as_variable),
            "deliveryOrder": _order("CREATED_AT", "COMPLETED_AT", "NEXT_ATTEMPT_AT"),
            "attempts": attempt_filters().map(as_variable),
            "attemptOrder": _order("CREATED_AT", "RESPONSE_TIME_MS"),
        }
    ),
)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_lists_and_statistics_are_the_same_wherever_rows_lie(
    plain: Database, placed: _Asked, rows: Rows, asked: dict[str, Any]
) -> None:
    counted = {"filter": asked["deliveries"], "bucket": "HOUR", "zone": "Europe/Berlin", "hosts": 5}
    for database in (plain, placed):
        await replace(database, rows)
    for organization in (OURS, THEIRS):
        for query, variables in ((LISTS, {"ids": IDS, **asked}), (EVERYTHING, counted)):
            answers = [await data(database, query, organization, **variables) for database in (plain, placed)]
            assert answers[0] == answers[1]


async def test_both_faces_answer_the_same_wherever_rows_lie(plain: Database, placed: _Asked) -> None:
    answers = []
    for database in (plain, placed):
        await replace(database, {})
        answers.append(await _told(database, await write_sample(database, START, seed=SEED)))
    assert len(answers[0]) > 100
    assert answers[0] == answers[1]


async def _told(database: Database, sample: SampleHistory) -> list[Any]:
    """What REST tells of every fourth batch of the sample, and GraphQL to each question of the explorer's gallery."""
    told: list[Any] = []
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False), rate_limit=0))
    for organization in sample.organization_ids:
        key = await create_key(database, organization, "wherever", [READ])
        everything = PageOf(batches, frozenset(), None, Order("created_at"), Slice(1000))
        ids = [row.id for row in (await Reader(database, organization).load(everything)).rows][::4]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            rest = [(await client.get(f"/v1/batches/{id_}/callback")).json() for id_ in ids]
        told += rest
        shown = {"ABatch": ids[-1], "AnInvestigation": next(each[0]["id"] for each in reversed(rest) if each)}
        for question in (each for each in gallery() if not is_subscription(each.query)):
            variables = {"id": shown[question.name]} if question.name in shown else question.variables
            told.append(await data(database, question.query, organization, **variables))
    return told


async def test_what_is_exported_is_imported_wherever_rows_lie(placed: _Asked, tmp_path: Path) -> None:
    await replace(placed, history(5))
    lines = b"".join([piece async for piece in export_lines(placed, OURS)])
    file = tmp_path / "batches.ndjson"
    file.write_bytes(lines)
    again = await import_file(placed, file, OURS, lambda _: None)
    assert (again.batches, again.unchanged) == (0, 45)
    await replace(placed, {})
    assert (await import_file(placed, file, OURS, lambda _: None)).attempts == 30
    assert b"".join([piece async for piece in export_lines(placed, OURS)]) == lines


async def test_every_statement_of_an_organization_reads_one_place(placed: _Asked) -> None:
    await replace(placed, history(3))
    places: set[str] = set()
    await read_page(Reader(placed, OURS), identifier(0xBA, 1))
    asked: dict[str, Any] = {"filter": {"attempts": {"some": {}}}, "bucket": "DAY", "zone": "UTC", "hosts": 5}
    await data(placed, EVERYTHING, **asked)
    some = {"callbackDeliveries": {"some": {}, "none": {"overdue": True}}}
    await data(placed, LISTS, ids=IDS, batches=some)
    assert len(placed.asked) > 15
    for statement, arguments in placed.asked:
        relations = await _relations(placed, statement, arguments)
        assert relations
        places |= {name.rpartition("_")[2] for name in relations}
    assert len(places) == 1
    assert places < {"0", "1", "2", "3"}


async def test_stored_periods_lie_in_the_place_of_their_rows(urls: dict[str, str], plain: Database) -> None:
    placed = _Asked(urls["partitions"])
    for database in (plain, placed):
        await replace(database, history(30))
    books = Books(placed)
    await books.open()
    placed.asked.clear()
    asked: dict[str, Any] = {"filter": None, "bucket": "DAY", "zone": "UTC", "hosts": 5}
    assert await books.answered(EVERYTHING, NOW, **asked) == (await data(plain, EVERYTHING, **asked))["callbackStats"]
    await books.counter.rows.count(OURS, 0, 2**20)
    await books.counter.rows.next_number(OURS, 0)
    await books.counter.stored.uncovered(OURS)
    await books.counter.stored.first_counted(OURS, 0)
    await books.counter.stored.marks(OURS, 2**20)
    await Reader(placed, OURS).load(SlotsChangedSince(START, NOW))
    await Reader(placed, OURS).load(ChangesSince(batch_callback_deliveries, frozenset({"id"})))
    places = set()
    for statement, arguments in placed.asked:
        places |= {name.rpartition("_")[2] for name in await _relations(placed, statement, arguments)}
    await unwatch_tables(placed)
    await placed.close()
    assert len(places) == 1
    assert places < {"0", "1", "2", "3"}


async def _relations(database: Database, statement: str, arguments: Sequence[Any]) -> set[str]:
    """The tables that a statement reads, partitions by their own names."""
    ((found,),) = await database.source.run(f"EXPLAIN (FORMAT JSON) {statement}", arguments)
    (plan,) = json.loads(found) if isinstance(found, str) else found
    return {node["Relation Name"] for node in _nodes(plan["Plan"]) if "Relation Name" in node}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
