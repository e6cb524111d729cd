"""Whether what counted periods need is there: tables to write, and triggers that watch the rows."""

from collections.abc import AsyncIterator, Iterator

from sqlalchemy import text

from gateway.counting.triggers import is_watched, trigger_statements
from gateway.database.engine import Database
from gateway.database.required import COUNTED_TABLES
from gateway.database.tables import changed_periods
from gateway.doctor.catalog import Catalog, read_catalog
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql
from gateway.doctor.tables import inspect_tables

WRITABLE = "SELECT has_table_privilege(:table, 'INSERT') AND has_table_privilege(:table, 'UPDATE, DELETE')"
UNWATCHED = (
    "Nothing watches deliveries and attempts: statistics count new and changed rows at once, deleted ones and those "
    "changed without a new updated_at only when all is counted again, and each answer's asOf says since when. With "
    "these triggers they are exact at any time; each statement that writes such rows writes one row more."
)


async def inspect_counting(rows: Database, stored: Database) -> list[Finding]:
    """What is wrong with the tables of counted periods, and whether changes of the rows are noticed."""
    findings = await inspect_tables(stored, COUNTED_TABLES)
    if not findings:
        findings += [found async for found in _unwritable(stored)]
    if not await is_watched(rows):
        catalog = await read_catalog(rows, [changed_periods.name, "batch_callback_deliveries"])
        findings.append(Finding(Severity.INFO, "UNWATCHED", UNWATCHED, tuple(_watch(rows, catalog))))
    return findings


async def _unwritable(stored: Database) -> AsyncIterator[Finding]:
    if stored.dialect == "postgresql":
        for table in COUNTED_TABLES:
            ((writable,),) = await stored.fetch(text(WRITABLE).bindparams(table=table.name))
            if not writable:
                message = f"The role may not write {table.name}, where counted periods are kept."
                yield Finding(Severity.WARNING, "MISSING_PRIVILEGE", message)


def _watch(rows: Database, catalog: Catalog) -> Iterator[str]:
    schema = catalog.schema
    found = catalog.tables.get("batch_callback_deliveries")
    if found is not None and rows.dialect == "postgresql":
        schema = found.schema
    mending = RepairSql(rows.dialect, schema)
    if changed_periods.name not in catalog.tables:
        yield from mending.create_table(changed_periods)
    yield from trigger_statements(rows.dialect, schema)
    if rows.dialect == "postgresql":
        role = RepairSql(rows.dialect).name(catalog.role)
        yield f"GRANT SELECT, DELETE ON {mending.name(changed_periods.name)} TO {role}"
