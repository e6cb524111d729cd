"""`python -m tests.benchmark watch`: many who watch a few organizations, and what they cost those who ask."""

import argparse
import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median, quantiles
from urllib.request import urlopen

from sqlalchemy import insert, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batches, organizations
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.benchmark.client import Address, send
from tests.benchmark.databases import Filled, filled
from tests.benchmark.measure import exchanges
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import post, questions
from tests.benchmark.rows import Layout, identifier, instant
from tests.benchmark.servers import Server, gateway, running
from tests.benchmark.table import Sheet, console, figure

ORGANIZATION, BATCH, DELIVERY = 0xC0, 0xC1, 0xC2  # kinds of ids that no other rows have
AT_ONCE = 50  # watchers that connect together
LISTENING = 10  # one watcher in so many reads what comes: the client has a core, too
SECONDS_TO_SETTLE = 3.0
KB = 1024
CHANGED_AT = re.compile(rb'"changedAt":"([^"]+)"')
STATEMENTS = re.compile(r"^gateway_statement_seconds_count ([0-9.e+]+)", re.MULTILINE)
WATCH = "subscription Watch { callbackDeliveries { cursor change changedAt node { id statusCode attemptCount } } }"


class Watcher(asyncio.Protocol):
    """A connection that asks once, and notes how late each event comes, where it has somewhere to note it."""

    def __init__(self, request: bytes, lags: list[float] | None) -> None:
        self.request = request
        self.lags = lags
        self.begun = asyncio.Event()
        self.failure: str | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = transport  # type: ignore[assignment]
        assert self._transport is not None
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Note what came; events are small, so that they come whole."""
        if not self.begun.is_set() and not data.startswith(b"HTTP/1.1 200 "):
            self.failure = f"a stream is refused: {data[:500]!r}"
        self.begun.set()
        if self.lags is None:
            return
        now = datetime.now(UTC)
        for found in CHANGED_AT.findall(data):
            self.lags.append((now - datetime.fromisoformat(found.decode())).total_seconds())

    def connection_lost(self, _exc: Exception | None) -> None:
        """It must last."""
        self.failure = self.failure or "a stream has ended"
        self.begun.set()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """All watchers on each database."""
    layout = Layout.of(wide=(20, 50, 3), usual=(arguments.batches, 10, 3))
    rows: list[list[str]] = []
    for kind in arguments.databases:
        async with filled(kind, layout, arguments.postgres) as database:
            rows += await _measure(database, arguments)
    header = ("what", "database", "measured", "must", "reached")
    title = f"{arguments.watchers:,} watchers of {arguments.organizations} organizations, each changing once a second"
    return [Sheet(title, header, rows)]


async def _measure(filled_: Filled, arguments: argparse.Namespace) -> list[list[str]]:
    database = Database(filled_.url)
    try:
        keys = await _organizations(database, arguments.organizations)
        async with running(gateway("gateway"), filled_.url) as server, _changing(database, arguments.organizations):
            before = await _pages(server, filled_, arguments)
            empty = server.process.memory_info().rss
            lags: list[float] = []
            watchers = await _connected(server.address, keys, arguments.watchers, lags)
            await asyncio.sleep(SECONDS_TO_SETTLE)
            held = server.process.memory_info().rss
            lags.clear()
            started, asked = time.perf_counter(), _statements(server.address)
            await asyncio.sleep(arguments.seconds * arguments.rounds)
            rate = (_statements(server.address) - asked) / (time.perf_counter() - started)
            alone = list(lags)
            lags.clear()
            meanwhile = await _pages(server, filled_, arguments)
            if failures := [watcher.failure for watcher in watchers if watcher.failure]:
                raise Refused(f"{len(failures)} streams: {failures[0]}")
            for watcher in watchers:
                watcher.close()
    finally:
        await database.close()
    count = arguments.organizations
    shown = (
        ("statements a second", rate, 4 * count, "≤"),  # what changed, which rows, and what is selected of them
        ("lag of an event, p50, s", median(alone), None, ""),
        ("lag of an event, p99, s", _p99(alone), 2.0, "≤"),
        ("the same while pages are asked for, p99, s", _p99(lags), None, ""),
        ("events a second", LISTENING * len(alone) / (arguments.seconds * arguments.rounds), None, ""),
        ("memory of a watcher, kB", (held - empty) / KB / arguments.watchers, None, ""),
        ("page20 against nobody watching, requests/s", meanwhile / before, 0.9, "≥"),
    )
    return [
        [what, filled_.kind, figure(value), "" if must is None else f"{sign} {must:g}", _verdict(value, must, sign)]
        for what, value, must, sign in shown
    ]


def _verdict(value: float, must: float | None, sign: str) -> str:
    if must is None:
        return ""
    return "must" if (value <= must if sign == "≤" else value >= must) else "missed"


def _p99(values: Sequence[float]) -> float:
    if len(values) < 100:
        raise Refused(f"There were {len(values)} events: too few.")
    return quantiles(values, n=100)[-1]


async def _pages(server: Server, filled_: Filled, arguments: argparse.Namespace) -> float:
    """How many pages are answered a second: the median of the rounds."""
    asked = questions(filled_.layout, filled_.key, filled_.secrets_key)["page20"]
    rates = []
    for number in range(-1, arguments.rounds):
        console.print(f"{filled_.kind}: page20, round {number + 1}", highlight=False)
        count = await send(server.address, exchanges(asked, [], number), arguments.connections, arguments.seconds)
        rates.append(count.requests / count.seconds)
    return median(rates[1:])


async def _organizations(database: Database, count: int) -> list[str]:
    """Organizations with a delivery each, and their keys."""
    keys = []
    for number in range(count):
        org, batch, at = identifier(ORGANIZATION, number), identifier(BATCH, number), instant(number)
        row = {"id": identifier(DELIVERY, number), "org_id": org, "batch_id": batch, "created_at": at, "updated_at": at}
        async with database.transaction() as connection:
            await connection.execute(insert(organizations).values(id=org, name="watched", created_at=at))
            await connection.execute(insert(batches).values(id=batch, org_id=org, created_at=at))
            await connection.execute(insert(batch_callback_deliveries).values(row))
        keys.append(await create_key(database, org, "benchmark", [READ]))
    return keys


@asynccontextmanager
async def _changing(database: Database, count: int) -> AsyncIterator[None]:
    """Change a delivery of each organization once a second meanwhile, one after the other."""
    table = batch_callback_deliveries

    async def change() -> None:
        number = 0
        while True:
            of = identifier(DELIVERY, number % count)
            async with database.transaction() as connection:
                changed = update(table).where(table.c.id == of).values(attempt_count=number)
                await connection.execute(changed.values(updated_at=datetime.now(UTC)))
            number += 1
            await asyncio.sleep(1 / count)

    task = asyncio.create_task(change())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _connected(address: Address, keys: Sequence[str], count: int, lags: list[float]) -> list[Watcher]:
    """Watchers that have begun, the same number for each key."""
    loop = asyncio.get_running_loop()
    requests = [post(WATCH, key).replace(b"Accept: application/json", b"Accept: text/event-stream") for key in keys]
    listens = (number // len(keys) % LISTENING == 0 for number in range(count))
    watchers = [
        Watcher(requests[number % len(keys)], lags if listening else None) for number, listening in enumerate(listens)
    ]
    for at in range(0, count, AT_ONCE):
        some = watchers[at : at + AT_ONCE]
        await asyncio.gather(
            *(loop.create_connection(lambda each=each: each, address.host, address.port) for each in some)  # type: ignore[misc]
        )
        await asyncio.gather(*(each.begun.wait() for each in some))
        if failed := [each.failure for each in some if each.failure]:
            raise Refused(failed[0] or "")
    return watchers


def _statements(address: Address) -> float:
    with urlopen(f"http://{address.host}:{address.port}/metrics") as answer:
        found = STATEMENTS.search(answer.read().decode())
    if found is None:
        raise Refused("The gateway does not tell how many statements it has run.")
    return float(found[1])
