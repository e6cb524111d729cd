"""Executor and JSON alone: graphql-core and `json` against the gateway's plans, rows already in memory, CPU time."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from graphql import GraphQLScalarType, build_schema, execute_sync, parse
from strawberry.utils.str_converters import to_camel_case

from gateway.database.engine import Database
from gateway.database.replicas import Affinity
from gateway.database.statements import CompiledStatement
from gateway.execution.plan.compiler import plan_of
from gateway.execution.run import GraphQLRequest, PreparedOperation, prepare
from gateway.reading.pages import Cursors, Order
from gateway.schema.context import Context
from gateway.schema.query import schema as gateway_schema
from gateway.viewer import READ, READ_SECRETS, Viewer
from tests.benchmark import textbook
from tests.benchmark.requests import PAGE20
from tests.benchmark.rows import ATTEMPT, BATCH, DELIVERY, ORGANIZATION, Group, identifier, instant
from tests.benchmark.table import figure
from tests.benchmark.targets import judged
from tests.support.unlimited import unlimited_documents

GROUP = Group(20, 10, 3)
REPEAT = 20
WHAT = "executor + JSON against graphql-core + json"

CURSOR = Cursors.of("batches", None, Order("created_at", descending=True)).encode(
    (GROUP.submitted(GROUP.numbers[-1]), identifier(BATCH, GROUP.numbers[-1]))
)

Work = Callable[[], bytes]


def graphql_core() -> Work:
    """graphql-core's executor over the twin's schema, every field by its default resolver, then `json.dumps`."""
    schema = build_schema(textbook.schema.as_str())
    scalar = schema.type_map["DateTime"]
    assert isinstance(scalar, GraphQLScalarType)
    scalar.coerce_output_value = textbook.format_time
    document = parse(PAGE20)
    root = {"batches": {"nodes": loaded_batches(), "pageInfo": {"hasNextPage": True, "endCursor": CURSOR}}}

    def work() -> bytes:
        result = execute_sync(schema, document, root, variable_values={"after": CURSOR})
        assert result.errors is None
        return json.dumps({"data": result.data}, separators=(",", ":")).encode()

    return work


class Loaded(Database):
    """A PostgreSQL that was asked already: its answers are in memory, as the driver would return them."""

    def __init__(self) -> None:
        super().__init__("postgresql://nobody@127.0.0.1:1/none")
        self.tables: dict[str, list[dict[str, Any]]] = {"batches": loaded_batches()}
        self.tables["batch_callback_deliveries"] = [
            {**delivery, "batchId": batch["id"]}
            for batch in self.tables["batches"]
            for delivery in batch["callbackDeliveries"]
        ]
        self.tables["batch_callback_delivery_attempts"] = [
            {**attempt, "deliveryId": delivery["id"]}
            for delivery in self.tables["batch_callback_deliveries"]
            for attempt in delivery["attempts"]
        ]
        self.answers: dict[str, list[tuple[Any, ...]]] = {}

    async def run(
        self,
        prepared: CompiledStatement,
        values: Mapping[str, Any],
        affinity: Affinity | None = None,  # noqa: ARG002
        *,
        newest: bool = False,  # noqa: ARG002
    ) -> Sequence[Sequence[Any]]:
        """The rows of the statement's table; a page has one row more than it shows."""
        answer = self.answers.get(prepared.text)
        if answer is None:
            prepared.arguments(values)
            table = prepared.summary.split()[-1]
            rows = [tuple(row[to_camel_case(name)] for name in prepared.names) for row in self.tables[table]]
            answer = self.answers[prepared.text] = [*rows, rows[-1]] if table == "batches" else rows
        return answer


def gateway() -> Work:
    """The gateway's plan for the same document over the same rows."""
    database = Loaded()
    prepared = prepare(
        GraphQLRequest(PAGE20, {"after": CURSOR}), unlimited_documents(gateway_schema._schema, is_open=False)
    )
    assert isinstance(prepared, PreparedOperation)
    variables = prepared.operation.variables(gateway_schema._schema, prepared.variables)
    assert not isinstance(variables, list)
    plan = plan_of(prepared.operation, gateway_schema._schema, prepared.document, variables)
    assert plan is not None
    viewer = Viewer(ORGANIZATION, frozenset({READ, READ_SECRETS}), "benchmark")

    def work() -> bytes:
        answering = plan.answer(Context.of(viewer, database), variables)
        try:
            answering.send(None)
        except StopIteration as end:
            return b'{"data":%b}' % end.value
        raise AssertionError("nothing is waited for")

    return work


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
