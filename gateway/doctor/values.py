"""Whether the values in some rows are what their columns say: SQLite takes anything, PostgreSQL more than Python has.

Looked at are the first rows of each table, and of each order of its lists both ends, where values stand that are beyond
all others: so many that it takes no time, too few to prove that there are no more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Table, select

from gateway.database.backends import Backend, choose
from gateway.database.engine import Database
from gateway.database.odd import LARGEST, LAST_NUMBER, OddTime, Unreadable
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches, organizations
from gateway.database.types import AnyRow, AnySelect
from gateway.doctor.catalog import read_catalog
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql
from gateway.reading.pages import Order

ROWS_READ = 1_000
ENDS = 100  # rows at each end of an order, for an organization
ORGANIZATIONS = 10
UNREAD_COLUMNS = {"payload_bytes", "response_body", "input", "output", "items"}  # too large to be read for a look
ORDERED_COLUMNS: Mapping[Table, Sequence[str]] = {
    batches: ("created_at", "completed_at"),
    batch_callback_deliveries: ("created_at", "completed_at", "next_attempt_at"),
    batch_callback_delivery_attempts: ("created_at", "response_time_ms"),
}


async def inspect_values(database: Database) -> list[Finding]:
    """What is odd among the values of some rows, column by column, and texts that are filled with blanks."""
    some = await database.fetch(select(organizations.c.id).limit(ORGANIZATIONS))
    findings: list[Finding] = []
    for table, orders in ORDERED_COLUMNS.items():
        columns = [column for column in table.c if column.name not in UNREAD_COLUMNS]
        rows: dict[str, AnyRow] = {}
        for statement in _samples(table, columns, orders, [row.id for row in some]):
            rows |= {row.id: row for row in await database.fetch(statement)}
        for column in columns:
            findings += _of_column(database.dialect, column, rows)
    return [*findings, *await _padded(database)]


def _samples(
    table: Table, columns: Sequence[Column[Any]], orders: Iterable[str], owners: Iterable[str]
) -> Iterator[AnySelect]:
    yield select(*columns).limit(ROWS_READ)
    for owner in owners:
        for name in orders:
            ours = select(*columns).where(table.c.org_id == owner)
            for backwards in (False, True):
                yield ours.order_by(*Order(name).by(table.c, backwards=backwards)).limit(ENDS)


def _of_column(dialect: Backend, column: Column[Any], rows: Mapping[str, AnyRow]) -> Iterator[Finding]:
    """What is odd in one column: a finding for each kind of oddness, with how often it was seen and where once."""
    seen: Counter[str] = Counter()
    example: dict[str, str] = {}
    for id_, row in rows.items():
        kind = _oddness(column, row._mapping[column.name])
        if kind is not None:
            seen[kind] += 1
            example.setdefault(kind, id_)
    for kind, count in seen.items():
        message = (
            f"{column.table.name}.{column.name} {kind} "
            f"({count:,} of the {len(rows):,} rows that were looked at, such as {example[kind]})."
        )
        sql: tuple[str, ...] = ()
        if kind == SPELLED:
            name, table = column.name, RepairSql(dialect).name(column.table.name)
            instant = f"strftime('%Y-%m-%dT%H:%M:%f000Z', {name})"
            sql = (f"UPDATE {table} SET {name} = {instant} WHERE {instant} IS NOT NULL AND length({name}) <> 27",)  # noqa: S608
        yield Finding(Severity.WARNING, FINDING_CODES[kind], message, sql)


NONE = "holds a value that is not of its type, which is answered with null"
BEYOND = "holds a time beyond the years 1 to 9999, which is shown as the first or the last instant of these"
SPELLED = (
    "holds a time in another form than 2026-05-06T10:00:00.000000Z, which filters and orders take for another time"
)
LARGER = "holds a number beyond 32 bits, which GraphQL answers with null"
FINDING_CODES = {NONE: "UNREADABLE_VALUE", BEYOND: "TIME_BEYOND", SPELLED: "TIME_SPELLED", LARGER: "NUMBER_BEYOND"}


def _oddness(column: Column[Any], value: Any) -> str | None:
    """How a value differs from what its column says; None where it does not."""
    if isinstance(value, Unreadable):
        return NONE
    if isinstance(value, OddTime):
        return BEYOND if value.year in {1, 9999} else SPELLED
    if isinstance(column.type, Integer) and isinstance(value, int):
        largest = LAST_NUMBER if isinstance(column.type, BigInteger) else LARGEST
        return None if -largest - 1 <= value <= largest else LARGER
    return None


async def _padded(database: Database) -> list[Finding]:
    """Columns of PostgreSQL's `character`, whose texts end in blanks."""
    if not choose(database.dialect, postgresql=True, sqlite=False):
        return []
    catalog = await read_catalog(database, [table.name for table in ORDERED_COLUMNS])
    findings = []
    for table in ORDERED_COLUMNS:
        found = catalog.tables[table.name]
        padded = [name for name, of in found.columns.items() if name in table.c and of.type == "character"]
        if padded:
            name = RepairSql(database.dialect, found.schema).name(table.name)
            changed = ", ".join(f"ALTER COLUMN {column} TYPE text" for column in padded)
            message = f"{', '.join(padded)} of {table.name} are filled up with blanks, which clients see."
            sql = (f"ALTER TABLE {name} {changed}",) if found.is_stored_here else ()
            findings.append(Finding(Severity.WARNING, "PADDED_TEXT", message, sql))
    return findings
