"""Two paths to one answer, side by side: the planned one, and the ordinary executor that it is held to."""

import gc
import json
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import CRITICAL, disable, root
from typing import Any
from warnings import catch_warnings, simplefilter

from gateway.database.engine import Database
from gateway.execution.documents import Documents
from gateway.execution.run import Answer, GraphQLRequest, Outcome, run
from gateway.http.graphql import encode
from gateway.http.negotiation import JSON
from gateway.schema.context import Context
from gateway.viewer import READ, READ_SECRETS, Viewer
from tests.support.asking import NOW
from tests.support.rows import OURS


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told: the answer's bytes; all but its errors, and its errors, as texts to compare.

    `errors` are those of each place: the path of the null that an error left, shorter than the error's own where a
    field that may not be null made its parents null, too. None is the place of errors without a path.
    """

    outcome: Outcome
    content: bytes
    beside: str
    errors: Mapping[tuple[str | int, ...] | None, Sequence[str]]
    spread: frozenset[tuple[str | int, ...] | None]
    planned: bool


@dataclass(slots=True)
class Tally:
    """How many documents were compared, how often with other variables, and how they were answered."""

    documents: int = 0
    asked: int = 0
    planned: int = 0
    partial: int = 0
    refused: int = 0
    raced: int = 0

    def count(self, told: Told) -> None:
        """Count one more answer."""
        self.asked += 1
        self.planned += told.planned
        self.partial += told.outcome is Outcome.PARTIAL
        self.refused += told.outcome in {Outcome.INVALID, Outcome.UNPARSABLE}

    def __str__(self) -> str:
        share = 100 * self.planned / self.asked if self.asked else 0
        return (
            f"{self.documents:,} documents asked {self.asked:,} times, {self.planned:,} planned ({share:.1f} %), "
            f"{self.partial:,} with errors beside data, {self.refused:,} refused, "
            f"{self.raced:,} with another error first"
        )


async def ordinary(request: GraphQLRequest, documents: Documents, context: Context) -> Told:
    """The answer of the ordinary executor."""
    return told(await run(request, documents, context, plans=False))


async def planned(request: GraphQLRequest, documents: Documents, context: Context) -> Told:
    """The answer of the planned path, where there is a plan."""
    return told(await run(request, documents, context))


def told(answer: Answer) -> Told:
    """An answer to compare: ids of requests are nobody's business, and errors come in no order."""
    body = answer.body
    data = body.get("data")
    errors: dict[tuple[str | int, ...] | None, list[str]] = {}
    spread = set()
    for error in body.get("errors", ()):
        path = error.get("path")
        place = None if path is None else _place(data, path)
        if place is not None and len(place) < len(path):
            spread.add(place)
        insort(errors.setdefault(place, []), _comparable(error))
    beside = json.dumps({key: value for key, value in body.items() if key != "errors"})
    content = encode(answer.content, 200, JSON).body
    return Told(answer.outcome, content, beside, errors, frozenset(spread), answer.planned)


def _place(data: Any, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """The path of the first null on the way to where an error happened."""
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    return tuple(path)


def _comparable(error: dict[str, Any]) -> str:
    """An error as text. Keys of locations and extensions have no order either."""
    extensions = {key: "…" if key == "requestId" else value for key, value in error["extensions"].items()}
    return json.dumps({**error, "extensions": extensions}, sort_keys=True)


def difference(ordinary: Told, planned: Told) -> str | None:
    """What differs between two answers, in words; None where nothing does.

    Where several errors make the same parent null, those that come after the first may be told or not: it is a race
    between statements, in which the ordinary executor differs from itself. There, some error is enough.
    """
    if ordinary.outcome is not planned.outcome:
        outcomes = ordinary.outcome.name, planned.outcome.name
        return f"ordinary {outcomes[0]} {ordinary.content!r}\n planned {outcomes[1]} {planned.content!r}"
    if ordinary.beside != planned.beside:
        return f"ordinary {ordinary.beside}\n planned {planned.beside}"
    if ordinary.outcome is Outcome.COMPLETE and ordinary.content != planned.content:
        return f"ordinary {ordinary.content!r}\n planned {planned.content!r}"
    for place in ordinary.errors.keys() | planned.errors.keys():
        one, other = ordinary.errors.get(place), planned.errors.get(place)
        may_race = place in ordinary.spread and place in planned.spread
        if one != other and not may_race:
            return f"ordinary {one}\n planned {other}"
    return None


def context(database: Database, *, secrets: bool, organization: str = OURS) -> Context:
    """A request's context, always at the same instant."""
    scopes = frozenset({READ, READ_SECRETS} if secrets else {READ})
    return Context.of(Viewer(organization, scopes, "test"), database, NOW)


async def compare(
    request: GraphQLRequest, documents: Documents, asker: Callable[[], Context], tally: Tally
) -> str | None:
    """Ask both paths, each in a context of its own; what differs between their answers."""
    expected = await ordinary(request, documents, asker())
    found = await planned(request, documents, asker())
    tally.count(found)
    tally.raced += expected.errors != found.errors
    return difference(expected, found)


@contextmanager
def silence() -> Iterator[None]:
    """No logs meanwhile: rows of wrong types make failures by the thousand.

    At some of these the ordinary executor forgets coroutines that it has not awaited. They are collected by whoever
    calls `gc.collect`: in the midst of other code, Python cannot even warn of them.
    """
    before = root.manager.disable
    disable(CRITICAL)
    gc.disable()
    try:
        with catch_warnings():
            simplefilter("ignore", RuntimeWarning)
            yield
            gc.collect()
    finally:
        gc.enable()
        disable(before)
