"""From a request to an answer: find its document, choose its operation, weigh it, execute it.

It is executed by its plan, where there is one; else, and wherever a plan meets what it was not made for, by GraphQL's
ordinary executor, whose answers are the reference.
"""

import json
import logging
import math
from collections.abc import Mapping
from enum import Enum, auto
from inspect import isawaitable
from typing import Any
from uuid import uuid4

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationType,
    VariableDefinitionNode,
    execute,
)

from gateway.deadline import Deadline
from gateway.errors import (
    ClientError,
    DeadlineExceeded,
    InternalError,
    MethodNotAllowed,
    StatementTimeout,
    Unavailable,
    UnreadableValue,
)
from gateway.execution.documents import Documents, Operation, more_errors
from gateway.execution.limits import check_cost, check_variables
from gateway.execution.plan.compiler import plan_of
from gateway.observability import request_id
from gateway.observability.record import exchange
from gateway.schema.context import Context

logger = logging.getLogger(__name__)

BAD_INPUT = "BAD_USER_INPUT"


class GraphQLRequest(msgspec.Struct, frozen=True):
    """What a client asks to run: a document by its text, its hash or both."""

    query: str | None
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    hash: str | None = None


class Outcome(Enum):
    """How far a request came."""

    COMPLETE = auto()
    PARTIAL = auto()  # executed, with errors
    INVALID = auto()  # a document or variables that do not fit; never executed
    UNPARSABLE = auto()  # no document at all; never executed
    TIMED_OUT = auto()  # stopped at the deadline
    UNAVAILABLE = auto()  # the database does not answer, or has too much to do


OUTCOMES = {StatementTimeout.status: Outcome.TIMED_OUT, Unavailable.status: Outcome.UNAVAILABLE}


class Answer(msgspec.Struct, frozen=True):
    """A GraphQL response, a plan's as JSON; there is no `data` in it where nothing was executed.

    That of an event has the `cursor` behind it.
    """

    content: dict[str, Any] | bytes
    outcome: Outcome
    cursor: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The response."""
        return json.loads(self.content) if isinstance(self.content, bytes) else self.content

    @property
    def planned(self) -> bool:
        """True where a plan made it."""
        return isinstance(self.content, bytes)

    def with_extensions(self, **extensions: Any) -> "Answer":
        """The same with these beside the data."""
        if isinstance(self.content, bytes):
            shown = json.dumps(extensions, separators=(",", ":")).encode()
            return msgspec.structs.replace(self, content=self.content[:-1] + b',"extensions":' + shown + b"}")
        return msgspec.structs.replace(self, content={**self.content, "extensions": extensions})

    @property
    def executed(self) -> bool:
        """True where there is data, or null in its place."""
        return self.outcome in {Outcome.COMPLETE, Outcome.PARTIAL}

    @property
    def codes(self) -> set[str]:
        """The codes of its errors."""
        errors = () if isinstance(self.content, bytes) else self.content.get("errors", ())
        return {error["extensions"]["code"] for error in errors}


class PreparedOperation(msgspec.Struct, frozen=True):
    """An operation that may run with these variables."""

    document: DocumentNode
    operation: Operation
    operation_name: str | None
    variables: dict[str, Any]
    cost: int


async def run(
    request: GraphQLRequest,
    documents: Documents,
    context: Context,
    *,
    reads_only: bool = False,
    deadline: Deadline | None = None,
    plans: bool = True,
) -> Answer:
    """Prepare and execute. Client mistakes become errors in the answer, but for `MethodNotAllowed`."""
    prepared = prepare(request, documents, reads_only=reads_only)
    if isinstance(prepared, Answer):
        return prepared
    return await execute_prepared(prepared, documents, context, deadline, plans=plans)


def prepare(request: GraphQLRequest, documents: Documents, *, reads_only: bool = False) -> PreparedOperation | Answer:
    """The operation to run, or the answer that refuses it. `MethodNotAllowed` for a mutation where none may run."""
    try:
        checked = documents.find(request.query, request.hash)
    except ClientError as error:
        return refuse(error, Outcome.UNPARSABLE)
    if reads_only and checked.operations:
        try:
            kind = checked.operation(request.operation_name).kind
        except ClientError as error:
            return refuse(error)
        if kind is OperationType.MUTATION:
            raise MethodNotAllowed("GET changes nothing: send this by POST.")
    if checked.document is None:
        return Answer({"errors": list(checked.errors)}, Outcome.INVALID if checked.parsed else Outcome.UNPARSABLE)
    variables = dict(request.variables or {})
    try:
        operation = checked.operation(request.operation_name)
        check_variables(variables, documents.settings)
        cost = operation.cost.of(variables)
        check_cost(cost, documents.settings)
    except ClientError as error:
        return refuse(error)
    record = exchange.get()
    record.operation = request.operation_name or next(iter(checked.operations)) or ""
    record.kind = operation.kind.value
    record.document = lambda: checked.normalised
    return PreparedOperation(checked.document, operation, request.operation_name, variables, cost)


async def execute_prepared(
    prepared: PreparedOperation,
    documents: Documents,
    context: Context,
    deadline: Deadline | None = None,
    *,
    plans: bool = True,
) -> Answer:
    """Execute; without `plans` by the ordinary executor alone, which ends at the deadline.

    A plan takes as long as its statements; whoever wants to stop it cancels it.
    """
    try:
        answer = await _by_plan(prepared, documents, context) if plans else None
        if answer is None:
            answer = await execute_ordinarily(prepared, documents, context, deadline or Deadline(None))
    except DeadlineExceeded as error:
        answer = refuse(error, Outcome.TIMED_OUT)
    except (StatementTimeout, Unavailable) as error:
        answer = refuse(error, OUTCOMES[error.status])
    finally:
        if context.reader_or_none is not None:
            context.reader_or_none.stop()
    return answer


async def _by_plan(prepared: PreparedOperation, documents: Documents, context: Context) -> Answer | None:
    """The answer that the operation's plan makes; None where there is no plan, or it meets what it was not made for."""
    operation, schema = prepared.operation, documents.schema
    if context.reader_or_none is None:
        return None
    variables = operation.variables(schema, prepared.variables)
    if isinstance(variables, list):
        return None
    plan = plan_of(operation, schema, prepared.document, variables)
    if plan is None:
        return None
    try:
        data = await plan.answer(context, variables)
    except (StatementTimeout, Unavailable):
        raise
    except Exception as odd:  # noqa: BLE001 - whatever it is, the ordinary executor says it in its own words
        logger.debug("answered without its plan: %r", odd)
        context.reader_or_none.start_over()
        return None
    exchange.get().planned = True
    return Answer(b'{"data":%b}' % data, Outcome.COMPLETE)


def options(prepared: PreparedOperation, documents: Documents, context: Context) -> dict[str, Any]:
    """What graphql-core is told of an operation, whichever kind it is."""
    return {
        "context_value": context,
        "variable_values": prepared.variables,
        "operation_name": prepared.operation_name,
        "max_coercion_errors": documents.settings.max_errors,
        "hide_suggestions": not documents.settings.is_development,
    }


async def execute_ordinarily(
    prepared: PreparedOperation, documents: Documents, context: Context, deadline: Deadline, root: Any = None
) -> Answer:
    """The ordinary executor's answer. It raises what stops all of it: a database that is gone, a deadline."""
    given = options(prepared, documents, context)
    pending = execute(documents.schema, prepared.document, root, **given)
    return answer_of(await deadline.run(pending) if isawaitable(pending) else pending, documents)


def answer_of(result: ExecutionResult, documents: Documents) -> Answer:
    """The answer of a result; it raises what stops all of it: a database that is gone."""
    for error in result.errors or ():
        if isinstance(cause := _cause(error), StatementTimeout | Unavailable):
            raise cause
    return _answer(result, documents.settings.max_errors, tell=documents.settings.is_development)


def to_json(body: Mapping[str, Any]) -> bytes:
    """A response in JSON. Text that is no Unicode is escaped, and a number that JSON does not have becomes null."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(body), separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def refuse(error: ClientError, outcome: Outcome = Outcome.INVALID) -> Answer:
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
    cause = _cause(error)
    place = {key: value for key, value in error.formatted.items() if key in {"locations", "path"}}
    if isinstance(cause, UnreadableValue):
        return _unreadable(cause, error, place)
    if isinstance(cause, ClientError):
        return {"message": cause.message, **place, "extensions": cause.extensions}
    found_by_executor = isinstance(cause, GraphQLError) and (cause.nodes or error.path is None)
    if found_by_executor or _is_of_variable(error):
        # Only what the executor finds wrong with the document or its variables names their nodes.
        return {"message": error.message if tell else _brief(error), **place, "extensions": {"code": BAD_INPUT}}
    if isinstance(cause, GraphQLError):
        # A scalar of GraphQL's own does not take the value, which its words would tell.
        return _unreadable(UnreadableValue(), error, place)
    return {**unexpected(cause, error.path), **place}


def _unreadable(cause: UnreadableValue, error: GraphQLError, place: dict[str, Any]) -> dict[str, Any]:
    logger.warning("a value does not fit its field: request %s at %s", request_id.get(), error.path)
    return {"message": cause.message, **place, "extensions": cause.extensions}


def _cause(error: GraphQLError) -> BaseException:
    """What went wrong at the bottom of it."""
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_of_variable(error: GraphQLError) -> bool:
    """Whether a scalar did not take the value of a variable."""
    return error.path is None and any(isinstance(node, VariableDefinitionNode) for node in error.nodes or ())


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
        return Answer({"errors": errors if tell else _once(errors)}, Outcome.INVALID)
    if errors:
        return Answer({"data": result.data, "errors": errors}, Outcome.PARTIAL)
    return Answer({"data": result.data}, Outcome.COMPLETE)


def _once(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors without repetitions: how often a variable does not fit tells about its type."""
    return [error for index, error in enumerate(errors) if error not in errors[:index]]
