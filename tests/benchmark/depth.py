"""`python -m tests.benchmark depth`: does a page or a parent cost more where there is more behind it?"""

import argparse
from contextlib import AsyncExitStack
from statistics import median

from tests.benchmark.databases import filled
from tests.benchmark.measure import Effort, Lane, Samples, compare, ratio, take_rounds
from tests.benchmark.requests import deep_questions
from tests.benchmark.rows import Layout
from tests.benchmark.servers import CONTESTANTS, addresses, running
from tests.benchmark.table import Sheet, console, figure
from tests.benchmark.targets import judged

DELIVERIES, ATTEMPTS = 10, 10
WIDE = (100, 5_000, 1)
# What, its lighter twin, must and stretch.
PAIRS = (
    ("page behind 9 of 10 rows", "page at the start", 1.5, 1.1),
    ("first 10 of 5,000", "first 10 of 10", 2.0, 1.2),
)
SERVERS = ("planned", "ordinary")


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """Fill each database with so many attempts and compare."""
    usual = max(20, arguments.attempts // (DELIVERIES * ATTEMPTS))
    layout = Layout.of(wide=WIDE, usual=(usual, DELIVERIES, ATTEMPTS))
    effort = Effort(arguments.rounds, arguments.seconds, arguments.connections)
    rows: list[list[str]] = []
    for kind in arguments.databases:
        async with filled(kind, layout, arguments.postgres, many=True) as database, AsyncExitStack() as stack:
            asked = deep_questions(layout, database.key)
            servers = {
                name: await stack.enter_async_context(running(CONTESTANTS[name], database.url)) for name in SERVERS
            }
            lanes = [Lane(server, question) for server in SERVERS for question in asked]
            bodies = await compare(lanes, addresses(servers), asked)
            for server in SERVERS:
                console.print(f"{kind}: {CONTESTANTS[server].title}", highlight=False)
                samples: Samples = {}
                for pair in PAIRS:
                    mine = [Lane(server, question) for question in pair[:2]]
                    samples |= await take_rounds(mine, servers, asked, bodies, effort)
                rows += [_row(kind, server, samples, *pair) for pair in PAIRS]
    attempts = layout.usual.first_attempt + layout.usual.all_attempts
    header = ("what", "by", "database", "server", "ms each", "time", "must", "stretch", "reached")
    return [Sheet(f"Depth: {attempts:,} attempts, {effort.connections} at a time", header, rows)]


def _row(kind: str, server: str, samples: Samples, heavy: str, light: str, must: float, stretch: float) -> list[str]:
    ours, theirs = samples[Lane(server, heavy)], samples[Lane(server, light)]
    measured = ratio(ours, theirs, "time")
    each = " · ".join(figure(1000 / median(sample.rate for sample in lane)) for lane in (ours, theirs))
    return [
        heavy,
        light,
        kind,
        CONTESTANTS[server].title,
        each,
        figure(measured),
        *judged(measured, must, stretch, "time"),
    ]
