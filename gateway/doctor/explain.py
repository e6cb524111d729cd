"""How the database would answer a statement: what EXPLAIN says of it, read for the two things that make it slow."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.database.backends import Backend, backend_of
from gateway.database.types import AnySelect
from gateway.doctor.catalog import MANY

LARGE_TABLES_SQL = text("""
SELECT relname, max(reltuples) FROM pg_class WHERE relkind IN ('r', 'm', 'p') AND reltuples > :many GROUP BY relname
""")


@dataclass(frozen=True, slots=True)
class ExplainedPlan:
    """Large tables that are read from one end to the other, with how many rows, and how many rows are sorted."""

    scanned: Mapping[str, int]
    sorted_rows: int


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, which is run only to be measured."""

    inherit_cache = False

    def __init__(self, statement: AnySelect, *, measured: bool) -> None:
        self.statement = statement
        self.measured = measured


@compiles(_Explain, "postgresql")
def _explain_json(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    analyze = "ANALYZE, " if element.measured else ""
    return f"EXPLAIN ({analyze}FORMAT JSON) {compiler.process(element.statement, **options)}"


@compiles(_Explain, "sqlite")
def _explain_query_plan(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(element.statement, **options)}"


async def large_tables(connection: AsyncConnection, names: tuple[str, ...]) -> dict[str, int]:
    """Tables with many rows, and about how many: on PostgreSQL partitions and all, on SQLite among these names."""
    match backend_of(connection.dialect):
        case Backend.POSTGRESQL:
            rows = await connection.execute(LARGE_TABLES_SQL, {"many": MANY})
            return {name: int(count) for name, count in rows}
        case Backend.SQLITE:
            large = {}
            for name in names:
                counted = text(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {MANY + 1})")  # noqa: S608
                if (count := (await connection.execute(counted)).scalar_one()) > MANY:
                    large[name] = count
            return large
        case other:
            assert_never(other)


async def explain(connection: AsyncConnection, statement: AnySelect, large: Mapping[str, int]) -> ExplainedPlan:
    """How the database would answer this statement; `large` are the tables whose scans are told."""
    plan = await read_plan(connection, statement)
    match backend_of(connection.dialect):
        case Backend.POSTGRESQL:
            return of_postgres(plan, large)
        case Backend.SQLITE:
            return of_sqlite(plan, large)
        case other:
            assert_never(other)


async def read_plan(connection: AsyncConnection, statement: AnySelect, *, measured: bool = False) -> Any:
    """PostgreSQL's plan, a tree of nodes, or SQLite's, a list of steps.

    PostgreSQL can run the statement and say beside each estimate what was so; SQLite never does.
    """
    result = await connection.execute(_Explain(statement, measured=measured))
    rows: Any = result.cursor.fetchall()  # as they come, not as the statement's own rows
    match backend_of(connection.dialect):
        case Backend.POSTGRESQL:
            plan = rows[0][0]
            return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
        case Backend.SQLITE:
            return [row[3] for row in rows]
        case other:
            assert_never(other)


def of_postgres(root: Mapping[str, Any], large: Mapping[str, int]) -> ExplainedPlan:
    """What PostgreSQL's plan says. A scan under a limit reads the share of the table for which the limit pays."""
    scanned: dict[str, int] = {}
    most = 0
    for node, share in nodes(root):
        kind, relation = node["Node Type"], node.get("Relation Name", "")
        read = int(large.get(relation, 0) * share)
        if kind == "Seq Scan" and read > MANY:
            scanned[relation] = max(read, scanned.get(relation, 0))
        if kind == "Sort":
            most = max(most, *(int(child["Plan Rows"]) for child in node["Plans"]))
    return ExplainedPlan(scanned, most)


def of_sqlite(steps: list[str], large: Mapping[str, int]) -> ExplainedPlan:
    """What SQLite's steps say. They tell no numbers: a sort in a statement over a large table counts as large."""
    words = [step.split() for step in steps]
    scanned = {
        parts[1]: large[parts[1]]
        for parts in words
        if parts[0] == "SCAN" and parts[1] in large and "INDEX" not in parts
    }
    touched = max((large.get(parts[1], 0) for parts in words if len(parts) > 1), default=0)
    return ExplainedPlan(scanned, touched if "USE TEMP B-TREE FOR ORDER BY" in steps else 0)


def nodes(node: Mapping[str, Any], share: float = 1.0) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Each node of PostgreSQL's plan, and what share of it is read under the limits above it."""
    yield node, share
    for child in node.get("Plans", ()):
        below = share
        if node["Node Type"] == "Limit" and child["Total Cost"]:
            below *= min(1.0, node["Total Cost"] / child["Total Cost"])
        yield from nodes(child, below)
