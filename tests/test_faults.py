"""What clients notice when something breaks under load: a late or a refused request, never a wrong answer.

The gateway is a process of its own, PostgreSQL a server of this module's own, `tests.proxy` between them. Every answer
is checked. `MEASURING` is what the client may take to notice an answer: it shares the machine with all the others.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.benchmark.requests import get, post
from tests.benchmark.servers import gateway, running
from tests.load import ALLOWED, LATE, RIGHT, Answered, Asked, Client, load
from tests.proxy import HOST, Proxy, proxied
from tests.rows import OURS, history, identifier, store
from tests.servers import Server, postgres_server

DEADLINE = 1.0
GRACE = 0.25  # seconds after the deadline in which every answer must be there
MEASURING = 0.15
SECONDS_TO_RECOVER = 5.0
PATIENCE = 20.0  # seconds that no test needs, unless it fails
CLIENTS, RATE = 30, 200.0
POOL = 5
KEY = "gw_faults"
DELIVERIES = "callbackDeliveries { id statusCode attempts { id attemptNumber createdAt } }"
ONE = f"query One($id: ID!) {{ batch(id: $id) {{ id createdAt callbackHealth {DELIVERIES} }} }}"
PAGE = f"{{ batches(first: 3) {{ nodes {{ id {DELIVERIES} }} totalCount {{ value precision }} }} }}"
STATS = "{ callbackStats { deliveries overdue successRate } viewer { scopes } }"
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callback-gateway' AND state = 'active' "
    "AND backend_type = 'client backend'"
)
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callback-gateway'"
LOCK = "LOCK TABLE batches, batch_callback_deliveries IN ACCESS EXCLUSIVE MODE"


@dataclass
class Scene:
    """A gateway behind a proxy, under a load that knows the right answers."""

    server: Server
    proxy: Proxy
    port: int
    process: Any
    asked: list[Asked]
    answers: list[Answered] = field(default_factory=list)

    def seen(self) -> Counter[str]:
        return Counter(answered.what for answered in self.answers)

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        """A load meanwhile. It breaks nothing by itself, and in the end, at most 5 s later, all is right again."""
        async with load(self.port, cycle(self.asked), self.answers.append, clients=CLIENTS, rate=RATE):
            await until(lambda: len(self.answers) >= CLIENTS)
            assert set(self.seen()) == {RIGHT}
            yield
            healed = time.perf_counter()
            await until(lambda: self._are_right(healed), SECONDS_TO_RECOVER)

    def _are_right(self, since: float) -> bool:
        last = [answered for answered in self.answers[-2 * CLIENTS :] if answered.sent > since]
        return len(last) == 2 * CLIENTS and {answered.what for answered in last} == {RIGHT}

    def check(self) -> None:
        """Nothing was wrong or too late, and nothing is left on the server."""
        assert set(self.seen()) <= ALLOWED, self.seen()
        assert max(answered.seconds for answered in self.answers) < DEADLINE + GRACE + MEASURING
        assert self.count(OPEN) <= POOL + 1  # the one more is for what the gateway writes

    def count(self, statement: str) -> int:
        return int(self.server.sql(statement))


async def until(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server(client_connection_check_interval="500ms") as server:
        asyncio.run(furnish(server.url()))
        yield server


async def furnish(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await store(database, history(5, deliveries=3))
    await create_key(database, OURS, "faults", [READ], KEY)
    await database.close()


def requests() -> list[bytes]:
    ids = [identifier(0xBA, number) for number in range(1, 6)]
    made = [[post(ONE, KEY, {"id": id_}), get(f"/v1/batches/{id_}/callback", KEY)] for id_ in ids]
    return [request for pair in made for request in pair] + [post(PAGE, KEY), post(STATS, KEY)]


@asynccontextmanager
async def scene(server: Server, **settings: str) -> AsyncIterator[Scene]:
    """A gateway with a short deadline. When it is stopped, it leaves no connection behind."""
    variables = {"deadline_seconds": f"{DEADLINE:g}", "database_pool_size": str(POOL), "log_level": "ERROR", **settings}
    contestant = gateway("gateway", **{f"GATEWAY_{name.upper()}": value for name, value in variables.items()})
    async with proxied(HOST, server.port) as proxy:
        through = make_url(server.url()).set(port=proxy.port).render_as_string(hide_password=False)
        async with running(contestant, through) as served:
            client = Client(served.address.port)
            asked = []
            for request in requests():
                assert (await client.ask(Asked(request))).what == RIGHT
                asked.append(Asked(request, client.body))
            client.close()
            yield Scene(server, proxy, served.address.port, served.process, asked)
        await until(lambda: server.sql(OPEN) == "0")


@asynccontextmanager
async def locked(server: Server) -> AsyncIterator[None]:
    """Meanwhile no statement that reads deliveries ends by itself."""
    connection: Any = await asyncpg.connect(server.url())
    async with connection.transaction():
        await connection.execute(LOCK)
        yield
    await connection.close()


async def test_connections_that_are_reset_are_replaced(server: Server) -> None:
    async with scene(server) as broken:
        async with broken.loaded():
            for _ in range(5):
                before = len(broken.answers)
                broken.proxy.reset()
                await until(lambda before=before: len(broken.answers) > before + CLIENTS)  # type: ignore[misc]
        broken.check()


@pytest.mark.parametrize("plans", ["true", "false"])
async def test_a_black_hole_is_answered_for_at_the_deadline(server: Server, plans: str) -> None:
    async with scene(server, plans=plans) as broken:
        async with broken.loaded():
            broken.proxy.hole()
            await until(lambda: broken.seen()[LATE] > 2 * CLIENTS)
            broken.proxy.heal()
        broken.check()


async def test_looking_up_keys_is_within_the_same_deadline(server: Server) -> None:
    async with scene(server, credential_cache_seconds="0") as broken:
        async with broken.loaded():
            broken.proxy.latency = DEADLINE * 0.4  # each way
            await until(lambda: broken.seen()[LATE] > CLIENTS)
            broken.proxy.heal()
        broken.check()


async def test_latency_beyond_the_deadline_is_answered_for(server: Server) -> None:
    async with scene(server) as broken:
        async with broken.loaded():
            broken.proxy.latency = 2.0
            await until(lambda: broken.seen()[LATE] > 2 * CLIENTS)
            broken.proxy.heal()
        broken.check()


@pytest.mark.parametrize("way", ["fast", "immediate", "kill"])
async def test_a_database_that_comes_back_is_found_again(server: Server, way: str) -> None:
    async with scene(server) as broken:
        async with broken.loaded():
            await asyncio.to_thread(server.kill if way == "kill" else lambda: server.stop(way))
            await until(lambda: broken.seen()["UNAVAILABLE"] > CLIENTS)
            await asyncio.to_thread(server.start)
        broken.check()


async def test_statements_behind_a_lock_are_ended(server: Server) -> None:
    async with scene(server) as broken:
        async with broken.loaded(), locked(server):
            await until(lambda: broken.seen()[LATE] > 2 * CLIENTS)
        broken.check()


async def test_statements_that_sleep_are_ended(server: Server) -> None:
    async with scene(server) as broken:
        async with broken.loaded():
            server.sql(
                "BEGIN; ALTER TABLE batches RENAME TO awake;"
                "CREATE VIEW batches AS SELECT awake.* FROM awake, pg_sleep(600); COMMIT"
            )
            await until(lambda: broken.seen()[LATE] > 2 * CLIENTS)
            server.sql("BEGIN; DROP VIEW batches; ALTER TABLE awake RENAME TO batches; COMMIT")
        broken.check()
        await until(lambda: broken.count(RUNNING) == 0)


async def test_a_pool_that_is_exhausted_refuses(server: Server) -> None:
    async with scene(server, database_pool_size="1", database_wait_seconds="0.3") as broken:
        async with broken.loaded(), locked(server):
            await until(lambda: broken.seen()["OVERLOADED"] > CLIENTS and broken.seen()[LATE] > 0)
        broken.check()
