"""From a request to an answer: find its document, choose its operation, weigh it, execute it."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from inspect import isawaitable
from typing import Any, TypeVar
from uuid import uuid4

from graphql import DocumentNode, ExecutionResult, GraphQLError, OperationType, VariableDefinitionNode, execute

from gateway.errors import ClientError, DeadlineExceeded, InternalError, MethodNotAllowed
from gateway.execution.documents import Documents, more_errors
from gateway.execution.limits import check_cost, check_variables
from gateway.observability import request_id
from gateway.observability.exchange import exchange
from gateway.schema.context import Context

logger = logging.getLogger(__name__)

BAD_INPUT = "BAD_USER_INPUT"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """What a client asks to run: a document by its text, its hash or both."""

    query: str | None
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    hash: str | None = None


class Outcome(Enum):
    """How far a request came."""

    COMPLETE = auto()
    PARTIAL = auto()  # executed, with errors
    UNFIT = auto()  # a document or variables that do not fit; never executed
    UNREADABLE = auto()  # no document at all; never executed
    LATE = auto()  # stopped at the deadline


@dataclass(frozen=True, slots=True)
class Answer:
    """A GraphQL response; there is no `data` in it where nothing was executed."""

    body: dict[str, Any]
    outcome: Outcome

    @property
    def executed(self) -> bool:
        """True where there is data, or null in its place."""
        return self.outcome in {Outcome.COMPLETE, Outcome.PARTIAL}

    @property
    def codes(self) -> set[str]:
        """The codes of its errors."""
        return {error["extensions"]["code"] for error in self.body.get("errors", ())}


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that may run with these variables."""

    document: DocumentNode
    operation_name: str | None
    variables: dict[str, Any]
    cost: int


async def run(
    request: GraphQLRequest,
    documents: Documents,
    context: Context,
    *,
    queries_only: bool = False,
    deadline: float | None = None,
) -> Answer:
    """Prepare and execute. Client mistakes become errors in the answer, but for `MethodNotAllowed`."""
    prepared = prepare(request, documents, queries_only=queries_only)
    return prepared if isinstance(prepared, Answer) else await execute_prepared(prepared, documents, context, deadline)


def prepare(request: GraphQLRequest, documents: Documents, *, queries_only: bool = False) -> Prepared | Answer:
    """The operation to run, or the answer that refuses it. `MethodNotAllowed` where only a query may run."""
    try:
        checked = documents.find(request.query, request.hash)
    except ClientError as error:
        return refuse(error, Outcome.UNREADABLE)
    if queries_only and checked.operations:
        try:
            kind = checked.operation(request.operation_name).kind
        except ClientError as error:
            return refuse(error)
        if kind is not OperationType.QUERY:
            raise MethodNotAllowed("GET runs queries only: send this by POST.")
    if checked.document is None:
        return Answer({"errors": list(checked.errors)}, Outcome.UNFIT if checked.parsed else Outcome.UNREADABLE)
    variables = dict(request.variables or {})
    try:
        operation = checked.operation(request.operation_name)
        check_variables(variables, documents.limits)
        cost = operation.cost.of(variables)
        check_cost(cost, documents.limits)
    except ClientError as error:
        return refuse(error)
    record = exchange.get()
    record.operation = request.operation_name or next(iter(checked.operations)) or ""
    record.kind = operation.kind.value
    record.document = lambda: checked.normalised
    return Prepared(checked.document, request.operation_name, variables, cost)


async def execute_prepared(
    prepared: Prepared, documents: Documents, context: Context, deadline: float | None = None
) -> Answer:
    """Execute, within so many seconds."""
    limits = documents.limits
    pending = execute(
        documents.schema,
        prepared.document,
        context_value=context,
        variable_values=prepared.variables,
        operation_name=prepared.operation_name,
        max_coercion_errors=limits.errors,
        hide_suggestions=not documents.introspection,
    )
    try:
        result = await within(deadline, pending) if isawaitable(pending) else pending
    except DeadlineExceeded as error:
        return refuse(error, Outcome.LATE)
    finally:
        if context.rows is not None:
            context.rows.stop()
    return _answer(result, limits.errors, tell=documents.introspection)


async def within(deadline: float | None, work: Awaitable[T]) -> T:
    """The result of some work. `DeadlineExceeded` when its time is over: it is cancelled then, and nobody waits for it
    to clean up, which may hang where a database does."""
    if deadline is None:
        return await work
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    task.add_done_callback(_forget)
    task.cancel()
    raise DeadlineExceeded(
        f"The answer took more than {deadline:g} seconds. Ask for less: fewer rows, a narrower filter.", deadline
    )


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def refuse(error: ClientError, outcome: Outcome = Outcome.UNFIT) -> Answer:
    """The answer to what is not executed."""
    return Answer({"errors": [{"message": error.message, "extensions": error.extensions}]}, outcome)


def unexpected(cause: BaseException, where: object = None) -> dict[str, Any]:
    """The error that hides a failure of ours: it is logged under the request's id, which is all that is sent."""
    id_ = request_id.get() or str(uuid4())
    logger.error("unexpected failure in request %s at %s", id_, where, exc_info=cause)
    return {
        "message": "An unexpected error occurred.",
        "extensions": {"code": InternalError.code, "requestId": id_},
    }


def format_error(error: GraphQLError, *, tell: bool = True) -> dict[str, Any]:
    """One error as a client sees it: mistakes of the client with a code, anything else masked and logged.

    Without `tell` a value that does not fit is not told what its type would be.
    """
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    place = {key: value for key, value in error.formatted.items() if key in {"locations", "path"}}
    if isinstance(cause, ClientError):
        return {"message": cause.message, **place, "extensions": cause.extensions}
    if isinstance(cause, GraphQLError) and (cause.nodes or error.path is None):
        # Only what the executor finds wrong with the document or its variables names their nodes.
        return {"message": error.message if tell else _brief(error), **place, "extensions": {"code": BAD_INPUT}}
    return {**unexpected(cause, error.path), **place}


def _brief(error: GraphQLError) -> str:
    """What is wrong, in words that the client's own document holds."""
    for node in error.nodes or ():
        if isinstance(node, VariableDefinitionNode):
            return f"The variable ${node.variable.name.value} does not fit its type."
    return "An argument does not fit its type."


def _answer(result: ExecutionResult, most: int, *, tell: bool) -> Answer:
    mistakes = result.errors or []
    errors = [format_error(error, tell=tell) for error in mistakes[:most]]
    if len(mistakes) > most:
        errors.append(more_errors(most))
    if result.data is None and errors and all("path" not in error for error in errors):
        return Answer({"errors": errors if tell else _once(errors)}, Outcome.UNFIT)
    if errors:
        return Answer({"data": result.data, "errors": errors}, Outcome.PARTIAL)
    return Answer({"data": result.data}, Outcome.COMPLETE)


def _once(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors without repetitions: how often a variable does not fit tells about its type."""
    return [error for index, error in enumerate(errors) if error not in errors[:index]]
