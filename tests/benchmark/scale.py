"""`python -m tests.benchmark scale`: what statistics and filters cost where there are a hundred times as many rows."""

import argparse
import os
import sys
import time
from asyncio import create_subprocess_exec
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from statistics import median
from typing import Any

from tests.benchmark.client import Address, ask
from tests.benchmark.databases import Filled, filled
from tests.benchmark.measure import same
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import post
from tests.benchmark.rows import Layout, instant
from tests.benchmark.servers import Contestant, gateway, running
from tests.benchmark.table import Sheet, console, figure
from tests.benchmark.targets import judged

ATTEMPTS, DELIVERIES = 3, 2  # of a delivery, of a batch
SMALL = 30_000  # deliveries
WIDE = (1, 100, 1)
MANY = 10  # the same request, in one round, where it is quick
QUICK = 0.05  # seconds
PATIENT = {"GATEWAY_DEADLINE_SECONDS": "55"}
COUNTING = {**PATIENT, "GATEWAY_COUNTING": "true"}

PAGE = """query TheDeliveriesPage($deliveries: CallbackDeliveryFilter) {
  batches(first: 20, filter: { callbackDeliveries: { some: {} } }) {
    nodes {
      id statusCode callbackHealth callbackDeliveryCount
      callbackDeliveries(first: 1, orderBy: { field: CREATED_AT, direction: DESC }) {
        statusCode failure { title retryable } latestAttempt { statusCode responseTimeMs }
      }
    }
    pageInfo { hasNextPage endCursor } totalCount { value precision }
  }
  %s
}"""
STATISTICS = """callbackStats(filter: $deliveries) {
    deliveries inFlight overdue successRate responseTimeMs { p50 p95 p99 }
    timeline(bucket: DAY, timeZone: "Europe/Berlin") { start delivered failed }
  }"""
EACH = {
    "totals": "deliveries inFlight overdue",
    "attempts": "attempts",
    "by status": "byStatus { statusCode deliveries }",
    "by reason": "byFailureReason { failureReasonCode deliveries }",
    "by answer": "byResponseStatus { statusCode attempts }",
    "by host": "byHost(first: 50) { host deliveries failed }",
    "times by host": "byHost(first: 50) { host responseTimeMs { p95 } }",
    "response times": "responseTimeMs { p50 p95 p99 max }",
    "timeline": 'timeline(bucket: DAY, timeZone: "Asia/Kathmandu") { start delivered failed }',
}
DELIVERY_LIST = (
    "query ($filter: CallbackDeliveryFilter) { callbackDeliveries(first: 50, filter: $filter) { nodes { id } } }"
)
BATCH_LIST = "query ($filter: BatchFilter) { batches(first: 50, filter: $filter) { nodes { id } } }"
ATTEMPT_LIST = (
    "query ($filter: CallbackAttemptFilter) { callbackAttempts(first: 50, filter: $filter) { nodes { id } } }"
)
FILTERS: dict[str, tuple[str, Any]] = {
    "deliveries, unfiltered": (DELIVERY_LIST, None),
    "attempts.some.errorMessage.contains": (
        DELIVERY_LIST,
        {"attempts": {"some": {"errorMessage": {"contains": "no such text"}}}},
    ),
    "attemptCount": (DELIVERY_LIST, {"attemptCount": {"gte": 9}}),
    "statusCode.notIn": (DELIVERY_LIST, {"statusCode": {"notIn": ["delivered", "failed"]}}),
    "batches, unfiltered": (BATCH_LIST, None),
    "callbackDeliveries.none": (BATCH_LIST, {"callbackDeliveries": {"none": {}}}),
    "metadata": (BATCH_LIST, {"metadata": {"path": ["customer", "tier"], "eq": "silver"}}),
    "attempts, unfiltered": (ATTEMPT_LIST, None),
    "errorMessage.contains": (ATTEMPT_LIST, {"errorMessage": {"contains": "no such text"}}),
}


@dataclass(frozen=True, slots=True)
class Lane:
    """A server over so many deliveries, and what it is asked."""

    address: Address
    request: bytes


async def run(arguments: argparse.Namespace) -> list[Sheet]:
    """Fill two databases of each kind, and compare."""
    sheets = []
    large = max(SMALL, arguments.attempts // ATTEMPTS)
    for kind in arguments.databases:
        async with AsyncExitStack() as stack:
            lanes: dict[tuple[str, str, str], Lane] = {}
            for size, deliveries in (("small", SMALL), ("large", large)):
                layout = Layout.of(wide=WIDE, usual=(deliveries // DELIVERIES, DELIVERIES, ATTEMPTS), varied=True)
                kept = next((url for url in arguments.keep if size == "large" and url.startswith(kind)), None)
                database = await stack.enter_async_context(
                    filled(kind, layout, arguments.postgres, many=True, kept=kept)
                )
                console.print(f"{kind}, {size}: counted in {await _count(database):.0f} s", highlight=False)
                sides = {"counted": gateway("counted", **COUNTING), "rows": gateway("rows", **PATIENT)}
                for side, contestant in sides.items():
                    lanes |= await _lanes(stack, contestant, database, size, side)
            seconds = await _measured(lanes, arguments.rounds)
        sheets += [_statistics(kind, large, seconds), _filters(kind, large, seconds)]
    return sheets


async def _count(database: Filled) -> float:
    """Count all there is, and say how many seconds it took."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    started = time.perf_counter()
    process = await create_subprocess_exec(
        sys.executable, "-m", "gateway", "count", env={**clean, "GATEWAY_DATABASE_URL": database.url}
    )
    if await process.wait():
        raise Refused("`gateway count` failed")
    return time.perf_counter() - started


async def _lanes(
    stack: AsyncExitStack, contestant: Contestant, database: Filled, size: str, side: str
) -> dict[tuple[str, str, str], Lane]:
    server = await stack.enter_async_context(running(contestant, database.url))
    last = instant(database.layout.usual.first_attempt + database.layout.usual.all_attempts)
    spans = {"everything": None, "a month": timedelta(days=30), "a day": timedelta(days=1)}
    without = PAGE.replace("($deliveries: CallbackDeliveryFilter)", "") % ""
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {"page without statistics": (without, {})}
    for name, span in spans.items():
        kept = None if span is None else {"createdAt": {"gte": (last - span).isoformat()}}
        asked[f"page over {name}"] = PAGE % STATISTICS, {"deliveries": kept}
    for name, selected in EACH.items():
        asked[name] = f"{{ callbackStats {{ {selected} }} }}", {}
    asked["totals of failed ones"] = '{ callbackStats(filter: { statusCode: { eq: "failed" } }) { deliveries } }', {}
    asked["response times of failed ones"] = (
        '{ callbackStats(filter: { statusCode: { eq: "failed" } }) { responseTimeMs { p95 } } }',
        {},
    )
    asked["totals of one host"] = (
        '{ callbackStats(filter: { callbackHost: { eq: "hooks.customer-7.example" } }) { deliveries failed } }',
        {},
    )
    if side == "counted":
        asked |= {name: (document, {"filter": filter_}) for name, (document, filter_) in FILTERS.items()}
    requests = {name: post(document, database.key, variables) for name, (document, variables) in asked.items()}
    return {(size, side, name): Lane(server.address, request) for name, request in requests.items()}


async def _measured(lanes: Mapping[tuple[str, str, str], Lane], rounds: int) -> dict[tuple[str, str, str], float]:
    """The seconds of each lane's request: the median of the rounds. `Refused` where rows answer otherwise."""
    samples: dict[tuple[str, str, str], list[float]] = {lane: [] for lane in lanes}
    bodies: dict[tuple[str, str, str], bytes] = {}
    for number in range(rounds + 1):
        for name, lane in lanes.items():
            slow = bool(samples[name]) and samples[name][0] > 5
            if slow and len(samples[name]) > 1:
                continue  # twice is enough
            if number == 1:
                samples[name].clear()  # the first was to warm up
            started = time.perf_counter()
            try:
                answer = await ask(lane.address, lane.request)
            except Refused:
                if name[2] not in FILTERS:
                    raise
                samples[name].append(inf)  # not in time: that is a result
                continue
            took = time.perf_counter() - started
            if took < QUICK and number:
                started = time.perf_counter()
                for _ in range(MANY):
                    await ask(lane.address, lane.request)
                took = (time.perf_counter() - started) / MANY
            samples[name].append(took)
            bodies[name] = answer.body
        console.print(f"round {number}", highlight=False)
    for (size, side, what), body in bodies.items():
        if side == "rows" and not same(body, bodies[size, "counted", what]):
            raise Refused(f"{what} ({size}) is not the same with stored periods")
    return {lane: median(taken) for lane, taken in samples.items()}


def _statistics(kind: str, large: int, seconds: Mapping[tuple[str, str, str], float]) -> Sheet:
    names = [name for size, side, name in seconds if (size, side) == ("large", "rows")]
    bare = "page without statistics"
    rows = []
    for name in names:
        counted = [seconds[size, "counted", name] for size in ("small", "large")]
        plain = [seconds[size, "rows", name] for size in ("small", "large")]
        ratio = counted[1] / counted[0]
        by_bare = counted[1] / seconds["large", "counted", bare]
        judgement = ["", "", ""]
        if name == "page over everything":
            judgement = judged(max(ratio / 1.5, by_bare / 3), 1, None, "time")
        rows.append(
            [
                name,
                *(figure(value * 1000) for value in (*plain, *counted)),
                figure(ratio),
                figure(plain[1] / plain[0]),
                figure(by_bare) if name.startswith("page") else "",
                judgement[-1],
            ]
        )
    header = (
        "what",
        "rows, small ms",
        "rows, large ms",
        "counted, small ms",
        "counted, large ms",
        "large by small",
        "by rows",
        "by page without",
        "≤ 1.5 and ≤ 3",
    )
    return Sheet(f"Scale on {kind}: {SMALL:,} and {large:,} deliveries of {ATTEMPTS} attempts", header, rows)


def _filters(kind: str, large: int, seconds: Mapping[tuple[str, str, str], float]) -> Sheet:
    rows, plain = [], 0.0
    for name in FILTERS:
        took = seconds["large", "counted", name]
        if name.endswith("unfiltered"):
            plain = took
        rows.append([name, figure(took * 1000), figure(took / plain), *judged(took / plain, 20, None, "time")[::2]])
    return Sheet(
        f"First pages of 50 on {kind}: {large:,} deliveries", ("filter", "ms", "by unfiltered", "must", "reached"), rows
    )
