"""Two paths to one answer, side by side: the planned one, and the ordinary executor that it is held to."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import CRITICAL, disable, root
from typing import Any

from gateway.database.engine import Database
from gateway.execution.documents import Documents
from gateway.execution.run import Answer, GraphQLRequest, Outcome, run
from gateway.http.graphql import JSON, encode
from gateway.schema.context import Context
from gateway.viewer import READ, READ_SECRETS, Viewer
from tests.asking import NOW
from tests.rows import OURS


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told: the answer's bytes where it has no errors, and the whole answer in a form to compare."""

    outcome: Outcome
    content: bytes
    comparable: str
    planned: bool


@dataclass(slots=True)
class Tally:
    """How many documents were compared, how often with other variables, and how they were answered."""

    documents: int = 0
    asked: int = 0
    planned: int = 0
    partial: int = 0
    refused: int = 0

    def count(self, told: Told) -> None:
        """Count one more answer."""
        self.asked += 1
        self.planned += told.planned
        self.partial += told.outcome is Outcome.PARTIAL
        self.refused += told.outcome in {Outcome.UNFIT, Outcome.UNREADABLE}

    def __str__(self) -> str:
        share = 100 * self.planned / self.asked if self.asked else 0
        return (
            f"{self.documents:,} documents asked {self.asked:,} times, {self.planned:,} planned ({share:.1f} %), "
            f"{self.partial:,} with errors beside data, {self.refused:,} refused"
        )


async def ordinary(request: GraphQLRequest, documents: Documents, context: Context) -> Told:
    """The answer of the ordinary executor."""
    return told(await run(request, documents, context, plans=False))


async def planned(request: GraphQLRequest, documents: Documents, context: Context) -> Told:
    """The answer of the planned path, where there is a plan."""
    return told(await run(request, documents, context))


def told(answer: Answer) -> Told:
    """An answer to compare: ids of requests are nobody's business, and errors come in no order."""
    body = dict(answer.body)
    if "errors" in body:
        body["errors"] = sorted(map(_comparable, body["errors"]))
    content = bytes(encode(answer.content, 200, JSON).body)
    return Told(answer.outcome, content, json.dumps(body), answer.planned)


def _comparable(error: dict[str, Any]) -> str:
    """An error as text. Keys of locations and extensions have no order either."""
    extensions = {key: "…" if key == "requestId" else value for key, value in error["extensions"].items()}
    return json.dumps({**error, "extensions": extensions}, sort_keys=True)


def difference(ordinary: Told, planned: Told) -> str | None:
    """What differs between two answers, in words; None where nothing does."""
    if ordinary.outcome is not planned.outcome:
        return (
            f"ordinary {ordinary.outcome.name}, planned {planned.outcome.name}\n"
            f"ordinary {ordinary.comparable}\n planned {planned.comparable}"
        )
    if ordinary.comparable != planned.comparable:
        return f"ordinary {ordinary.comparable}\n planned {planned.comparable}"
    if ordinary.outcome is Outcome.COMPLETE and ordinary.content != planned.content:
        return f"ordinary {ordinary.content!r}\n planned {planned.content!r}"
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
    return difference(expected, found)


@contextmanager
def silence() -> Iterator[None]:
    """No logs meanwhile: rows of wrong types make failures by the thousand."""
    before = root.manager.disable
    disable(CRITICAL)
    try:
        yield
    finally:
        disable(before)
