"""The rounds: every server is asked the same, first to compare what it answers, then in turn, again and again."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import Any, Literal

from tests.benchmark.client import Address, RequestRecord, ask, send
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import Question
from tests.benchmark.servers import Server

CHECKED = 32  # answers of each server that are compared whole
WARM_UP = 1.0  # seconds at most

Unit = Literal["requests/s", "CPU", "time"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A server and what it is asked, by their names."""

    server: str
    question: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of a lane; of its seconds, those that server and client have worked."""

    requests: int
    seconds: float
    cpu_seconds: float
    client_seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_ms(self) -> float:
        """What one request costs the server."""
        return self.cpu_seconds / self.requests * 1000

    @property
    def busy(self) -> float:
        """The share of the time in which the server worked: with threads more than 1, if there are cores."""
        return self.cpu_seconds / self.seconds

    @property
    def client_busy(self) -> float:
        """The share of the time in which the client worked. Near 1, it is the client that is measured."""
        return self.client_seconds / self.seconds


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 2.0
    connections: int = 8


Samples = dict[Lane, list[Sample]]
Bodies = dict[Lane, list[bytes]]


async def compare(lanes: Iterable[Lane], addresses: Mapping[str, Address], questions: Mapping[str, Question]) -> Bodies:
    """What each lane answers to the first requests of its question. `Refused` where two servers differ."""
    bodies: Bodies = {}
    for lane in lanes:
        requests = questions[lane.question].requests[:CHECKED]
        bodies[lane] = [(await ask(addresses[lane.server], request)).body for request in requests]
        first = next(other for other in bodies if other.question == lane.question)
        for ours, theirs in zip(bodies[first], bodies[lane], strict=True):
            if not same(ours, theirs):
                raise Refused(
                    f"{lane.server} answers {lane.question} unlike {first.server}:\n{_difference(ours, theirs)}"
                )
    return bodies


def same(one: bytes, other: bytes) -> bool:
    """The same bytes, or the same JSON, keys in the same order, with other spaces."""
    if one == other:
        return True
    try:
        return json.dumps(json.loads(one)) == json.dumps(json.loads(other))
    except ValueError:
        return False


def exchanges(question: Question, bodies: list[bytes], seed: int) -> Iterator[RequestRecord]:
    """The question's requests in a random order, over and over; those whose answer is known with it."""
    known = dict(enumerate(bodies))
    pairs = [(request, known.get(number)) for number, request in enumerate(question.requests)]
    random.Random(seed).shuffle(pairs)  # noqa: S311
    return cycle(pairs)


async def take_rounds(
    lanes: Iterable[Lane],
    servers: Mapping[str, Server],
    questions: Mapping[str, Question],
    bodies: Bodies,
    effort: Effort,
    report: Callable[[str], Any] = lambda _: None,
) -> Samples:
    """Samples of each lane, one a round."""
    samples: Samples = {lane: [] for lane in lanes}

    async def sample(lane: Lane, seed: int, seconds: float) -> Sample:
        server = servers[lane.server]
        asked = exchanges(questions[lane.question], bodies[lane], seed)
        before = server.cpu_seconds()
        count = await send(server.address, asked, effort.connections, seconds)
        return Sample(count.requests, count.seconds, server.cpu_seconds() - before, count.client_seconds)

    for lane in samples:
        await sample(lane, -1, min(effort.seconds, WARM_UP))
    for number in range(effort.rounds):
        for lane in samples if number % 2 == 0 else reversed(samples):
            report(f"{lane.question}: {lane.server}, round {number + 1}")
            samples[lane].append(await sample(lane, number, effort.seconds))
    return samples


def ratio(ours: Iterable[Sample], theirs: Iterable[Sample], unit: Unit) -> float:
    """The median over the rounds of ours by theirs: more is better in requests/s, worse in CPU and time."""
    pairs = list(zip(ours, theirs, strict=True))
    if unit == "requests/s":
        return median(our.rate / their.rate for our, their in pairs)
    if unit == "time":
        return median(their.rate / our.rate for our, their in pairs)
    return median(our.cpu_ms / their.cpu_ms for our, their in pairs)


def _difference(one: bytes, other: bytes) -> str:
    """Both from a little before the first byte in which they differ."""
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, at - 60)
    return "\n".join(f"… {body[start : start + 200].decode(errors='replace')}" for body in (one, other))
