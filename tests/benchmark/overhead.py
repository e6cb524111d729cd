"""`python -m tests.benchmark overhead --a NAME=VALUE --b NAME=VALUE`: what a setting costs."""

import argparse
from contextlib import AsyncExitStack
from statistics import median

from tests.benchmark.databases import filled
from tests.benchmark.measure import Effort, Lane, compare, ratio, take_rounds
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import questions
from tests.benchmark.rows import Layout
from tests.benchmark.servers import addresses, gateway, running
from tests.benchmark.table import Sheet, console, figure

QUESTIONS = ("page20", "one", "typename", "rest50")


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """Compare the gateway with the variables `a` and with the variables `b`."""
    layout = Layout.of(wide=(200, 50, 3), usual=(arguments.batches, 10, 3))
    effort = Effort(arguments.rounds, arguments.seconds, arguments.connections)
    contestants = {
        name: gateway(" ".join(given) or "as it is", **_variables(given)) for name, given in _sides(arguments)
    }
    rows = []
    for kind in arguments.databases:
        async with filled(kind, layout, arguments.postgres) as database, AsyncExitStack() as stack:
            servers = {
                name: await stack.enter_async_context(running(contestant, database.url))
                for name, contestant in contestants.items()
            }
            asked = questions(layout, database.key, database.secrets_key)
            for question in QUESTIONS:
                console.print(f"{kind}: {question}", highlight=False)
                lanes = [Lane(name, question) for name in servers]
                bodies = await compare(lanes, addresses(servers), asked)
                a, b = (await take_rounds(lanes, servers, asked, bodies, effort)).values()
                rows.append(
                    [
                        question,
                        kind,
                        *(figure(median(sample.rate for sample in side)) for side in (a, b)),
                        *(figure(median(sample.cpu_ms for sample in side)) for side in (a, b)),
                        figure(ratio(a, b, "requests/s")),
                        figure(ratio(a, b, "CPU")),
                    ]
                )
    header = ("what", "database", "a requests/s", "b requests/s", "a CPU ms", "b CPU ms", "a/b requests/s", "a/b CPU")
    title = f"a: {contestants['a'].title}; b: {contestants['b'].title}"
    return [Sheet(title, header, rows)]


def _sides(arguments: argparse.Namespace) -> list[tuple[str, list[str]]]:
    return [("a", arguments.a), ("b", arguments.b)]


def _variables(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if not all(equals for _, equals, _ in pairs):
        raise Refused("A variable is given as NAME=VALUE.")
    return {name: value for name, _, value in pairs}
