"""Asking the schema in tests, without HTTP: a document, a viewer, an answer, and what it cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from graphql import OperationDefinitionNode, OperationType, parse
from sqlalchemy import event

from gateway.database.engine import Database
from gateway.execution.run import GraphQLRequest, run
from gateway.schema.context import Context
from gateway.schema.query import schema
from gateway.viewer import READ, Viewer
from tests.support.rows import OURS, START
from tests.support.unlimited import unlimited_documents

NOW = START + timedelta(hours=5)
DOCUMENTS = unlimited_documents(schema._schema)


def is_subscription(document: str) -> bool:
    """Whether a document has many answers: no plan makes them, nor do they come in one piece."""
    operations = (each for each in parse(document).definitions if isinstance(each, OperationDefinitionNode))
    return any(each.operation is OperationType.SUBSCRIPTION for each in operations)


async def ask(
    database: Database,
    query: str,
    organization: str = OURS,
    scopes: frozenset[str] = frozenset(),
    **variables: Any,
) -> dict[str, Any]:
    """The response to a document that a viewer of the organization sends, with more scopes than to read."""
    viewer = Viewer(organization, scopes | {READ}, "test")
    context = Context.of(viewer, database, NOW)
    return (await run(GraphQLRequest(query, variables), DOCUMENTS, context)).body


async def data(
    database: Database,
    query: str,
    organization: str = OURS,
    scopes: frozenset[str] = frozenset(),
    **variables: Any,
) -> Any:
    """The data of an answer that must have no errors."""
    answer = await ask(database, query, organization, scopes, **variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The SQL statements that run meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    database.on_statement.append(seen.append)
    try:
        yield seen
    finally:
        database.on_statement.remove(seen.append)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
