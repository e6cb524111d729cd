"""What the doctor reads in the plans of a database: scans of large tables, and rows that are sorted."""

from typing import Any

from sqlalchemy import select

from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.doctor.explain import ExplainedPlan, explain, nodes, of_postgres, of_sqlite

LARGE = {"batches": 1_000_000}


def node(kind: str, *plans: dict[str, Any], cost: float = 100.0, rows: int = 10) -> dict[str, Any]:
    return {"Node Type": kind, "Relation Name": "batches", "Total Cost": cost, "Plan Rows": rows, "Plans": list(plans)}


def test_a_table_that_postgresql_reads_whole_is_told_with_its_rows() -> None:
    assert of_postgres(node("Seq Scan"), LARGE) == ExplainedPlan({"batches": 1_000_000}, 0)
    assert of_postgres(node("Index Scan"), LARGE) == ExplainedPlan({}, 0)
    assert of_postgres(node("Seq Scan"), {}) == ExplainedPlan({}, 0)


def test_under_a_limit_the_share_is_read_for_which_the_limit_pays() -> None:
    limited = node("Limit", node("Seq Scan", cost=1000.0), cost=100.0)
    assert [share for _, share in nodes(limited)] == [1.0, 0.1]
    assert of_postgres(limited, LARGE).scanned == {"batches": 100_000}
    nearly_nothing = node("Limit", node("Seq Scan", cost=100_000.0), cost=1.0)
    assert of_postgres(nearly_nothing, LARGE).scanned == {}


def test_the_largest_sort_is_told() -> None:
    sorts = node("Append", node("Sort", node("Index Scan", rows=7)), node("Sort", node("Index Scan", rows=70_000)))
    assert of_postgres(sorts, LARGE).sorted_rows == 70_000


def test_a_table_that_sqlite_reads_whole_is_told_with_its_rows() -> None:
    assert of_sqlite(["SCAN batches"], LARGE).scanned == LARGE
    assert of_sqlite(["SCAN batches USING COVERING INDEX ix"], LARGE).scanned == {}
    assert of_sqlite(["SEARCH batches USING INDEX ix (org_id=?)"], LARGE).scanned == {}


def test_a_sort_over_a_large_table_counts_as_large_on_sqlite() -> None:
    steps = ["SEARCH batches USING INDEX ix (org_id=?)", "USE TEMP B-TREE FOR ORDER BY"]
    assert of_sqlite(steps, LARGE).sorted_rows == 1_000_000
    assert of_sqlite(steps[:1], LARGE).sorted_rows == of_sqlite(steps, {}).sorted_rows == 0


async def test_a_statement_is_explained_and_not_run(database: Database) -> None:
    statement = select(batches.c.id).order_by(batches.c.callback_url)
    async with database.connect() as connection:
        plan = await explain(connection, statement, {"batches": 50_000})
    assert plan.scanned.keys() <= {"batches"}
    assert plan.scanned or database.dialect == "postgresql"
