"""The SQL that brings somebody else's table to what the gateway reads: statements for its owner, not for the gateway.

Columns that follow from others are kept current by the database itself, since whoever writes the rows does not know of
them: generated columns on PostgreSQL, a trigger where a join is needed. SQLite gets a column that is filled once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    organizations,
)
from gateway.database.types import DecimalString, Id, UtcDateTime
from gateway.doctor.catalog import FoundTable

EVENTS = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.partial_succeeded")
EARLIEST = {"postgresql": "TIMESTAMPTZ '1970-01-01T00:00:00Z'", "sqlite": "'1970-01-01T00:00:00.000000Z'"}
LONGEST_NAME = 63

# The organization of a child's parent, by which its rows are found.
OWNERS = {
    batch_callback_deliveries: ("batch_id", "SELECT org_id FROM {batches} WHERE id = {of}.batch_id"),
    batch_callback_delivery_attempts: (
        "delivery_id",
        "SELECT b.org_id FROM {deliveries} d JOIN {batches} b ON b.id = d.batch_id WHERE d.id = {of}.delivery_id",
    ),
}

# Like `host_of`: lower case, no user, no port that is the scheme's own, null where there is no host.
HOST = r"""
CREATE OR REPLACE FUNCTION {function}(url text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN port > 65535 THEN NULL
    WHEN port IS NULL OR (scheme = 'http' AND port = 80) OR (scheme = 'https' AND port = 443) THEN host
    ELSE host || ':' || port END
  FROM (SELECT lower(part[1]) AS scheme, lower(part[2]) AS host, CAST(nullif(part[3], '') AS integer) AS port
    FROM regexp_match(url, '^(?:([A-Za-z][A-Za-z0-9+.-]*):)?//(?:[^/?#]*@)?(\[[0-9A-Fa-f:.]+\]|[^]/?#@:[]+)'
      || '(?::([0-9]{{0,5}}))?(?:[/?#]|$)') AS part) AS parts
$$
"""
EVENT = """
CREATE OR REPLACE FUNCTION {function}(body bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE told text;
BEGIN
  told := convert_from(body, 'UTF8')::json ->> 'event';
  RETURN CASE WHEN told IN ({events}) THEN told END;
EXCEPTION WHEN others THEN RETURN NULL;
END $$
"""
# A message of plain words is shown as it is. Any other might hold a credential, which SQL cannot mask as the gateway
# does: an empty text keeps it from the filters of viewers who may not see credentials.
PLAIN_WORDS = r"^(([A-Z]?[a-z]+|[A-Z]{1,5}|[0-9]{1,6})[.,]?( |$))*$"
HIDDEN = {
    "postgresql": f"error_message !~ '{PLAIN_WORDS}' OR error_message ~* '(bearer|basic|passcode|pin|otp)'",
    "sqlite": "error_message GLOB '*[^a-z ]*' OR error_message LIKE '%bearer%' OR error_message LIKE '%basic%'",
}


@dataclass(frozen=True, slots=True)
class RepairSql:
    """Statements for one kind of database and one schema."""

    dialect: str
    schema: str | None = None

    def name(self, name: str) -> str:
        """A table's or function's name, with its schema."""
        quote = self._compiler.identifier_preparer.quote
        return quote(name) if self.schema is None else f"{quote(self.schema)}.{quote(name)}"

    def type_of(self, column: Column[Any]) -> str:
        """The column's type in SQL."""
        return str(column.type.compile(self._compiler))

    def create_table(self, table: Table) -> tuple[str, ...]:
        """A table that is not there, with its indexes; organizations are those of the batches."""
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made = [self._sql(CreateTable(table)), *(self._sql(CreateIndex(index)) for index in indexes)]
        filled = []
        if table is organizations:
            filled = [
                f"INSERT INTO {self.name(table.name)} (id, created_at) "
                f"SELECT org_id, min(created_at) FROM {self.name(batches.name)} GROUP BY org_id"
            ]
        return (*made, *filled)

    def create_index(self, table: FoundTable, index: Index) -> tuple[str, ...]:
        """An index that is missing, made while the table is in use where the database can do that."""
        name, sql = str(index.name), self._sql(CreateIndex(index))
        dropped = [f"DROP INDEX {self.name(name)}" for found in table.indexes if found.name == name and not found.valid]
        if not dropped and name in {found.name for found in table.indexes}:
            sql = sql.replace(name, f"{name}_gateway"[:LONGEST_NAME], 1)
        if table.kind == "partitioned table":  # unique would have to hold the partition key, and is not needed to read
            sql = sql.replace("UNIQUE ", "", 1)
        elif self.dialect == "postgresql":
            sql = sql.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
        return (*dropped, sql)

    def add_column(self, column: Column[Any]) -> tuple[str, ...]:
        """A column that is missing, and its values where they follow from others; empty where only its writer knows."""
        table, add = self.name(column.table.name), f"ALTER TABLE {self.name(column.table.name)} ADD COLUMN"
        plain = f"{add} {column.name} {self.type_of(column)}"
        if (derived := self._derived().get(column)) is not None:
            return derived()
        if column.name == "org_id" and column.table in OWNERS:
            return (plain, *self._org_id(column.table))
        if column.name == "created_at" and self.dialect == "postgresql":
            times = self._times(column, "created_at")
            return f"{plain} NOT NULL DEFAULT now()", f"UPDATE {table} SET created_at = {times}"
        filled = () if column.nullable else self.fill(column)
        return (plain, *filled) if column.nullable or filled else ()

    def fill(self, column: Column[Any]) -> tuple[str, ...]:
        """Values for rows that have none where there must be one; empty where they follow from nothing."""
        table = self.name(column.table.name)
        if column.name == "org_id" and column.table in OWNERS:
            return (self._fill_org_id(column.table),)
        if column.name == "created_at":
            times = self._times(column, EARLIEST[self.dialect])
            return (f"UPDATE {table} SET created_at = {times} WHERE created_at IS NULL",)
        if column.name == "attempt_number":
            numbered = (
                f"SELECT id, row_number() OVER (PARTITION BY delivery_id ORDER BY created_at, id) AS n FROM {table}"
            )
            return (
                f"UPDATE {table} SET attempt_number = numbered.n FROM ({numbered}) AS numbered "
                f"WHERE numbered.id = {table}.id AND attempt_number IS NULL",
            )
        return ()

    def forbid_null(self, column: Column[Any]) -> tuple[str, ...]:
        """The column without nulls from now on; SQLite would have to make the table anew."""
        if self.dialect == "sqlite":
            return ()
        return (f"ALTER TABLE {self.name(column.table.name)} ALTER COLUMN {column.name} SET NOT NULL",)

    def change_type(self, column: Column[Any], found: str) -> tuple[str, ...]:
        """The column with the right type, its values converted; `found` is the type that it has."""
        table, name, wanted = self.name(column.table.name), column.name, self.type_of(column)
        if self.dialect == "postgresql":
            using = _converted(column, found, wanted)
            return (f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} USING {using}",)
        if not column.nullable or any(name in index.columns for index in column.table.indexes):
            return ()  # nor can SQLite drop such a column
        converted = f"CAST({name} AS {wanted})"
        if isinstance(column.type, UtcDateTime):
            converted = f"strftime('%Y-%m-%dT%H:%M:%f000Z', {name})"
        return (
            f"ALTER TABLE {table} ADD COLUMN {name}_ {wanted}",
            f"UPDATE {table} SET {name}_ = {converted}",
            f"ALTER TABLE {table} DROP COLUMN {name}",
            f"ALTER TABLE {table} RENAME COLUMN {name}_ TO {name}",
        )

    @property
    def _compiler(self) -> Any:
        return postgresql() if self.dialect == "postgresql" else sqlite()  # type: ignore[no-untyped-call]

    def _sql(self, statement: ExecutableDDLElement) -> str:
        schema: dict[str, Any] = {}
        if self.schema is not None:
            schema = {"schema_translate_map": {None: self.schema}, "render_schema_translate": True}
        return str(statement.compile(dialect=self._compiler, **schema)).strip()

    def _times(self, column: Column[Any], otherwise: str) -> str:
        others = [each.name for each in column.table.c if isinstance(each.type, UtcDateTime) and each.nullable]
        return f"coalesce({', '.join([*others, otherwise])})" if others else otherwise

    def _fill_org_id(self, table: Table) -> str:
        owner = self._owner(table, self.name(table.name))
        return f"UPDATE {self.name(table.name)} SET org_id = ({owner}) WHERE org_id IS NULL"

    def _owner(self, table: Table, of: str) -> str:
        names = {"batches": self.name(batches.name), "deliveries": self.name(batch_callback_deliveries.name)}
        return OWNERS[table][1].format(of=of, **names)

    def _org_id(self, table: Table) -> tuple[str, ...]:
        if self.dialect == "sqlite":
            return (self._fill_org_id(table),)
        function = self.name(f"gateway_org_id_of_{table.name}")
        return (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"NEW.org_id := ({self._owner(table, 'NEW')}); RETURN NEW; END $$",
            f"CREATE TRIGGER gateway_org_id BEFORE INSERT ON {self.name(table.name)} FOR EACH ROW "
            f"WHEN (NEW.org_id IS NULL) EXECUTE FUNCTION {function}()",
            self._fill_org_id(table),
            *self.forbid_null(table.c.org_id),
        )

    def _derived(self) -> dict[Column[Any], Callable[[], tuple[str, ...]]]:
        return {
            batch_callback_deliveries.c.callback_host: self._host,
            batch_callback_deliveries.c.event: self._event,
            batch_callback_delivery_attempts.c.error_message_masked: self._masked,
        }

    def _generated(self, column: Column[Any], expression: str) -> str:
        return (
            f"ALTER TABLE {self.name(column.table.name)} ADD COLUMN {column.name} {self.type_of(column)} "
            f"GENERATED ALWAYS AS ({expression}) STORED"
        )

    def _host(self) -> tuple[str, ...]:
        column = batch_callback_deliveries.c.callback_host
        if self.dialect == "sqlite":
            return (f"ALTER TABLE {self.name(column.table.name)} ADD COLUMN {column.name} TEXT",)
        function = self.name("gateway_callback_host")
        return HOST.format(function=function).strip(), self._generated(column, f"{function}(callback_url)")

    def _event(self) -> tuple[str, ...]:
        column, events = batch_callback_deliveries.c.event, ", ".join(f"'{event}'" for event in EVENTS)
        table = self.name(column.table.name)
        if self.dialect == "sqlite":
            body = "CAST(payload_bytes AS TEXT)"
            told = f"CASE WHEN json_valid({body}) THEN json_extract({body}, '$.event') END"
            return (
                f"ALTER TABLE {table} ADD COLUMN event TEXT",
                f"UPDATE {table} SET event = {told} WHERE {told} IN ({events})",
            )
        function = self.name("gateway_event")
        made = EVENT.format(function=function, events=events).strip()
        return made, self._generated(column, f"{function}(payload_bytes)")

    def _masked(self) -> tuple[str, ...]:
        column, hidden = batch_callback_delivery_attempts.c.error_message_masked, HIDDEN[self.dialect]
        table = self.name(column.table.name)
        if self.dialect == "sqlite":
            return (
                f"ALTER TABLE {table} ADD COLUMN {column.name} TEXT",
                f"UPDATE {table} SET {column.name} = '' WHERE {hidden}",
            )
        return (self._generated(column, f"CASE WHEN {hidden} THEN '' END"),)


def _converted(column: Column[Any], found: str, wanted: str) -> str:
    """PostgreSQL's expression for the column's values in another type."""
    name = column.name
    if isinstance(column.type, UtcDateTime) and found.startswith("timestamp"):
        return f"{name} AT TIME ZONE 'UTC'"
    if isinstance(column.type, LargeBinary):
        return f"convert_to({name}::text, 'UTF8')"
    if isinstance(column.type, JSON) and found == "bytea":
        return f"convert_from({name}, 'UTF8')::json"
    if isinstance(column.type, Boolean | Integer | BigInteger) and found not in {"text", "character varying"}:
        return f"{name}::{wanted}"
    return f"{name}::text::{wanted}" if isinstance(column.type, Id | DecimalString | JSON) else f"{name}::{wanted}"
