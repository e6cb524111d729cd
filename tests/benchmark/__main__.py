"""`python -m tests.benchmark [compare | depth | scale | soak | faults | overhead | watch]`."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from tests.benchmark import compare, depth, faults, overhead, scale, soak, watch
from tests.benchmark.databases import KINDS, POSTGRES
from tests.benchmark.refusal import Refused
from tests.benchmark.servers import take_own_core
from tests.benchmark.table import Sheet, console, publish
from tests.benchmark.targets import PARTS

Run = Callable[[argparse.Namespace], Awaitable[list[Sheet]]]
RUNS: dict[str, tuple[Run, str]] = {
    "compare": (compare.run, "the gateway, its twins and the floors (this, if no command is given)"),
    "depth": (depth.run, "a page behind 9 of 10 rows, and the first 10 of 5,000 children, among millions"),
    "scale": (scale.run, "statistics and filters among a hundred times as many rows, with counted periods and without"),
    "soak": (soak.run, "memory, descriptors and connections under a mixed load"),
    "faults": (faults.run, "a fault a minute under a mixed load, on a PostgreSQL server of its own"),
    "overhead": (overhead.run, "two configurations of the gateway"),
    "watch": (watch.run, "2,000 who watch 20 organizations, and pages meanwhile"),
}
CONNECTIONS = {"depth": 1, "scale": 1, "faults": 16}


def main(arguments: Sequence[str]) -> int:
    """Run a command; 1 where the run is refused."""
    given = parser().parse_args(
        arguments if arguments and arguments[0] in {*RUNS, "-h", "--help"} else ["compare", *arguments]
    )
    take_own_core()
    run, _ = RUNS[given.command]
    try:
        publish(uvloop.run(run(given)), given.markdown)  # type: ignore[arg-type]
    except Refused as reason:
        console.print(f"Refused: {reason}", style="red", markup=False, highlight=False)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=help_) for name, (_, help_) in RUNS.items()}
    for name, command in made.items():
        command.add_argument("--databases", type=_names(KINDS), default=KINDS, help="sqlite,postgresql")
        command.add_argument("--postgres", default=POSTGRES, help="a server where databases may be created")
        command.add_argument("--markdown", type=Path, help="write the tables to this file")
        command.add_argument("--connections", type=int, default=CONNECTIONS.get(name, 8))
        if name not in {"depth", "scale"}:
            command.add_argument("--batches", type=int, default=400, help="with 10 deliveries of 3 attempts")
        if name not in {"soak", "faults"}:
            command.add_argument("--rounds", type=int, default=5)
            command.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parts = (*PARTS, compare.MEMORY)
    made["compare"].add_argument("--only", type=_names(parts), default=parts, help=",".join(parts))
    made["depth"].add_argument("--attempts", type=int, default=10_000_000)
    made["scale"].add_argument("--attempts", type=int, default=10_000_000)
    made["scale"].add_argument(
        "--keep", action="append", default=[], metavar="URL", help="of a large database, filled once; may be repeated"
    )
    made["soak"].add_argument("--minutes", type=float, default=10)
    made["faults"].add_argument("--minutes", type=float, default=30)
    made["watch"].add_argument("--watchers", type=int, default=2_000)
    made["watch"].add_argument("--organizations", type=int, default=20)
    made["overhead"].add_argument("--a", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    made["overhead"].add_argument("--b", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    return top


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no such: {', '.join(sorted(unknown))}")
        return names

    return read


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
