"""What clients notice when something breaks under load: a late or a refused request, never a wrong answer.

The gateway is a process of its own, PostgreSQL a server of this module's own, `tests.support.proxy` between them. Every
answer is checked. The load is light where tests of other workers take a core meanwhile, and heavy among the searches.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.pool import SHORTEST_LINE
from gateway.database.tables import batch_callback_deliveries, batches
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.benchmark.requests import get, post
from tests.cli.test_server_life import served
from tests.support.commands import environment
from tests.support.forked import Forked
from tests.support.load import ALLOWED, LATE, RIGHT, Answered, Asked, Client, load
from tests.support.machine import machine_held
from tests.support.proxy import HOST, Proxy, proxied
from tests.support.rows import OURS, batch, delivery, history, identifier, store
from tests.support.servers import Server, postgres_server

pytestmark = pytest.mark.postgresql
DEADLINE = 1.0
GRACE = 0.25  # seconds after the deadline in which every answer must be there
SECONDS_TO_RECOVER = 5.0
SECONDS_TO_END = 10.0
PATIENCE = 20.0  # seconds that no test needs, unless it fails
POOL = 5
KEY = "gw_faults"
LONG, BYTES = identifier(0xBA, 9), 40_000  # a batch of 250 deliveries with payloads of so many bytes
DELIVERIES = "callbackDeliveries { id statusCode attempts { id attemptNumber createdAt } }"
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active'"
ONE = f"query One($id: ID!) {{ batch(id: $id) {{ id createdAt callbackHealth {DELIVERIES} }} }}"
PAGE = f"{{ batches(first: 3) {{ nodes {{ id {DELIVERIES} }} totalCount {{ value precision }} }} }}"
STATS = "{ callbackStats { deliveries overdue successRate } viewer { scopes } }"


@dataclass(frozen=True)
class Load:
    """Clients, their requests a second in all, and the seconds that they may take to notice an answer."""

    clients: int
    rate: float
    measuring: float


LIGHT, HEAVY = Load(10, 60.0, 0.5), Load(30, 200.0, 0.15)


@dataclass
class Scene:
    """A gateway behind a proxy, under a load that knows the right answers."""

    server: Server
    role: str
    proxy: Proxy
    port: int
    process: Forked
    asked: list[Asked]
    load: Load
    answers: list[Answered] = field(default_factory=list)

    @property
    def clients(self) -> int:
        return self.load.clients

    def seen(self) -> Counter[str]:
        return Counter(answered.what for answered in self.answers)

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        """A load, which breaks nothing by itself, and meanwhile a fault.

        At most 5 s after it is healed all answers are right. None was wrong or too late, and nothing is left behind on
        the server.
        """
        self.answers.clear()
        async with load(self.port, cycle(self.asked), self.answers.append, clients=self.clients, rate=self.load.rate):
            await until(lambda: len(self.answers) >= self.clients)
            assert set(self.seen()) == {RIGHT}
            yield
            healed = time.perf_counter()
            await until(lambda: self._are_right(healed), SECONDS_TO_RECOVER)
        assert set(self.seen()) <= ALLOWED, self.seen()
        assert max(answered.seconds for answered in self.answers) < DEADLINE + GRACE + self.load.measuring
        assert connections(self.server, self.role) <= POOL + 1  # the one more is for what the gateway writes
        await until(lambda: running_statements(self.server, self.role) == 0)

    def _are_right(self, since: float) -> bool:
        last = [answered for answered in self.answers[-2 * self.clients :] if answered.sent > since]
        return len(last) == 2 * self.clients and {answered.what for answered in last} == {RIGHT}


async def until(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server(client_connection_check_interval="500ms") as server:
        asyncio.run(furnish(server.url()))
        yield server


@pytest.fixture(
    scope="module",
    params=[pytest.param(LIGHT, id="light"), pytest.param(HEAVY, id="heavy", marks=pytest.mark.thorough)],
)
def weight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """The heavy load has the machine for itself: what it measures is the gateway, not what runs beside it."""
    if request.param is LIGHT:
        yield LIGHT
        return
    with machine_held(tmp_path_factory.getbasetemp().parent, alone=True):
        yield HEAVY


@pytest.fixture(scope="module")
async def broken(server: Server, weight: Load) -> AsyncIterator[Scene]:
    """One gateway for many faults."""
    async with scene(server, weight) as broken:
        yield broken


def connections(server: Server, role: str) -> int:
    return int(server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'"))


def running_statements(server: Server, role: str) -> int:
    return int(server.sql(RUNNING.format(role=role)))


async def furnish(url: str) -> None:
    database = Database(url)
    await migrate(database)
    long = batch(9)
    payload = b"x" * BYTES
    deliveries = [delivery(long, number, payload_bytes=payload) for number in range(1000, 1250)]
    rows = history(5, deliveries=3)
    rows[batches].append(long)
    rows[batch_callback_deliveries] += deliveries
    await store(database, rows)
    await create_key(database, OURS, "faults", [READ], KEY)
    await database.close()


def requests() -> list[bytes]:
    ids = [identifier(0xBA, number) for number in range(1, 6)]
    made = [[post(ONE, KEY, {"id": id_}), get(f"/v1/batches/{id_}/callback", KEY)] for id_ in ids]
    return [request for pair in made for request in pair] + [post(PAGE, KEY), post(STATS, KEY)]


@asynccontextmanager
async def scene(server: Server, weight: Load = LIGHT, /, **settings: str) -> AsyncIterator[Scene]:
    """A gateway with a short deadline and a role of its own. When it is stopped, it leaves no connection behind."""
    usual = {"profile": "production", "rate_limit": "0", "drain_seconds": "0", "access_log": "false"}
    usual |= {"deadline_seconds": f"{DEADLINE:g}", "database_pool_size": str(POOL), "log_level": "ERROR"}
    variables = {f"GATEWAY_{name.upper()}": value for name, value in {**usual, **settings}.items()}
    async with proxied(HOST, server.port) as proxy:
        role = f"gateway_{proxy.port}"
        server.sql(f"CREATE ROLE {role} SUPERUSER LOGIN")
        variables["GATEWAY_DATABASE_URL"] = (
            make_url(server.url()).set(username=role, port=proxy.port).render_as_string()
        )
        process = Forked(server.folder, ("serve", "--port", "0"), environment(server.folder, variables))
        try:
            said = await asyncio.to_thread(process.has_said, "Listening", PATIENCE)  # the proxy runs in this one
            port = int(said.rpartition(":")[2])
            client = Client(port)
            asked = []
            for request in requests():
                assert (await client.ask(Asked(request))).what == RIGHT
                asked.append(Asked(request, client.body))
            client.close()
            yield Scene(server, role, proxy, port, process, asked, weight)
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
        await until(lambda: connections(server, role) == 0)


@asynccontextmanager
async def locked(server: Server, tables: str = "batches, batch_callback_deliveries") -> AsyncIterator[None]:
    """Meanwhile no statement that reads these tables ends by itself."""
    connection: Any = await asyncpg.connect(server.url())
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_connections_that_are_reset_are_replaced(broken: Scene) -> None:
    async with broken.loaded():
        for _ in range(5):
            before = len(broken.answers)
            broken.proxy.reset()
            await until(lambda before=before: len(broken.answers) > before + broken.clients)  # type: ignore[misc]


async def test_a_black_hole_is_answered_for_at_the_deadline(broken: Scene) -> None:
    async with broken.loaded():
        broken.proxy.hole()
        await until(lambda: broken.seen()[LATE] >= broken.clients)
        broken.proxy.heal()


async def test_latency_beyond_the_deadline_is_answered_for(broken: Scene) -> None:
    async with broken.loaded():
        broken.proxy.latency = 2.0
        await until(lambda: broken.seen()[LATE] >= broken.clients)
        broken.proxy.heal()


@pytest.mark.parametrize("way", ["fast", "immediate", "kill"])
async def test_a_database_that_comes_back_is_found_again(broken: Scene, way: str) -> None:
    server = broken.server
    async with broken.loaded():
        await asyncio.to_thread(server.kill if way == "kill" else lambda: server.stop(way))
        await until(lambda: broken.seen()["UNAVAILABLE"] >= broken.clients)
        await asyncio.to_thread(server.start)


async def test_statements_behind_a_lock_are_ended(broken: Scene) -> None:
    async with broken.loaded(), locked(broken.server):
        await until(lambda: broken.seen()[LATE] >= broken.clients)


async def test_statements_that_sleep_are_ended(broken: Scene) -> None:
    async def change(statements: str) -> None:
        # In a thread: it waits for locks of connections whose proxy runs in this one.
        await asyncio.to_thread(broken.server.sql, f"BEGIN; {statements}; COMMIT")

    async with broken.loaded():
        await change(
            "ALTER TABLE batches RENAME TO awake;CREATE VIEW batches AS SELECT awake.* FROM awake, pg_sleep(600)"
        )
        await until(lambda: broken.seen()[LATE] >= broken.clients)
        await change("DROP VIEW batches; ALTER TABLE awake RENAME TO batches")


async def test_the_ordinary_executor_keeps_the_deadline(server: Server, weight: Load) -> None:
    async with scene(server, weight, plans="false") as broken, broken.loaded():
        broken.proxy.hole()
        await until(lambda: broken.seen()[LATE] >= broken.clients)
        broken.proxy.heal()


async def test_looking_up_a_key_counts_against_the_deadline(server: Server, weight: Load) -> None:
    async with scene(server, weight, credential_cache_seconds="0") as broken, broken.loaded():
        broken.proxy.latency = DEADLINE * 0.4  # each way: one statement is in time, a second one is not
        await until(lambda: broken.seen()[LATE] >= broken.clients)
        broken.proxy.heal()


async def test_a_pool_that_is_exhausted_refuses(server: Server, weight: Load) -> None:
    settings = {"database_pool_size": "1", "database_wait_seconds": "0.3"}
    async with scene(server, weight, **settings) as broken, broken.loaded(), locked(server):
        await until(lambda: broken.seen()["OVERLOADED"] >= broken.clients and broken.seen()[LATE] > 0)


async def test_probes_are_answered_and_the_end_comes_though_the_database_is_silent(server: Server) -> None:
    async with scene(server, grace_seconds="1") as broken:
        client = Client(broken.port)
        broken.proxy.hole()
        assert (await client.ask(Asked(get("/healthz", KEY)))).what == RIGHT
        assert "wrong: 503" in (await client.ask(Asked(get("/readyz", KEY)))).what
        assert (await client.ask(broken.asked[0])).what == LATE
        client.close()
        broken.process.terminate()
        await until(lambda: broken.process.returncode is not None, SECONDS_TO_END)
        broken.proxy.heal()
    await until(lambda: connections(server, broken.role) == 0)


async def test_a_long_history_that_stops_halfway_is_cut_off(server: Server) -> None:
    """Its clients read a body without an end, which none takes for a whole one."""
    async with scene(server) as broken:
        reader, writer = await asyncio.open_connection(HOST, broken.port, limit=1000)
        writer.write(get(f"/v1/batches/{LONG}/callback", KEY))
        assert b"transfer-encoding: chunked" in (await reader.readuntil(b"\r\n\r\n")).lower()
        broken.proxy.hole()
        said, began = b"", time.perf_counter()
        with suppress(ConnectionError):
            while chunk := await reader.read(100_000):
                said += chunk
        assert 1_000_000 < len(said) < 250 * BYTES
        assert not said.endswith(b"0\r\n\r\n")
        assert time.perf_counter() - began < DEADLINE + GRACE + LIGHT.measuring
        writer.close()
        broken.proxy.heal()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigterm_under_load_leaves_no_request_unanswered(
    server: Server, weight: Load, tmp_path: Path, workers: str
) -> None:
    server.sql(f"CREATE ROLE stopped_{workers}_{weight.clients} SUPERUSER LOGIN")
    url = server.url().replace("postgres@", f"stopped_{workers}_{weight.clients}@")
    settings = {"database_url": url, "drain_seconds": "0.5", "access_log": "false", "slow_seconds": "0"}
    settings |= {"database_wait_seconds": "30", "grace_seconds": "30"}
    answers: list[Answered] = []
    with served(tmp_path, workers, **settings) as gateway_:
        asked, slow = cycle(map(Asked, requests())), Asked(post("{ viewer { organization { name } } }", KEY))

        async def ask_until_told_to_go(client: Client) -> None:
            answers.append(await client.ask(next(asked)))
            while client.is_open:
                answers.append(await client.ask(next(asked)))

        clients = [asyncio.ensure_future(ask_until_told_to_go(Client(gateway_.port))) for _ in range(weight.clients)]
        await until(lambda: len(answers) > 5 * weight.clients)
        async with locked(server, "organizations"):
            waiting = [asyncio.ensure_future(Client(gateway_.port).ask(slow)) for _ in range(POOL)]
            await until(lambda: running_statements(server, f"stopped_{workers}_{weight.clients}") > 0)
            gateway_.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*clients)
            await until(gateway_.is_refused)
            assert [each.result() for each in waiting if each.done()] == []
        answers += await asyncio.gather(*waiting)
        assert await asyncio.to_thread(gateway_.process.wait, PATIENCE) == 0
    assert {answered.what for answered in answers} == {RIGHT}
    await until(lambda: connections(server, f"stopped_{workers}_{weight.clients}") == 0)


async def test_clients_that_hang_up_leave_no_statement_running(server: Server) -> None:
    """A thousand, forty at a time, so that the statements of all of them run."""
    async with scene(server, database_pool_size="40", deadline_seconds="30") as broken, locked(server):
        watching: Any = await asyncpg.connect(server.url())
        running = RUNNING.format(role=broken.role)
        for _ in range(25):
            writers = [(await asyncio.open_connection(HOST, broken.port))[1] for _ in range(40)]
            for writer in writers:
                writer.write(broken.asked[1].request)
            async with asyncio.timeout(PATIENCE):
                while await watching.fetchval(running) < 40:
                    pass
                for writer in writers:
                    writer.close()
                while await watching.fetchval(running):
                    pass
        await watching.close()


async def test_clients_that_drip_harm_nobody(server: Server, weight: Load) -> None:
    dripped = [b"GET /healthz HTTP/1.1\r\nHost: ", post(PAGE, KEY)[:-30]]

    async def drip(port: int, begin: bytes) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(begin)
        ended = asyncio.ensure_future(reader.read())
        while not (await asyncio.wait({ended}, timeout=0.1))[0]:
            writer.write(b"a")
        with suppress(ConnectionError):
            await ended
        writer.close()

    async with scene(server, weight, head_seconds="1") as broken:
        async with broken.loaded():
            dripping = [asyncio.ensure_future(drip(broken.port, dripped[number % 2])) for number in range(200)]
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*dripping)
        assert set(broken.seen()) == {RIGHT}


async def test_load_beyond_capacity_is_shed_at_once(server: Server) -> None:
    settings = {"database_pool_size": "2", "deadline_seconds": "30", "database_wait_seconds": "30"}
    async with scene(server, **settings) as broken:
        async with locked(server):
            clients = [Client(broken.port) for _ in range(500)]
            asking = [asyncio.ensure_future(client.ask(broken.asked[1])) for client in clients]
            await until(lambda: sum(each.done() for each in asking) >= 500 - 2 - SHORTEST_LINE)
            assert {each.result().what for each in asking if each.done()} == {"OVERLOADED"}
        seen = Counter([(await each).what for each in asking])
        assert seen == {"OVERLOADED": 500 - 2 - SHORTEST_LINE, RIGHT: 2 + SHORTEST_LINE}
        for client in clients:
            client.close()
