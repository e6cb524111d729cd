"""`python -m tests.benchmark soak --minutes 10`: what stays, when everything is asked at once, for long."""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import cycle

from sqlalchemy import make_url

from tests.benchmark.client import Count, RequestRecord, send
from tests.benchmark.databases import Filled, administer, filled
from tests.benchmark.requests import questions, unique_documents
from tests.benchmark.rows import Layout
from tests.benchmark.servers import CONTESTANTS, Server, running
from tests.benchmark.table import Sheet, console

SECONDS_BETWEEN = 3.0
WARM_UP = 0.2  # of the whole time
UNIQUE_AMONG = 10  # one request of so many is a document that nobody has seen
MB = 1024 * 1024
# Of a hundred requests; production refuses introspection, so that what cannot be planned is not among them.
MIX = {"page20": 15, "one": 40, "typename": 20, "rest50": 10, "graph50": 15}


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds at one moment."""

    rss_mb: float
    descriptors: int
    connections: int


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """A mixed load on each database, for so many minutes in all."""
    layout = Layout.of(wide=(200, 50, 3), usual=(arguments.batches, 10, 3))
    seconds = arguments.minutes * 60 / len(arguments.databases)
    rows: list[list[str]] = []
    for kind in arguments.databases:
        async with filled(kind, layout, arguments.postgres) as database:
            async with running(CONTESTANTS["planned"], database.url) as server:
                start = await _held(server, database, arguments.postgres)
                load = asyncio.ensure_future(send(server.address, _mixed(database), arguments.connections, seconds))
                samples = await _sampled(load, server, database, arguments.postgres, seconds)
                count = await load
                console.print(f"{kind}: {count.requests:,} requests in {count.seconds:,.0f} s", highlight=False)
            rows += _rows(kind, start, samples, max(1, round(len(samples) * WARM_UP)))
    header = ("what", "database", "start", "after warm-up", "end", "max", "end by after warm-up")
    return [Sheet(f"Soak: {arguments.minutes:g} minutes, one request of {UNIQUE_AMONG} a new document", header, rows)]


async def _sampled(
    load: asyncio.Future[Count], server: Server, database: Filled, postgres: str, seconds: float
) -> list[Held]:
    """What the server holds while the load lasts."""
    samples: list[Held] = []
    started = time.perf_counter()
    with console.status(database.kind) as status:
        while not (await asyncio.wait({load}, timeout=min(SECONDS_BETWEEN, seconds / 10)))[0]:
            samples.append(await _held(server, database, postgres))
            passed = time.perf_counter() - started
            status.update(f"{database.kind}: {passed:,.0f} of {seconds:,.0f} s, {samples[-1].rss_mb:.1f} MB")
    return samples


async def _held(server: Server, database: Filled, postgres: str) -> Held:
    process = server.process
    if database.kind == "sqlite":
        path = make_url(database.url).database
        connections = sum(file.path == path for file in process.open_files())
    else:
        name = make_url(database.url).database
        rows = await administer(postgres, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
        connections = rows[0][0]
    return Held(process.memory_info().rss / MB, process.num_fds(), connections)


def _mixed(database: Filled) -> Iterator[RequestRecord]:
    """Requests of all kinds by their shares, among them unique documents."""
    asked = questions(database.layout, database.key, database.secrets_key)
    unique = unique_documents(database.key)
    pools = {name: cycle(asked[name].requests) for name in MIX}
    choose = random.Random(3)  # noqa: S311
    names, weights = list(MIX), list(MIX.values())
    while True:
        for name in choose.choices(names, weights, k=UNIQUE_AMONG - 1):
            yield next(pools[name]), None
        yield next(unique), None


def _rows(kind: str, start: Held, samples: list[Held], warm: int) -> list[list[str]]:
    rows = []
    for each in fields(Held):
        values = [float(getattr(sample, each.name)) for sample in samples]
        first, after, end, most = float(getattr(start, each.name)), values[warm - 1], values[-1], max(values)
        digits = ".1f" if each.name == "rss_mb" else ".0f"
        shown = [format(value, digits) for value in (first, after, end, most)]
        rows.append([NAMES[each.name], kind, *shown, f"{end / after:.3f}" if after else ""])
    return rows


NAMES = {"rss_mb": "RSS, MB", "descriptors": "open descriptors", "connections": "connections to the database"}
