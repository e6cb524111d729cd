"""How the database would answer a statement: what EXPLAIN says of it, read for the two things that make it slow."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.database.types import AnySelect
from gateway.doctor.catalog import MANY

LARGE = text("""
SELECT relname, max(reltuples) FROM pg_class WHERE relkind IN ('r', 'm', 'p') AND reltuples > :many GROUP BY relname
""")


@dataclass(frozen=True, slots=True)
class ExplainedPlan:
    """Large tables that are read from one end to the other, with how many rows, and how many rows are sorted."""

    scanned: Mapping[str, int]
    sorted_rows: int


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, which is not run."""

    inherit_cache = False

    def __init__(self, statement: AnySelect) -> None:
        self.statement = statement


@compiles(_Explain, "postgresql")
def _explain_json(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


@compiles(_Explain, "sqlite")
def _explain_query_plan(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(element.statement, **options)}"


async def large_tables(connection: AsyncConnection, names: tuple[str, ...]) -> dict[str, int]:
    """Tables with many rows, and about how many: on PostgreSQL partitions and all, on SQLite among these names."""
    if connection.dialect.name == "postgresql":
        rows = await connection.execute(LARGE, {"many": MANY})
        return {name: int(count) for name, count in rows}
    large = {}
    for name in names:
        counted = text(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {MANY + 1})")  # noqa: S608
        if (count := (await connection.execute(counted)).scalar_one()) > MANY:
            large[name] = count
    return large


async def explain(connection: AsyncConnection, statement: AnySelect, large: Mapping[str, int]) -> ExplainedPlan:
    """How the database would answer this statement; `large` are the tables whose scans are told."""
    result = await connection.execute(_Explain(statement))
    rows: Any = result.cursor.fetchall()  # as they come, not as the statement's own rows
    if connection.dialect.name == "postgresql":
        plan = rows[0][0]
        return of_postgres((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], large)
    return of_sqlite([row[3] for row in rows], large)


def of_postgres(root: Mapping[str, Any], large: Mapping[str, int]) -> ExplainedPlan:
    """What PostgreSQL's plan says. A scan under a limit reads the share of the table for which the limit pays."""
    scanned: dict[str, int] = {}
    most = 0
    for node, share in _nodes(root, 1.0):
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


def _nodes(node: Mapping[str, Any], share: float) -> Iterator[tuple[Mapping[str, Any], float]]:
    yield node, share
    for child in node.get("Plans", ()):
        below = share
        if node["Node Type"] == "Limit" and child["Total Cost"]:
            below *= min(1.0, node["Total Cost"] / child["Total Cost"])
        yield from _nodes(child, below)
