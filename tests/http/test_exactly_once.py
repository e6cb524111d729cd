"""Every change is seen exactly once by a client that takes its stream up again, whatever is cut, stopped and late.

Writers commit long after the times that they write, in any order. Meanwhile connections are reset, gateways are stopped
in turn and started again, and the database is gone for a moment, each after so many events. The client goes on behind
its last cursor, at whichever gateway answers.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import cycle
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import insert, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.live import now, sse
from tests.support.proxy import Proxy, proxied
from tests.support.rows import OURS, attempt, batch, delivery, identifier, store
from tests.support.serving import gateway_here

pytestmark = pytest.mark.anyio

WINDOW = 30.0  # seconds: no machine is so slow that what is written late is later than that
LATEST = 20.0
DELIVERIES = 40
AT_ONCE = 8  # changes in one transaction
QUERIES = {
    "deliveries": "subscription Deliveries($after: String) {"
    " callbackDeliveries(after: $after) { cursor changedAt node { id } } }",
    "attempts": "subscription Attempts($after: String) {"
    " callbackAttempts(after: $after) { cursor changedAt node { id } } }",
}


class Client:
    """Watches by one document until it is cancelled; `seen` counts each change by its id and its time."""

    def __init__(self, key: str, query: str, ports: list[int]) -> None:
        self.key = key
        self.query = query
        self.seen: Counter[tuple[str, str]] = Counter()
        self.cursor: str | None = None
        self.streams = 0
        self.changed = asyncio.Condition()
        self._ports = cycle(ports)

    async def run(self) -> None:
        """Watch, and take it up again."""
        while True:
            try:
                await self._watch(next(self._ports))
            except (httpx.HTTPError, OSError):
                await asyncio.sleep(0)

    async def _watch(self, port: int) -> None:
        resumed = {} if self.cursor is None else {"after": self.cursor}
        async with sse(port, self.key, self.query, **resumed) as stream:
            if stream.response.status_code != 200:
                return
            self.streams += 1
            while (event := await stream.next()).get("event") == "next":
                if "errors" in event["data"]:
                    return
                (change,) = event["data"]["data"].values()
                self.seen[change["node"]["id"], change["changedAt"]] += 1
                self.cursor = change["cursor"]
                async with self.changed:
                    self.changed.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds of what was seen."""
        async with self.changed:
            await self.changed.wait_for(is_so)


class Gateways:
    """Two gateways behind proxies, which can be stopped and started again on their ports."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.proxies: list[Proxy] = []
        self._ports = [0, 0]
        self._running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    async def start(self, number: int) -> None:
        """Start one."""
        begun, stop = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with gateway_here(self.settings, self._ports[number]) as port:
                self._ports[number] = port
                begun.set()
                await stop.wait()

        self._running.insert(number, (stop, asyncio.create_task(serve())))
        await begun.wait()

    async def stop(self, number: int) -> None:
        """Stop one, as SIGTERM does."""
        stop, task = self._running.pop(number)
        stop.set()
        await task

    @asynccontextmanager
    async def open(self) -> AsyncIterator[list[int]]:
        """Both, meanwhile; the ports of their proxies."""
        for number in (0, 1):
            await self.start(number)
        try:
            async with proxied("127.0.0.1", self._ports[0]) as first, proxied("127.0.0.1", self._ports[1]) as second:
                self.proxies = [first, second]
                yield [first.port, second.port]
        finally:
            for number in (1, 0):
                await self.stop(number)


async def write(database: Database, random: Random, count: int) -> dict[str, set[tuple[str, str]]]:
    """Write attempts and changes of deliveries whose times are late and in any order; the last ones of each row."""
    of: list[dict[str, Any]] = [
        {"id": identifier(0xDE, number), "org_id": OURS, "created_at": now()} for number in range(DELIVERIES)
    ]
    last: dict[str, Any] = {}
    made: set[tuple[str, str]] = set()

    def told(at: Any) -> str:
        return f"{at.replace(tzinfo=None).isoformat()}Z"

    table = batch_callback_deliveries
    for begin in range(0, count, AT_ONCE):
        async with database.transaction() as connection:
            for number in range(begin, min(begin + AT_ONCE, count)):
                at = now() - timedelta(seconds=random.uniform(0, LATEST))
                row = attempt(random.choice(of), 1, attempt_number=number, created_at=at)
                row["id"] = identifier(0xA7, number)
                changed = str(random.choice(of)["id"])
                await connection.execute(insert(batch_callback_delivery_attempts).values(row))
                if at > last.get(changed, at - timedelta(1)):
                    last[changed] = at
                    await connection.execute(update(table).where(table.c.id == changed).values(updated_at=at))
                made.add((row["id"], told(at)))
    return {"attempts": made, "deliveries": {(id_, told(at)) for id_, at in last.items()}}


async def search(database: Database, url: str, seed: int, count: int, every: int) -> None:
    """Write so many changes while something breaks with `every` so many that were seen."""
    random = Random(seed)  # noqa: S311 - nothing is secret
    parents = [batch(number) for number in range(DELIVERIES)]
    children = [{**delivery(parent, number), "updated_at": now()} for number, parent in enumerate(parents)]
    await store(database, {batches: parents, batch_callback_deliveries: children})
    key = await create_key(database, OURS, "a client", [READ])
    async with AsyncExitStack() as stack:
        middle: Proxy | None = None
        if database.dialect == "postgresql":
            server = urlsplit(url)
            middle = await stack.enter_async_context(proxied(server.hostname or "", server.port or 0))
            url = url.replace(f":{server.port}/", f":{middle.port}/")
        settings = Settings(
            database_url=url,
            profile=Profile.PRODUCTION,
            watch_seconds=0.1,
            watch_window_seconds=WINDOW,
            rate_limit=0,
            drain_seconds=0,
            credential_cache_seconds=30,
            access_log=False,
        )
        gateways = Gateways(settings)
        ports = await stack.enter_async_context(gateways.open())
        clients = {name: Client(key, query, ports) for name, query in QUERIES.items()}
        watching = [asyncio.create_task(client.run()) for client in clients.values()]
        try:
            first = await _begin(database, clients, children[0])
            writing = asyncio.create_task(write(database, random, count))
            attempts = clients["attempts"]
            for goal, fault in zip(range(every, count, every), cycle(_faults(gateways, middle, random))):
                await attempts.until(lambda goal=goal: len(attempts.seen) > goal)  # type: ignore[misc]
                await fault()
            expected = await writing
            for name, client in clients.items():
                await client.until(lambda: expected[name] <= set(client.seen))  # noqa: B023 - waited for at once
            assert {change: n for client in clients.values() for change, n in client.seen.items() if n > 1} == {}
            assert {id_ for id_, _ in set(attempts.seen) - expected["attempts"]} <= first
            assert all(client.streams > 1 for client in clients.values())
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


async def _begin(database: Database, clients: dict[str, Client], of: dict[str, Any]) -> set[str]:
    """Let each client see something, so that it has a cursor; the attempts that were made for that."""
    made: set[str] = set()
    for number in range(1_000_000, 1_000_100):
        at = now()
        row = {**attempt(of, 1), "id": identifier(0xA7, number), "attempt_number": number, "created_at": at}
        table = batch_callback_deliveries
        made.add(row["id"])
        async with database.transaction() as connection:
            await connection.execute(insert(batch_callback_delivery_attempts).values(row))
            await connection.execute(update(table).where(table.c.id == of["id"]).values(updated_at=at))
        for client in clients.values():
            try:
                async with asyncio.timeout(0.2):
                    await client.until(lambda: bool(client.seen))  # noqa: B023 - waited for at once
            except TimeoutError:
                break
        else:
            return made
    raise AssertionError("a client sees nothing")


def _faults(gateways: Gateways, middle: Proxy | None, random: Random) -> list[Callable[[], Awaitable[None]]]:
    async def reset() -> None:
        for proxy in gateways.proxies:
            proxy.reset()

    async def restart() -> None:
        number = random.randrange(2)
        await gateways.stop(number)
        await gateways.start(number)

    async def lose_database() -> None:
        if middle is not None:
            middle.stop()
            await asyncio.sleep(0)
            await middle.start()

    return [reset, lose_database, restart, reset]


async def test_every_change_is_seen_exactly_once(database: Database, database_url: str) -> None:
    await search(database, database_url, seed=1, count=240, every=60)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(2, 6))
async def test_thousands_of_changes_are_seen_exactly_once(database: Database, database_url: str, seed: int) -> None:
    await search(database, database_url, seed=seed, count=3_000, every=50)
