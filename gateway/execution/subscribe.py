"""From a subscription to its answers, one for each event.

Events that many watch are answered once for all who select the same of them: one execution, one text.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol, Self, cast

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FieldNode,
    FragmentDefinitionNode,
    Node,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    create_source_event_stream,
    visit,
)

from gateway.deadline import Deadline
from gateway.errors import ClientError, StatementTimeout, Unavailable
from gateway.execution.documents import Documents
from gateway.execution.run import (
    OUTCOMES,
    Answer,
    Outcome,
    PreparedOperation,
    answer_of,
    execute_ordinarily,
    options,
    refuse,
    to_json,
    unexpected,
)
from gateway.schema.context import Context
from gateway.watching.change import Change

TRIES = 3  # at what a database gives up in the midst of
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds before an event is tried again, while the database does not answer
FOREVER = Deadline(None)


class Answers(Protocol):
    """Answers that come one after the other, some of them behind a `cursor`; `aclose` ends them, begun or not."""

    def __aiter__(self) -> AsyncIterator[Answer]: ...

    def __anext__(self) -> Awaitable[Answer]: ...

    def aclose(self) -> Awaitable[None]: ...


class _Same:
    """Compares by identity, and keeps what it stands for."""

    __slots__ = ("of",)

    def __init__(self, of: object) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.of is self.of

    def __hash__(self) -> int:
        return id(self.of)


async def subscribe_prepared(prepared: PreparedOperation, documents: Documents, context: Context) -> Answer | Answers:
    """Begin a subscription: its answers, one for each event, or the one answer that refuses it.

    A failure ends the stream after the answer that tells it. Whoever takes the answers closes them.
    """
    given = options(prepared, documents, context)
    variables = given.pop("variable_values")
    executor = Executor.build(documents.schema, prepared.document, raw_variable_values=variables, **given)
    try:
        if isinstance(executor, list):
            return answer_of(ExecutionResult(None, errors=executor), documents)
        begun = create_source_event_stream(executor)
        events = await begun if isawaitable(begun) else begun
        if isinstance(events, ExecutionResult):
            return answer_of(events, documents)
    except (StatementTimeout, Unavailable) as error:
        return refuse(error, OUTCOMES[error.status])
    return EventAnswers(cast("AsyncIterator[Any]", events), prepared, documents, context)


class EventAnswers:
    """The answers to the events of a source, which begin behind `cursor`, where they have one."""

    def __init__(
        self, events: AsyncIterator[Any], prepared: PreparedOperation, documents: Documents, context: Context
    ) -> None:
        self._events = events
        self._prepared = prepared
        self._documents = documents
        self._context = context
        self._is_over = False
        self.cursor: str | None = getattr(events, "cursor", None)
        used = {name: prepared.variables.get(name) for name in _variables_of_events(prepared.document)}
        selected = json.dumps(used, sort_keys=True)
        self._key = _Same(prepared.document), prepared.operation_name, selected, context.sees_secrets

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        if self._is_over:
            raise StopAsyncIteration
        try:
            event = await anext(self._events)
            if isinstance(event, Change):
                answer = await event.shared(self._key, partial(self._of_change, event))
            else:
                answer = await execute_ordinarily(self._prepared, self._documents, self._context, FOREVER, event)
        except StopAsyncIteration:
            raise
        except ClientError as error:
            answer = refuse(error)
        except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
            answer = Answer({"errors": [unexpected(failure)]}, Outcome.INVALID)
        self._is_over = not answer.executed
        return answer

    async def aclose(self) -> None:
        """End it, and what it reads."""
        self._is_over = True
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()
        if self._context.reader_or_none is not None:
            self._context.reader_or_none.stop()

    async def _of_change(self, change: Change) -> Answer:
        """The answer to a change, as text; while the database does not answer, it waits."""
        moment, pause, tries = change.moment, FIRST_PAUSE, 0
        while True:
            context = Context(None, moment.reader(sees_secrets=self._context.sees_secrets))
            try:
                answer = await execute_ordinarily(self._prepared, self._documents, context, FOREVER, change)
            except (StatementTimeout, Unavailable) as reason:
                tries += isinstance(reason, StatementTimeout)
                if tries >= TRIES or not moment.is_wanted:
                    return refuse(reason, OUTCOMES[reason.status])
                moment.start_over()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
                return Answer({"errors": [unexpected(failure)]}, Outcome.INVALID)
            else:
                text = answer.content if isinstance(answer.content, bytes) else to_json(answer.content)
                return msgspec.structs.replace(answer, content=text, cursor=change.cursor)


class _Variables(Visitor):
    """Collects the names of variables."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        """One more."""
        self.names.add(node.name.value)


def _variables_of_events(document: DocumentNode) -> set[str]:
    """The variables on which the answer to an event depends: not those that only say which events are wanted."""
    found = _Variables()
    for node in _below_root(document):
        visit(node, found)
    return found.names


def _below_root(document: DocumentNode) -> Iterator[Node]:
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            yield definition.selection_set
        elif isinstance(definition, OperationDefinitionNode):
            for selection in definition.selection_set.selections:
                if not isinstance(selection, FieldNode):
                    yield selection
                    continue
                yield from selection.directives or ()
                if selection.selection_set is not None:
                    yield selection.selection_set
