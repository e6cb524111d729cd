"""Small rows for tests: each function makes one row with everything that is not named left plain."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table, delete, insert

from gateway.database.engine import Database
from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    metadata,
    organizations,
)

START = datetime(2026, 5, 6, 10, tzinfo=UTC)
OURS = "0a000000-0000-4000-8000-000000000001"
THEIRS = "0b000000-0000-4000-8000-000000000002"

Rows = dict[Table, list[dict[str, Any]]]


def identifier(kind: int, number: int) -> str:
    """A UUID that tells what it names: the `number`th thing of a kind."""
    return str(UUID(fields=(kind, 0, 0x4000, 0x80, 0, number)))


def batch(number: int, organization: str = OURS, **values: Any) -> dict[str, Any]:
    """A row of `batches`: the `number`th, created `number` minutes after the start."""
    created = START + timedelta(minutes=number)
    return {"id": identifier(0xBA, number), "org_id": organization, "created_at": created, **values}


def delivery(of: dict[str, Any], number: int, **values: Any) -> dict[str, Any]:
    """A row of `batch_callback_deliveries`, completed: numbers are unique over all batches."""
    created = of["created_at"] + timedelta(seconds=number)
    return {
        "id": identifier(0xDE, number),
        "org_id": of["org_id"],
        "batch_id": of["id"],
        "created_at": created,
        "completed_at": created,
        **values,
    }


def attempt(of: dict[str, Any], number: int, **values: Any) -> dict[str, Any]:
    """A row of `batch_callback_delivery_attempts`: the `number`th attempt of a delivery."""
    return {
        "id": identifier(0xA7, UUID(of["id"]).node * 1000 + number),
        "org_id": of["org_id"],
        "delivery_id": of["id"],
        "attempt_number": number,
        "created_at": of["created_at"] + timedelta(seconds=number),
        **values,
    }


def history(batch_count: int, deliveries: int = 2, attempts: int = 3, organization: str = OURS) -> Rows:
    """Batches with as many deliveries each, and each of these with as many attempts."""
    parents = [batch(number, organization) for number in range(1, batch_count + 1)]
    children = [
        delivery(of, of_number * deliveries + n) for of_number, of in enumerate(parents) for n in range(deliveries)
    ]
    tries = [attempt(of, number) for of in children for number in range(1, attempts + 1)]
    return {batches: parents, batch_callback_deliveries: children, batch_callback_delivery_attempts: tries}


async def store(database: Database, rows: Rows) -> Rows:
    """Write rows and the organizations they belong to, and return them."""
    seen = sorted({row["org_id"] for table in rows.values() for row in table})
    owners = [{"id": id_, "name": f"organization {id_[:2]}", "created_at": START} for id_ in seen]
    async with database.transaction() as connection:
        for table in metadata.sorted_tables:
            for same in _alike({organizations: owners, **rows}.get(table, [])):
                await connection.execute(insert(table), same)
    return rows


async def replace(database: Database, rows: Rows, lacking: Collection[Table] = ()) -> Rows:
    """Write rows in the place of all that is stored, and return them; `lacking` are tables that are not there."""
    async with database.transaction() as connection:
        for table in reversed(metadata.sorted_tables):
            if table not in lacking:
                await connection.execute(delete(table))
    return await store(database, rows)


def _alike(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows grouped by the columns they name: an INSERT of many takes rows of one shape."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    return list(groups.values())
