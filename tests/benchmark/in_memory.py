"""Executor and JSON alone: graphql-core and `json` against the gateway's plans, rows already in memory, CPU time."""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from graphql import GraphQLScalarType, build_schema, execute_sync, parse

from tests.benchmark import textbook
from tests.benchmark.requests import PAGE20
from tests.benchmark.rows import ATTEMPT, BATCH, DELIVERY, Group, identifier, instant
from tests.benchmark.table import figure
from tests.benchmark.targets import judged

GROUP = Group(20, 10, 3)
REPEAT = 20
WHAT = "executor + JSON against graphql-core + json"

Work = Callable[[], bytes]


def graphql_core() -> Work:
    """graphql-core's executor over the twin's schema, every field by its default resolver, then `json.dumps`."""
    schema = build_schema(textbook.schema.as_str())
    scalar = schema.type_map["DateTime"]
    assert isinstance(scalar, GraphQLScalarType)
    scalar.coerce_output_value = textbook.format_time
    document = parse(PAGE20)
    root = {"batches": {"nodes": loaded_batches(), "pageInfo": {"hasNextPage": True, "endCursor": "cursor"}}}

    def work() -> bytes:
        result = execute_sync(schema, document, root, variable_values={"after": "cursor"})
        assert result.errors is None
        return json.dumps({"data": result.data}, separators=(",", ":")).encode()

    return work


def gateway() -> Work | None:
    """The gateway's plan for the same document over the same rows; None as long as there are no plans.

    The work must return the bytes that `graphql_core()` returns.
    """
    return None


def loaded_batches() -> list[dict[str, Any]]:
    """The rows of one page, nested, as `rows` would make them."""
    return [
        {
            "id": identifier(BATCH, batch),
            "statusCode": "succeeded",
            "createdAt": GROUP.submitted(batch),
            "completedAt": instant(batch * 30),
            "callbackDeliveries": [_delivery(batch * 10 + place) for place in range(10)],
        }
        for batch in GROUP.numbers
    ]


def _delivery(number: int) -> dict[str, Any]:
    return {
        "id": identifier(DELIVERY, number),
        "statusCode": "delivered",
        "attemptCount": 3,
        "callbackUrl": f"https://hooks.customer-{number % 97}.example/callbacks/batches",
        "createdAt": instant(number * 3),
        "attempts": [_attempt(number * 3 + place) for place in range(3)],
    }


def _attempt(number: int) -> dict[str, Any]:
    is_last = number % 3 == 2
    return {
        "id": identifier(ATTEMPT, number),
        "attemptNumber": 1 + number % 3,
        "statusCode": 200 if is_last else 503,
        "responseTimeMs": 40 + number * 37 % 2900,
        "errorMessage": None,
    }


def rows(rounds: int) -> list[list[str]]:
    """The row of the table of targets."""
    theirs, ours = graphql_core(), gateway()
    if ours is None:
        taken = median(_cpu_ms(theirs) for _ in range(rounds))
        return [[f"{WHAT} ({figure(taken)} ms)", "in memory", "CPU", "not yet", "≥ 30", "≥ 45", ""]]
    assert ours() == theirs()
    ratios = [_cpu_ms(theirs) / _cpu_ms(ours) for _ in range(rounds)]
    measured = median(ratios)
    return [[WHAT, "in memory", "CPU", figure(measured), *judged(measured, 30, 45, "requests/s")]]


def _cpu_ms(work: Work) -> float:
    work()
    started = time.process_time()
    for _ in range(REPEAT):
        work()
    return (time.process_time() - started) / REPEAT * 1000
