"""`python -m tests.benchmark faults --minutes 30`: a fault a minute under a mixed load, and nothing left of it.

The gateway reads a PostgreSQL server of this run's own through `tests.support.proxy`, which runs in the client's
process, as does the load: at most `SHARE` of what the gateway was measured to take at first, its answers compared with
those before.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.benchmark.databases import Filled, filled
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import questions
from tests.benchmark.rows import Layout
from tests.benchmark.servers import Server, gateway, running
from tests.benchmark.soak import MB, MIX, NAMES, Held
from tests.benchmark.table import Sheet, console
from tests.support.load import RIGHT, STATUSES, Answered, Asked, Client, load
from tests.support.proxy import HOST, Proxy, proxied
from tests.support.servers import Server as PostgreSQL
from tests.support.servers import postgres_server

SHARE = 0.7  # of the measured capacity
SECONDS_TO_WARM_UP = 3.0
SECONDS_TO_MEASURE = 10.0
SECONDS_TO_RECOVER = 5.0
SECONDS_OF_FAULT = 3.0
SECONDS_BETWEEN = 3.0
FAULT_AT = 1 / 3  # of the minute
LATENCY = 2.0  # seconds each way
DEADLINE = 2.0  # seconds: short, so that what is under way when a window ends is over when it does
WRONG = "wrong"  # or lost
DIFFERENT = 100  # requests of a kind, each with its answer

Break = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Minute:
    """What was answered in one minute. The window of its fault is over `SECONDS_TO_RECOVER` after it was healed."""

    fault: str
    begun: float = float("inf")
    healed: float = float("inf")
    right: int = 0
    within: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    latest: float = 0.0
    last_error: float = 0.0

    def note(self, answered: Answered) -> None:
        """Count an answer."""
        self.latest = max(self.latest, answered.seconds)
        if answered.what == RIGHT:
            self.right += 1
            return
        self.last_error = answered.at
        in_window = answered.at >= self.begun and answered.at <= self.healed + SECONDS_TO_RECOVER
        what = answered.what if answered.what in STATUSES else WRONG
        (self.within if in_window else self.outside)[what] += 1
        if not in_window or what not in STATUSES:
            console.print(f"{self.fault}: {answered.what}", style="red", markup=False, highlight=False)


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """A mixed load for so many minutes, with a fault in each."""
    layout = Layout.of(wide=(200, 50, 3), usual=(arguments.batches, 10, 3))
    contestant = gateway("gateway", GATEWAY_DEADLINE_SECONDS=str(DEADLINE))
    async with _own_server() as postgres, filled("postgresql", layout, postgres.url()) as database:
        url = make_url(database.url)
        async with proxied(HOST, postgres.port) as proxy:
            through = url.set(port=proxy.port).render_as_string(hide_password=False)
            async with running(contestant, through) as server:
                return await _measured(arguments, database, proxy, postgres, server)


async def _measured(
    arguments: argparse.Namespace, database: Filled, proxy: Proxy, postgres: PostgreSQL, server: Server
) -> list[Sheet]:
    mix, port = _mixed(await _known(server.address.port, database)), server.address.port
    capacity, busy = await _capacity(port, mix, arguments.connections)
    console.print(f"capacity: {capacity:,.0f} requests/s, the client {busy:.0%} busy", highlight=False)
    faults = _faults(proxy, postgres, make_url(database.url).database or "")
    names = list(faults)
    minutes = [Minute(names[number % len(names)]) for number in range(max(1, round(arguments.minutes)))]
    seconds = arguments.minutes * 60 / len(minutes)
    current = minutes[0]
    samples: list[Held] = []

    def note(answered: Answered) -> None:
        current.note(answered)

    async def sample() -> None:
        while True:
            samples.extend([held] if (held := await _held(server, database)) else [])
            await asyncio.sleep(SECONDS_BETWEEN)

    before = await _held(server, database)
    sampling = asyncio.ensure_future(sample())
    started, worked = time.perf_counter(), time.process_time()
    with console.status("faults") as status:
        async with load(
            port,
            mix,
            note,
            clients=arguments.connections,
            rate=SHARE * capacity,
        ):
            for number, minute in enumerate(minutes):
                current = minute
                status.update(f"minute {number + 1} of {len(minutes)}: {minute.fault}")
                await _until(started + (number + FAULT_AT) * seconds)
                minute.begun = time.perf_counter()
                await faults[minute.fault]()
                minute.healed = time.perf_counter()
                await _until(started + (number + 1) * seconds)
    busy = (time.process_time() - worked) / (time.perf_counter() - started)
    sampling.cancel()
    after = await _held(server, database)
    assert before is not None
    assert after is not None
    title = f"{arguments.minutes:g} minutes at {SHARE:.0%} of {capacity:,.0f} requests/s, deadline {DEADLINE:g} s"
    return [
        Sheet(f"Faults: {title}, the client {busy:.0%} busy", HEADER, [_row(*each) for each in enumerate(minutes, 1)]),
        Sheet("What the gateway holds", ("what", "before", "after", "max"), _rows(before, after, samples)),
    ]


@asynccontextmanager
async def _own_server() -> AsyncIterator[PostgreSQL]:
    try:
        with postgres_server() as server:
            yield server
    except pytest.skip.Exception as lacking:
        raise Refused(str(lacking)) from None


async def _known(port: int, database: Filled) -> dict[str, list[Asked]]:
    """Requests of each kind with their answers."""
    client, known = Client(port), dict[str, list[Asked]]()
    asked = questions(database.layout, database.key, database.secrets_key)
    for name in MIX:
        known[name] = []
        for request in asked[name].requests[:DIFFERENT]:
            answered = await client.ask(Asked(request))
            if answered.what != RIGHT:
                raise Refused(f"{name}: {answered.what}")
            known[name].append(Asked(request, client.body))
    client.close()
    return known


def _mixed(known: dict[str, list[Asked]]) -> Iterator[Asked]:
    choose = random.Random(4)  # noqa: S311
    names, weights = list(MIX), list(MIX.values())
    while True:
        for name in choose.choices(names, weights, k=100):
            yield choose.choice(known[name])


async def _capacity(port: int, mix: Iterator[Asked], clients: int) -> tuple[float, float]:
    """Requests a second that are answered when each client asks as soon as it can, and how busy the client is."""
    async with load(port, mix, lambda _: None, clients=clients):  # until every connection has prepared its statements
        await asyncio.sleep(SECONDS_TO_WARM_UP)
    count = Counter[str]()
    started, worked = time.perf_counter(), time.process_time()
    async with load(port, mix, lambda answered: count.update([answered.what]), clients=clients):
        await asyncio.sleep(SECONDS_TO_MEASURE)
    seconds = time.perf_counter() - started
    if set(count) != {RIGHT}:
        raise Refused(f"without any fault: {dict(count)}")
    return count[RIGHT] / seconds, (time.process_time() - worked) / seconds


def _faults(proxy: Proxy, postgres: PostgreSQL, name: str) -> dict[str, Break]:
    """Each breaks something, and returns when it is healed."""

    async def reset() -> None:
        proxy.reset()

    async def hole() -> None:
        proxy.hole()
        await asyncio.sleep(SECONDS_OF_FAULT)
        proxy.heal()

    async def latency() -> None:
        proxy.latency = LATENCY
        await asyncio.sleep(SECONDS_OF_FAULT)
        proxy.heal()

    async def gone() -> None:
        proxy.stop()
        await asyncio.sleep(SECONDS_OF_FAULT)
        await proxy.start()

    async def restart() -> None:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)

    async def kill() -> None:
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)

    async def lock() -> None:
        connection = await asyncpg.connect(postgres.url(name))
        async with connection.transaction():
            await connection.execute("LOCK TABLE batches, batch_callback_deliveries IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(SECONDS_OF_FAULT)
        await connection.close()

    return {
        "connections reset": reset,
        f"black hole, {SECONDS_OF_FAULT:g} s": hole,
        "server restarted": restart,
        f"{LATENCY:g} s latency, {SECONDS_OF_FAULT:g} s": latency,
        "server killed -9": kill,
        f"tables locked, {SECONDS_OF_FAULT:g} s": lock,
        f"nobody listens, {SECONDS_OF_FAULT:g} s": gone,
    }


async def _held(server: Server, database: Filled) -> Held | None:
    """What the gateway holds just now; None while the server is down."""
    url = make_url(database.url)
    counted = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{url.database}' AND pid <> pg_backend_pid()"
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(database.url.replace("+asyncpg", ""), timeout=SECONDS_BETWEEN)
        try:
            connections = await connection.fetchval(counted)
        finally:
            await connection.close()
        return Held(server.process.memory_info().rss / MB, server.process.num_fds(), connections)
    return None


async def _until(instant: float) -> None:
    await asyncio.sleep(instant - time.perf_counter())


# `errors outside` are those that no window excuses; `recovered` is the time from healing to the last error.
HEADER = (
    "minute",
    "fault",
    "right",
    "late",
    "unavailable",
    "overloaded",
    "wrong",
    "errors outside",
    "latest",
    "recovered",
)


def _row(number: int, minute: Minute) -> list[str]:
    all_ = minute.within + minute.outside
    recovered = max(0.0, minute.last_error - minute.healed) if minute.last_error else 0.0
    return [
        str(number),
        minute.fault,
        f"{minute.right:,}",
        *(f"{all_[what]:,}" for what in (*STATUSES, WRONG)),
        f"{minute.outside.total():,}",
        f"{minute.latest:.2f} s",
        f"{recovered:.2f} s",
    ]


def _rows(before: Held, after: Held, samples: list[Held]) -> list[list[str]]:
    rows = []
    for each in fields(Held):
        digits = ".1f" if each.name == "rss_mb" else ".0f"
        values = [float(getattr(held, each.name)) for held in (before, after, *samples)]
        rows.append([NAMES[each.name], *(format(value, digits) for value in (*values[:2], max(values)))])
    return rows
