"""`python -m tests.benchmark`: the gateway, its twins and the floors, on each database."""

import argparse
import json
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from rich.progress import Progress

from tests.benchmark import in_memory
from tests.benchmark.client import ask
from tests.benchmark.databases import Filled, filled
from tests.benchmark.measure import Bodies, Effort, Lane, Samples, compare, take_rounds
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import Question, questions
from tests.benchmark.rows import Layout
from tests.benchmark.servers import CONTESTANTS, Server, addresses, running
from tests.benchmark.table import Sheet, console
from tests.benchmark.targets import PARTS, figures_sheet, targets_sheet

MEMORY = "memory"
PARSED = "payload"  # whose enums and times are GraphQL's own


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """Measure the parts that are asked for on the databases that are asked for."""
    layout = Layout.of(wide=(200, 50, 3), usual=(arguments.batches, 10, 3))
    effort = Effort(arguments.rounds, arguments.seconds, arguments.connections)
    parts = {name: lanes for name, lanes in PARTS.items() if name in arguments.only}
    samples: dict[str, Samples] = {}
    ran: dict[tuple[str, str], str] = {}
    for kind in arguments.databases if parts else ():
        async with filled(kind, layout, arguments.postgres) as database:
            samples[kind], paths = await _on(database, parts, effort)
            ran |= {(kind, question): path for question, path in paths.items()}
    sheets = [figures_sheet(samples, ran)] if parts else []
    more = in_memory.rows(effort.rounds) if MEMORY in arguments.only else []
    return [*sheets, targets_sheet(samples, more)]


async def _on(
    database: Filled, parts: Mapping[str, tuple[Lane, ...]], effort: Effort
) -> tuple[Samples, dict[str, str]]:
    asked = questions(database.layout, database.key, database.secrets_key)
    lanes = [lane for part in parts.values() for lane in part]
    async with AsyncExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in dict.fromkeys(["development", *(lane.server for lane in lanes)]):
            console.print(f"{database.kind}: {CONTESTANTS[name].title} starts", highlight=False)
            servers[name] = await stack.enter_async_context(running(CONTESTANTS[name], database.url))
        bodies = await compare(lanes, addresses(servers), asked)
        compare_faces(bodies)
        paths = await _paths(servers["development"], asked, dict.fromkeys(lane.question for lane in lanes))
        samples: Samples = {}
        # Drawn between the measurements only, not meanwhile.
        with Progress(console=console, auto_refresh=False, transient=True) as progress:
            task = progress.add_task(database.kind, total=len(lanes) * effort.rounds)

            def report(what: str) -> None:
                progress.update(task, description=f"{database.kind}: {what}")
                progress.refresh()
                progress.advance(task)

            for part in parts.values():
                samples |= await take_rounds(part, servers, asked, bodies, effort, report)
        return samples, paths


def compare_faces(bodies: Bodies) -> None:
    """`Refused` unless GraphQL tells of a batch what REST tells."""
    rest, graph = Lane("planned", "rest50"), Lane("planned", "graph50")
    if not {rest, graph} <= bodies.keys():
        return
    for ours, theirs in zip(bodies[graph], bodies[rest], strict=True):
        deliveries = json.loads(ours)["data"]["batch"]["callbackDeliveries"]
        if _without_payload(deliveries) != _without_payload(json.loads(theirs)):
            raise Refused("GraphQL and REST tell different things of one batch.")


def _without_payload(deliveries: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{key: value for key, value in delivery.items() if key != PARSED} for delivery in deliveries]


async def _paths(development: Server, asked: Mapping[str, Question], names: Iterable[str]) -> dict[str, str]:
    """How the gateway comes to its answers, as its development profile tells."""
    paths = {}
    for name in names:
        answer = await ask(development.address, asked[name].requests[0])
        path, statements = answer.header("x-graphql-path"), answer.header("x-graphql-statements")
        if path is not None:
            paths[name] = path if statements is None else f"{path}, {statements} statements"
    return paths
