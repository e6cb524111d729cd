"""The SQL that brings somebody else's table to what the gateway reads: statements for its owner, not for the gateway.

Columns that follow from others are kept current by the database itself, since whoever writes the rows does not know of
them: generated columns on PostgreSQL, a trigger where a join is needed. SQLite gets a column that is filled once.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from gateway.database.backends import Backend, choose
from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    organizations,
)
from gateway.database.types import DecimalString, Id, UtcDateTime
from gateway.doctor.catalog import FoundTable

EVENT_SQL = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.partial_succeeded")
EARLIEST = {"postgresql": "TIMESTAMPTZ '1970-01-01T00:00:00Z'", "sqlite": "'1970-01-01T00:00:00.000000Z'"}
LONGEST_IDENTIFIER = 63

# The organization of a child's parent, by which its rows are found.
OWNERS = {
    batch_callback_deliveries: ("batch_id", "SELECT org_id FROM {batches} WHERE id = {of}.batch_id"),
    batch_callback_delivery_attempts: (
        "delivery_id",
        "SELECT b.org_id FROM {deliveries} d JOIN {batches} b ON b.id = d.batch_id WHERE d.id = {of}.delivery_id",
    ),
}

# As `gateway.reading.hosts` has it, without a library: the same pattern, and ASCII letters alone made small.
CAPITALS, SMALL = string.ascii_uppercase, string.ascii_lowercase
HOST_SQL = r"""
CREATE OR REPLACE FUNCTION {function}(url text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN digits IS NULL THEN host
    WHEN length(ltrim(digits, '0')) > 5 OR CAST(right('0' || digits, 6) AS integer) > 65535 THEN NULL
    WHEN (scheme, CAST(right('0' || digits, 6) AS integer)) IN (('http', 80), ('https', 443)) THEN host
    ELSE host || ':' || CAST(right('0' || digits, 6) AS integer) END
  FROM (SELECT coalesce(translate(part[1], '{capitals}', '{small}'), '') AS scheme,
      translate(part[2], '{capitals}', '{small}') AS host, nullif(part[3], '') AS digits
    FROM regexp_match(translate(url, chr(9) || chr(10) || chr(13), ''),
      '^[\x01-\x20]*(?:([A-Za-z][A-Za-z0-9+.-]*):)?//(?:[^/?#]*@)?'
      || '(\[[0-9A-Fa-f:.]+(?:%[^][/?#@\\ ]+)?\]|[^][/?#@:]+)(?::([0-9]*))?(?:[/?#]|$)') AS part) AS parts
$$
"""
# SQLite has no patterns: the same in steps, each with what the one before left: 0.04 ms a row. Not materialized, SQLite
# puts the steps into each other, which takes 10 ms a row.
HOST_IN_STEPS = """
WITH
  texts AS MATERIALIZED (SELECT id,
      ltrim(replace(replace(replace(callback_url, char(9), ''), char(10), ''), char(13), ''), {blanks}) AS url
    FROM {table} WHERE callback_url IS NOT NULL),
  starts AS MATERIALIZED (SELECT id, url, instr(url, '//') AS start FROM texts),
  schemes AS MATERIALIZED (SELECT id, lower(substr(url, 1, start - 1)) AS scheme, substr(url, start + 2) AS rest
    FROM starts WHERE start > 0),
  places AS MATERIALIZED (SELECT id, scheme,
      substr(rest, 1, min(instr(rest || '/', '/'), instr(rest || '?', '?'), instr(rest || '#', '#')) - 1) AS place
    FROM schemes WHERE scheme = '' OR (scheme GLOB '[a-z]*:' AND scheme NOT GLOB '*[^a-z0-9+.:-]*'
      AND instr(scheme, ':') = length(scheme))),
  hosts AS MATERIALIZED (SELECT id, scheme, substr(place, length(rtrim(place, replace(place, '@', ''))) + 1) AS host
    FROM places),
  parts AS MATERIALIZED (SELECT id, scheme,
      CASE WHEN host GLOB '[[]*' THEN substr(host, 1, instr(host, ']'))
        ELSE substr(host, 1, instr(host || ':', ':') - 1) END AS host,
      CASE WHEN host GLOB '[[]*' THEN substr(host, instr(host, ']') + 1)
        ELSE substr(host, instr(host || ':', ':')) END AS port
    FROM hosts),
  checked AS MATERIALIZED (SELECT id, scheme, lower(host) AS host, ltrim(substr(port, 2), '0') AS port, port AS given
    FROM parts WHERE port NOT GLOB '?*[^0-9]*' AND (port = '' OR substr(port, 1, 1) = ':')
      AND CASE WHEN host GLOB '[[]*'
      THEN length(rtrim(host, ']')) = length(host) - 1 AND CASE WHEN instr(host, '%') = 0
        THEN length(host) > 2 AND substr(host, 2, length(host) - 2) NOT GLOB '*[^0-9A-Fa-f:.]*'
        ELSE instr(host, '%') > 2 AND substr(host, 2, instr(host, '%') - 2) NOT GLOB '*[^0-9A-Fa-f:.]*'
          AND instr(host, '%') < length(host) - 1 AND substr(host, 2) NOT GLOB '*[[\\ ]*' END
      ELSE host <> '' AND instr(host, '[') = 0 AND instr(host, ']') = 0 END)
UPDATE {table} SET callback_host = CASE WHEN given IN ('', ':') THEN host
  WHEN length(port) > 5 OR CAST(port AS INTEGER) > 65535 THEN NULL
  WHEN (scheme = 'http:' AND port = '80') OR (scheme = 'https:' AND port = '443') THEN host
  ELSE host || ':' || CAST(port AS INTEGER) END
FROM checked WHERE checked.id = {table}.id
"""
BLANKS = f"char({', '.join(map(str, range(1, 33)))})"
# As `event_of` in `gateway.writing.derived` has it. Escapes that PostgreSQL does not read, of NUL and of halves of
# surrogate pairs, stand in no event: whatever is not ASCII becomes a question mark first, escaped backslashes before.
# SQLite reads a text up to its first NUL.
EVENT = r"""
CREATE OR REPLACE FUNCTION {function}(body bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE told json;
BEGIN
  told := regexp_replace(replace(convert_from(body, 'LATIN1'), '\\', '??'),
    '\\u(?!00[0-7])[0-9A-Fa-f]{{4}}|\\u0000', '?', 'g');
  RETURN CASE WHEN json_typeof(told) = 'object' AND json_typeof(told -> 'event') = 'string'
    AND told ->> 'event' IN ({events}) THEN told ->> 'event' END;
EXCEPTION WHEN others THEN RETURN NULL;
END $$
"""
BODY = r"replace(replace(CAST(payload_bytes AS TEXT), '\\', '??'), '\u0000', '?')"
EVENT_OF_EACH = """
UPDATE {table} SET event = (
  SELECT CASE WHEN type = 'text' AND value IN ({events}) THEN value END
  FROM json_each(CASE WHEN json_valid({body}) AND json_type({body}) = 'object' THEN {body} ELSE '{{}}' END)
  WHERE key = 'event' ORDER BY json_each.id DESC LIMIT 1)
WHERE instr(payload_bytes, x'00') = 0
"""
# A message of plain words is shown as it is. Any other might hold a credential, which SQL cannot mask as the gateway
# does: an empty text keeps it from the filters of viewers who may not see credentials.
PLAIN_WORDS = r"^(([A-Z]?[a-z]+|[A-Z]{1,5}|[0-9]{1,6})[.,]?( |$))*$"
HIDDEN = {
    "postgresql": f"error_message !~ '{PLAIN_WORDS}' OR error_message ~* '(bearer|basic|passcode|pin|otp)'",
    "sqlite": "error_message GLOB '*[^a-z ]*' OR error_message LIKE '%bearer%' OR error_message LIKE '%basic%'",
}


@dataclass(frozen=True, slots=True)
class Derivation:
    """The SQL by which a column follows from another: an expression for PostgreSQL, an update for SQLite."""

    source: str
    expression: str
    filled: str
    made: tuple[str, ...] = ()  # what the expression needs
    unmade: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()  # where the update leaves rows as they were from which nothing follows


@dataclass(frozen=True, slots=True)
class RepairSql:
    """Statements for one kind of database and one schema."""

    dialect: Backend
    schema: str | None = None

    def name(self, name: str) -> str:
        """A table's or function's name, with its schema."""
        quote = self._compiler.identifier_preparer.quote
        return quote(name) if self.schema is None else f"{quote(self.schema)}.{quote(name)}"

    def type_of(self, column: Column[Any]) -> str:
        """The column's type in SQL."""
        return str(column.type.compile(self._compiler))

    def create_table(self, table: Table) -> tuple[str, ...]:
        """A table that is not there, with its indexes."""
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        return self._sql(CreateTable(table)), *(self._sql(CreateIndex(index)) for index in indexes)

    def fill_organizations(self, parents: FoundTable) -> tuple[str, ...]:
        """Rows of the table of organizations, which are those of the batches."""
        of = replace(self, schema=parents.schema).name(batches.name)
        return (
            f"INSERT INTO {self.name(organizations.name)} (id, created_at) "
            f"SELECT org_id, min(created_at) FROM {of} GROUP BY org_id",
        )

    def create_index(self, table: FoundTable, index: Index) -> tuple[str, ...]:
        """An index that is missing, made while the table is in use where the database can do that."""
        name, sql = str(index.name), self._sql(CreateIndex(index))
        dropped = [f"DROP INDEX {self.name(name)}" for found in table.indexes if found.name == name and not found.valid]
        if not dropped and name in {found.name for found in table.indexes}:
            sql = sql.replace(name, f"{name}_gateway"[:LONGEST_IDENTIFIER], 1)
        if table.kind == "partitioned table":  # unique would have to hold the partition key, and is not needed to read
            sql = sql.replace("UNIQUE ", "", 1)
        else:
            in_use = choose(self.dialect, postgresql=" INDEX CONCURRENTLY ", sqlite=" INDEX ")
            sql = sql.replace(" INDEX ", in_use, 1)
        return (*dropped, sql)

    def add_column(self, column: Column[Any]) -> tuple[str, ...]:
        """A column that is missing, and its values where they follow from others; empty where only its writer knows."""
        table, add = self.name(column.table.name), f"ALTER TABLE {self.name(column.table.name)} ADD COLUMN"
        plain = f"{add} {column.name} {self.type_of(column)}"
        if (derived := self._derived().get(column)) is not None:
            of = derived()
            generated = *of.made, self._generated(column, of.expression)
            return choose(self.dialect, postgresql=generated, sqlite=(plain, of.filled))
        if column.name == "org_id" and column.table in OWNERS:
            return (plain, *self._org_id(column.table))
        if column.name == "created_at":
            times = self._times(column, "created_at")
            now = f"{plain} NOT NULL DEFAULT now()", f"UPDATE {table} SET created_at = {times}"
            return choose(self.dialect, postgresql=now, sqlite=(plain, *self.fill(column)))
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

    def derive_again(self, column: Column[Any], *, generated: bool) -> tuple[str, ...]:
        """The values anew of a column that follows from others; `generated` where the database makes them.

        Empty where SQLite does, which cannot be told another expression.
        """
        of, table, name = self._derived()[column](), self.name(column.table.name), column.name
        differs = f"{of.source} IS NOT NULL AND {name} IS DISTINCT FROM {of.expression}"
        written = (*of.made, f"UPDATE {table} SET {name} = {of.expression} WHERE {differs}", *of.unmade)
        anew = (*of.made, f"ALTER TABLE {table} DROP COLUMN {name}", self._generated(column, of.expression))
        return choose(
            self.dialect,
            postgresql=anew if generated else written,
            sqlite=() if generated else (*of.emptied, of.filled),
        )

    def forbid_null(self, column: Column[Any]) -> tuple[str, ...]:
        """The column without nulls from now on; SQLite would have to make the table anew."""
        sql = f"ALTER TABLE {self.name(column.table.name)} ALTER COLUMN {column.name} SET NOT NULL"
        return choose(self.dialect, postgresql=(sql,), sqlite=())

    def change_type(self, column: Column[Any], found: str) -> tuple[str, ...]:
        """The column with the right type, its values converted; `found` is the type that it has."""
        table, name, wanted = self.name(column.table.name), column.name, self.type_of(column)
        using = _converted(column, found, wanted)
        zone = ("SET TimeZone = 'UTC'",) if isinstance(column.type, UtcDateTime) else ()  # of times that tell none
        in_place = *zone, f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} USING {using}"
        return choose(self.dialect, postgresql=in_place, sqlite=self._replace(column))

    def _replace(self, column: Column[Any]) -> tuple[str, ...]:
        """A new column in the place of one, as SQLite needs it; it can neither drop one that an index holds."""
        table, name, wanted = self.name(column.table.name), column.name, self.type_of(column)
        if not column.nullable or any(name in index.columns for index in column.table.indexes):
            return ()
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
        return choose(self.dialect, postgresql=postgresql, sqlite=sqlite)()

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
        function = self.name(f"gateway_org_id_of_{table.name}")
        triggered = (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"NEW.org_id := ({self._owner(table, 'NEW')}); RETURN NEW; END $$",
            f"CREATE TRIGGER gateway_org_id BEFORE INSERT ON {self.name(table.name)} FOR EACH ROW "
            f"WHEN (NEW.org_id IS NULL) EXECUTE FUNCTION {function}()",
            self._fill_org_id(table),
            *self.forbid_null(table.c.org_id),
        )
        return choose(self.dialect, postgresql=triggered, sqlite=(self._fill_org_id(table),))

    def _derived(self) -> dict[Column[Any], Callable[[], Derivation]]:
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

    def _host(self) -> Derivation:
        table, function = self.name(batch_callback_deliveries.name), self.name("gateway_callback_host")
        return Derivation(
            source="callback_url",
            made=(HOST_SQL.format(function=function, capitals=CAPITALS, small=SMALL).strip(),),
            expression=f"{function}(callback_url)",
            unmade=(f"DROP FUNCTION {function}(text)",),
            emptied=(f"UPDATE {table} SET callback_host = NULL WHERE callback_url IS NOT NULL",),
            filled=HOST_IN_STEPS.format(table=table, blanks=BLANKS).strip(),
        )

    def _event(self) -> Derivation:
        events = ", ".join(f"'{event}'" for event in EVENT_SQL)
        table, function = self.name(batch_callback_deliveries.name), self.name("gateway_event")
        return Derivation(
            source="payload_bytes",
            made=(EVENT.format(function=function, events=events).strip(),),
            expression=f"{function}(payload_bytes)",
            unmade=(f"DROP FUNCTION {function}(bytea)",),
            emptied=(f"UPDATE {table} SET event = NULL WHERE payload_bytes IS NOT NULL",),
            filled=EVENT_OF_EACH.format(table=table, events=events, body=BODY).strip(),
        )

    def _masked(self) -> Derivation:
        table, hidden = self.name(batch_callback_delivery_attempts.name), HIDDEN[self.dialect]
        expression = f"CASE WHEN {hidden} THEN '' END"
        # Never emptied first: meanwhile filters would find what is to be hidden.
        filled = f"UPDATE {table} SET error_message_masked = {expression} WHERE error_message IS NOT NULL"
        return Derivation(source="error_message", expression=expression, filled=filled)


def _converted(column: Column[Any], found: str, wanted: str) -> str:
    """PostgreSQL's expression for the column's values in another type."""
    name = column.name
    if isinstance(column.type, UtcDateTime) and found == "timestamp without time zone":
        return f"{name} AT TIME ZONE 'UTC'"
    if isinstance(column.type, LargeBinary):
        return f"convert_to({name}::text, 'UTF8')"
    if isinstance(column.type, JSON) and found == "bytea":
        return f"convert_from({name}, 'UTF8')::json"
    if isinstance(column.type, Boolean | Integer | BigInteger) and found not in {"text", "character varying"}:
        return f"{name}::{wanted}"
    return f"{name}::text::{wanted}" if isinstance(column.type, Id | DecimalString | JSON) else f"{name}::{wanted}"
