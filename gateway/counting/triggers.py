"""Triggers that watch deliveries and attempts: a change leaves a mark of its quarter of an hour, in its transaction.

A quarter is that in which the delivery was created. On PostgreSQL a statement leaves one mark for each quarter that it
touches, named by its transaction, so that no transaction waits for another; the function has its owner's rights, so
that whoever writes the rows needs none on the marks. On SQLite, where one writes at a time, a row leaves one, and a new
mark takes the place of the last. TRUNCATE, and partitions that are dropped or detached, fire no trigger.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from gateway.database.engine import REFUSED, Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, changed_periods
from gateway.errors import Unavailable

WATCHED_TABLES = {"deliveries": batch_callback_deliveries.name, "attempts": batch_callback_delivery_attempts.name}
WATCHED_EVENTS = {
    "INSERT": "REFERENCING NEW TABLE AS touched",
    "DELETE": "REFERENCING OLD TABLE AS touched",
    "UPDATE": "REFERENCING OLD TABLE AS before NEW TABLE AS touched",
}
QUARTER_OF_ROW = {
    "postgresql": "CAST(floor(extract(epoch FROM {of}.created_at) / 900) AS bigint)",
    "sqlite": "CAST(strftime('%s', substr({of}.created_at, 1, 19)) AS INTEGER) / 900",
}
FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} AS $$
BEGIN
  INSERT INTO {changed} (org_id, number, mark)
    SELECT DISTINCT d.org_id, {number}, txid_current() FROM {after} WHERE isfinite(d.created_at) ON CONFLICT DO NOTHING;
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO {changed} (org_id, number, mark)
      SELECT DISTINCT d.org_id, {number}, txid_current() FROM {before} WHERE isfinite(d.created_at)
      ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$
"""
TOUCHED_ROWS = {
    "deliveries": "{rows} AS d",
    "attempts": "{rows} AS a JOIN {deliveries} AS d ON d.id = a.delivery_id AND d.org_id = a.org_id",
}
INSTALLED = """
SELECT count(*) FROM pg_trigger
WHERE tgrelid IN (to_regclass('batch_callback_deliveries'), to_regclass('batch_callback_delivery_attempts'))
  AND tgname LIKE 'gateway\\_note\\_%' AND tgenabled IN ('O', 'A')
  AND has_table_privilege('changed_periods', 'SELECT') AND has_table_privilege('changed_periods', 'DELETE')
"""
INSTALLED_ON_SQLITE = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'gateway\\_note\\_%' ESCAPE '\\'"
)
ALL = len(WATCHED_TABLES) * len(WATCHED_EVENTS)


def trigger_statements(dialect: str, schema: str | None = None) -> list[str]:
    """The statements that make the triggers; each may be run again. On PostgreSQL the tables are in `schema`."""
    statements = list(_on_postgresql(schema) if dialect == "postgresql" else _on_sqlite())
    return [*remove(dialect, schema), *statements]


def remove(dialect: str, schema: str | None = None) -> list[str]:
    """The statements that take the triggers away."""
    names = [
        (f"gateway_note_{table}_{event.lower()}", WATCHED_TABLES[table])
        for table in WATCHED_TABLES
        for event in WATCHED_EVENTS
    ]
    if dialect == "postgresql":
        return [f"DROP TRIGGER IF EXISTS {name} ON {_in(schema, table)}" for name, table in names]
    return [f"DROP TRIGGER IF EXISTS {name}" for name, _ in names]


async def is_watched(database: Database) -> bool:
    """Whether all triggers are there, and the marks are this role's to read and to delete."""
    if database.url.query.get("mode") == "ro":
        return False
    asked = INSTALLED if database.dialect == "postgresql" else INSTALLED_ON_SQLITE
    try:
        ((found,),) = await database.fetch(text(asked), newest=True)
    except (Unavailable, *REFUSED):
        return False
    return bool(found == ALL)


async def watch_tables(database: Database) -> None:
    """Make the triggers. On PostgreSQL this waits, no longer than 5 s, until nobody writes to the tables."""
    await _run(database, trigger_statements(database.dialect, await _schema(database)))


async def unwatch_tables(database: Database) -> None:
    """Take the triggers away."""
    await _run(database, remove(database.dialect, await _schema(database)))


async def _schema(database: Database) -> str | None:
    """Where the tables are: the function's own search path must name it, whatever that of a writer is."""
    if database.dialect == "sqlite":
        return None
    asked = text("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(:name)")
    ((found,),) = await database.fetch(asked.bindparams(name=WATCHED_TABLES["deliveries"]), newest=True)
    return str(found).replace('""', '"').strip('"') if str(found).startswith('"') else str(found)


async def _run(database: Database, statements: list[str]) -> None:
    async with database.transaction() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        for statement in statements:
            await connection.exec_driver_sql(statement)


def _on_postgresql(schema: str | None) -> Iterator[str]:
    names: dict[str, Any] = {
        "changed": _in(schema, changed_periods.name),
        "deliveries": _in(schema, WATCHED_TABLES["deliveries"]),
    }
    names["number"] = QUARTER_OF_ROW["postgresql"].format(of="d")
    names["path"] = f"{_quoted(schema)}, pg_temp" if schema else "pg_catalog, public, pg_temp"
    for table, name in WATCHED_TABLES.items():
        function = _in(schema, f"gateway_note_{table}")
        after, before = (TOUCHED_ROWS[table].format(rows=rows, **names) for rows in ("touched", "before"))
        yield FUNCTION.format(function=function, after=after, before=before, **names).strip()
        for event, rows in WATCHED_EVENTS.items():
            yield (
                f"CREATE TRIGGER gateway_note_{table}_{event.lower()} AFTER {event} ON {_in(schema, name)} {rows} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )


def _on_sqlite() -> Iterator[str]:
    changed, deliveries = changed_periods.name, WATCHED_TABLES["deliveries"]
    for table, name in WATCHED_TABLES.items():
        for event in WATCHED_EVENTS:
            sides = {"INSERT": ("NEW",), "DELETE": ("OLD",), "UPDATE": ("OLD", "NEW")}[event]
            noted = ""
            for side in sides:
                of = "d" if table == "attempts" else side
                found = f"SELECT {of}.org_id AS org_id, {QUARTER_OF_ROW['sqlite'].format(of=of)} AS number"
                if table == "attempts":
                    found += f" FROM {deliveries} AS d WHERE d.id = {side}.delivery_id AND d.org_id = {side}.org_id"
                noted += (
                    f" DELETE FROM {changed} WHERE (org_id, number) IN ({found});"
                    f" INSERT INTO {changed} (org_id, number, mark) SELECT org_id, number, random() FROM ({found})"
                    " WHERE number IS NOT NULL;"
                )
            yield f"CREATE TRIGGER gateway_note_{table}_{event.lower()} AFTER {event} ON {name} BEGIN{noted} END"


def _in(schema: str | None, name: str) -> str:
    return name if schema is None else f"{_quoted(schema)}.{name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
