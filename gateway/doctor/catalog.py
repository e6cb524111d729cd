"""What a database says of its own tables: columns, indexes, size, and what this role may do with them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database.backends import Backend
from gateway.database.engine import Database

MANY = 10_000  # rows, more than which nobody wants to read one by one
RELATION_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}

TABLES = text("""
SELECT c.oid, c.relname AS name, n.nspname AS schema, CAST(c.relkind AS text) AS kind, c.reltuples AS rows,
  CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(c.oid))
    ELSE pg_relation_size(c.oid) END AS bytes,
  pg_table_is_visible(c.oid) AS visible, has_schema_privilege(n.oid, 'USAGE') AS usable,
  CASE WHEN c.relkind IN ('r', 'p') THEN row_security_active(c.oid) ELSE false END AS filtered
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname IN :names AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
ORDER BY n.nspname
""").bindparams(bindparam("names", expanding=True))
COLUMNS_SQL = text("""
SELECT a.attrelid AS oid, a.attname AS name, a.attnotnull AS filled, a.attgenerated <> '' AS generated,
  format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE a.atttypid END, NULL) AS type,
  has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable,
  has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS writable
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid IN :oids AND a.attnum > 0 AND NOT a.attisdropped
""").bindparams(bindparam("oids", expanding=True))
INDEXES = text("""
SELECT i.indrelid AS oid, c.relname AS name, i.indisvalid AND i.indisready AS valid,
  ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k) AS keys,
  CAST(i.indoption AS int2[]) AS options, pg_get_expr(i.indpred, i.indrelid) AS predicate
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid IN :oids AND m.amname = 'btree'
""").bindparams(bindparam("oids", expanding=True))

SCHEMA_SQL = text("""
SELECT current_user AS role, current_schema() AS current,
  EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = CAST(:schema AS text)) AS is_there
""")
# Expressions are written as a session likes to see them: as these, in a session of anybody's.
AS_EVER = {"datestyle": "ISO, MDY", "timezone": "UTC", "intervalstyle": "postgres", "bytea_output": "hex"} | {
    "quote_all_identifiers": "off",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
}

# The expression of an order without nulls, however the database writes it.
OR_GREATEST = re.compile(r"""coalesce\(\s*["(]*(\w+)[")]*\s*,[^)]*?(?:9999-12-3[01]|2147483647)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column: its type in the database's words, without length."""

    type: str
    nullable: bool
    readable: bool = True
    writable: bool = True
    generated: bool = False  # by the database, from other columns


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """A B-tree: names of columns, `or_greatest(column)` for an order without nulls; the predicate in small letters."""

    name: str
    keys: tuple[str, ...]
    predicate: str | None = None
    one_way: bool = True  # whether the last two keys run the same way, as orders do
    valid: bool = True

    def serves(self, keys: tuple[str, ...], predicate: str | None) -> bool:
        """Whether this does what an index on `keys` does: they come first, or behind the organization."""
        ahead = ("org_id", *keys)
        starts = self.keys[: len(keys)] == keys or self.keys[: len(ahead)] == ahead
        return self.valid and self.one_way and self.predicate == predicate and starts


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table, or what stands for one. `rows` is about how many; None where the database has never counted."""

    name: str
    schema: str | None
    kind: str
    columns: Mapping[str, FoundColumn]
    indexes: tuple[FoundIndex, ...] = ()
    rows: int | None = None
    bytes: int = 0
    filtered: bool = False  # by row security

    @property
    def is_stored_here(self) -> bool:
        """Whether it may have indexes and constraints of its own: no view, no foreign table."""
        return self.kind in {"table", "partitioned table"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables that a statement finds by their name, and schemas where there is one that it does not find, with
    whether the role may use the schema. `schema` is where a table would be made, which need not be there."""

    role: str
    schema: str | None
    tables: Mapping[str, FoundTable]
    has_schema: bool = True
    elsewhere: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


async def read_catalog(database: Database, names: Iterable[str]) -> Catalog:
    """What the database says of the tables with these names."""
    async with database.connect() as connection:
        match database.dialect:
            case Backend.POSTGRESQL:
                return await _postgres(connection, names, database.schema)
            case Backend.SQLITE:
                return await _sqlite(connection, names)
            case other:
                assert_never(other)


def plain_predicate(predicate: str | None) -> str | None:
    """A condition as it is compared: small letters, one space, no brackets."""
    return None if predicate is None else " ".join(re.sub(r'[()"]', " ", predicate).lower().split())


def or_greatest_key(column: str) -> str:
    """How an order without nulls stands among an index's keys."""
    return f"or_greatest({column})"


async def _postgres(connection: AsyncConnection, names: Iterable[str], schema: str | None) -> Catalog:
    for setting, value in AS_EVER.items():
        await connection.execute(text(f"SET LOCAL {setting} = '{value}'"))
    rows = (await connection.execute(TABLES, {"names": list(names)})).all()
    tables = {row.oid: row for row in rows if row.visible}
    there = {row.name for row in tables.values()}
    hidden = sorted((row for row in rows if row.name not in there), key=lambda row: bool(row.schema == schema))
    elsewhere = {row.name: (row.schema, row.usable) for row in hidden}
    columns: dict[int, dict[str, FoundColumn]] = {oid: {} for oid in tables}
    indexes: dict[int, list[FoundIndex]] = {oid: [] for oid in tables}
    oids = {"oids": list(tables) or [0]}
    for row in await connection.execute(COLUMNS_SQL, oids):
        columns[row.oid][row.name] = FoundColumn(row.type, not row.filled, row.readable, row.writable, row.generated)
    for row in await connection.execute(INDEXES, oids):
        keys = tuple(map(_key, row.keys))
        one_way = set(row.options[-2:]) in ({0}, {3})  # ascending with nulls last, descending with nulls first
        indexes[row.oid].append(FoundIndex(row.name, keys, plain_predicate(row.predicate), one_way, row.valid))
    told = (await connection.execute(SCHEMA_SQL, {"schema": schema})).one()
    found = {
        row.name: FoundTable(
            row.name,
            row.schema,
            RELATION_KINDS[row.kind],
            columns[oid],
            tuple(indexes[oid]),
            int(row.rows) if row.rows > 0 else None,
            int(row.bytes or 0),
            row.filtered,
        )
        for oid, row in tables.items()
    }
    has_schema = told.current is not None if schema is None else told.is_there
    return Catalog(told.role, schema or told.current or "public", found, has_schema, elsewhere)


async def _sqlite(connection: AsyncConnection, names: Iterable[str]) -> Catalog:
    tables = {}
    for name in names:
        kind = (await connection.execute(text("SELECT type FROM sqlite_master WHERE name = :n"), {"n": name})).scalar()
        if kind is None:
            continue
        described = (await connection.execute(text("SELECT * FROM pragma_table_xinfo(:n)"), {"n": name})).all()
        columns = {
            row.name: FoundColumn(row.type.partition("(")[0], not row.notnull, generated=row.hidden in {2, 3})
            for row in described
        }
        counted = text(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {MANY + 1})")  # noqa: S608
        rows = (await connection.execute(counted)).scalar_one()
        tables[name] = FoundTable(name, None, kind, columns, await _sqlite_indexes(connection, name), rows)
    return Catalog("", None, tables)


async def _sqlite_indexes(connection: AsyncConnection, table: str) -> tuple[FoundIndex, ...]:
    listed = text("""
    SELECT l.name, m.sql FROM pragma_index_list(:n) AS l LEFT JOIN sqlite_master AS m ON m.name = l.name
    """)
    indexes = []
    for name, sql in (await connection.execute(listed, {"n": table})).all():
        described = text('SELECT name, "desc" FROM pragma_index_xinfo(:n) WHERE "key"')
        keys: Any = (await connection.execute(described, {"n": name})).all()
        expressions = iter([or_greatest_key(each[1]) for each in OR_GREATEST.finditer(sql or "")])
        named = tuple(key.name or next(expressions, "?") for key in keys)
        _, _, predicate = re.sub(r"\s+", " ", sql or "").upper().partition(" WHERE ")
        one_way = len({key.desc for key in keys[-2:]}) == 1
        indexes.append(FoundIndex(name, named, plain_predicate(predicate or None), one_way))
    return tuple(indexes)


def _key(expression: str) -> str:
    found = OR_GREATEST.match(expression.lstrip("( "))
    return or_greatest_key(found[1]) if found else expression.strip('"')
