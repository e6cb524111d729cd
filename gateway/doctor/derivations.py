"""Whether columns that follow from others hold what today's gateway would write there.

Rows that an earlier version imported, or that somebody else wrote, keep what they had: filters miss them, or find by a
letter what is masked today. Looked at are the first rows of each table and both ends of its history, for some
organizations; of bodies and messages only short ones, since each is read and derived from anew. From what is not there
any more nothing follows: a platform may drop old bodies and keep their events.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Table, case, func, select

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, organizations
from gateway.database.types import AnyRow, AnySelect
from gateway.doctor.catalog import read_catalog
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql
from gateway.doctor.values import ENDS, ORGANIZATIONS, ROWS_READ
from gateway.reading.hosts import host_of
from gateway.reading.pages import Order
from gateway.writing.derived import event_of, masked_error

LONGEST_READ = 8_192  # bytes of a body, characters of a message

DELIVERIES, ATTEMPTS = batch_callback_deliveries, batch_callback_delivery_attempts
# What each follows from, and how. An empty mask hides the whole message, which is what the doctor's SQL writes.
FOLLOWS: Mapping[Column[Any], tuple[Column[Any], type, Callable[[Any], str | None]]] = {
    DELIVERIES.c.callback_host: (DELIVERIES.c.callback_url, str, host_of),
    DELIVERIES.c.event: (DELIVERIES.c.payload_bytes, bytes, event_of),
    ATTEMPTS.c.error_message_masked: (ATTEMPTS.c.error_message, str, masked_error),
}
CONSEQUENCES = {
    "callback_host": "Filters by a URL or host miss such rows.",
    "event": "Filters by the event miss such rows.",
    "error_message_masked": (
        "Filters of viewers without batches:read_secrets may find what is masked there today. The SQL hides every "
        "message that is more than plain words from these filters; rows that are exported and imported into an empty "
        "database are masked as today."
    ),
}


async def inspect_derivations(database: Database) -> list[Finding]:
    """What differs from what follows, column by column."""
    catalog = await read_catalog(database, [DELIVERIES.name, ATTEMPTS.name])
    some = await database.fetch(select(organizations.c.id).limit(ORGANIZATIONS))
    findings = []
    for table in (DELIVERIES, ATTEMPTS):
        there = catalog.tables[table.name]
        rows: dict[str, AnyRow] = {}
        for statement in _samples(table, [row.id for row in some]):
            rows |= {row.id: row for row in await database.fetch(statement)}
        for column in table.c:
            # Texts that are filled with blanks differ for another reason, which has a finding of its own.
            if column not in FOLLOWS or there.columns[column.name].type == "character":
                continue
            differing = [id_ for id_, row in rows.items() if _differs(column, row)]
            if differing:
                mending = RepairSql(database.dialect, there.schema)
                generated = there.columns[column.name].generated
                sql = mending.derive_again(column, generated=generated) if there.is_stored_here else ()
                message = (
                    f"{table.name}.{column.name} is not what today's gateway derives from {FOLLOWS[column][0].name} "
                    f"({len(differing):,} of the {len(rows):,} rows that were looked at, such as {differing[0]}). "
                    f"{CONSEQUENCES[column.name]}"
                )
                findings.append(Finding(Severity.WARNING, "DERIVED_OTHERWISE", message, sql))
    return findings


def _samples(table: Table, owners: Iterable[str]) -> Iterator[AnySelect]:
    columns: list[Any] = [table.c.id]
    for column, (source, _, _) in FOLLOWS.items():
        if column.table is table:
            columns += [column, case((func.length(source) <= LONGEST_READ, source)).label(source.name)]
    yield select(*columns).limit(ROWS_READ)
    for owner in owners:
        for backwards in (False, True):
            order = Order("created_at").by(table.c, backwards=backwards)
            yield select(*columns).where(table.c.org_id == owner).order_by(*order).limit(ENDS)


def _differs(column: Column[Any], row: AnyRow) -> bool:
    source, type_, derive = FOLLOWS[column]
    value, stored = row._mapping[source.name], row._mapping[column.name]
    if not isinstance(value, type_):
        return False  # none, one that was not read, or one that is not of its type
    if column is ATTEMPTS.c.error_message_masked and stored == "":
        return False
    return bool(stored != derive(value))
