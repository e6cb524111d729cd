"""Whether the tables that are there are what the gateway reads: names, columns, types, nulls, indexes, privileges.

`catalog` says what is there and `mending` writes the SQL; here the two are compared with the declared tables.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    exists,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from gateway.database.backends import Backend, choose
from gateway.database.engine import Database
from gateway.database.optional import is_optional
from gateway.database.required import read_columns
from gateway.database.tables import api_keys, batches, organizations
from gateway.database.types import AnySelect, DecimalString, Id, UtcDateTime
from gateway.doctor.catalog import (
    Catalog,
    FoundColumn,
    FoundTable,
    or_greatest_key,
    plain_predicate,
    read_catalog,
)
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql

MANY_BYTES = 1 << 20  # of a table that should have been analyzed
SECONDS_TO_LOOK = 10  # for a row of some kind
NO_LONGER = f"SET LOCAL statement_timeout = '{SECONDS_TO_LOOK}s'"

# Which types hold the same values, by the type that is declared.
TEXTS = {"text", "character varying", "character"}
INTEGERS = {"smallint", "integer", "bigint"}
POSTGRES_TYPES: tuple[tuple[type[Any], set[str]], ...] = (
    (Id, {"uuid"}),
    (UtcDateTime, {"timestamp with time zone"}),
    (DecimalString, {"numeric"}),
    (Integer, INTEGERS),
    (BigInteger, INTEGERS),
    (Boolean, {"boolean"}),
    (JSON, {"json", "jsonb"}),
    (LargeBinary, {"bytea"}),
    (Text, TEXTS),
)
SQLITE_TYPES: tuple[tuple[type[Any], set[str]], ...] = (
    (Boolean, {"numeric", "integer"}),
    (Integer, {"integer"}),
    (BigInteger, {"integer"}),
    (JSON, {"numeric", "text"}),
    (LargeBinary, {"blob"}),
    (object, {"text"}),
)


async def inspect_tables(database: Database, tables: Sequence[Table]) -> list[Finding]:
    """What is wrong with these tables. Only tables that are small, or columns that may be null, are read."""
    catalog = await read_catalog(database, [table.name for table in tables])
    findings: list[Finding] = [*_schema(catalog, database.schema)]
    for table in tables:
        found = catalog.tables.get(table.name)
        if found is None:
            findings.append(_missing_table(catalog, RepairSql(database.dialect, catalog.schema), table))
            continue
        mending = RepairSql(database.dialect, found.schema)
        findings += _privileges(catalog, mending, table, found)
        findings += await _row_security(database, catalog, mending, table, found)
        findings += _columns(mending, table, found)
        if found.is_stored_here:
            findings += await _nulls(database, mending, table, found)
            findings += _indexes(mending, table, found)
            findings += _statistics(mending, found)
    # Behind what the batches lack themselves.
    if organizations in tables and organizations.name not in catalog.tables and batches.name in catalog.tables:
        sql = RepairSql(database.dialect, catalog.schema).fill_organizations(catalog.tables[batches.name])
        findings.append(Finding(Severity.ERROR, "MISSING_ROWS", "The batches' organizations have no rows.", sql))
    return findings


def _schema(catalog: Catalog, named: str | None) -> Iterator[Finding]:
    if catalog.has_schema:
        return
    if named is None:
        message = f"The search path of the role {catalog.role} leads to no schema: set GATEWAY_DATABASE_SCHEMA."
        yield Finding(Severity.ERROR, "MISSING_SCHEMA", message)
        return
    message = f"There is no schema {named}, which GATEWAY_DATABASE_SCHEMA names."
    # Tables that are elsewhere tell of a wrong name, not of a schema that is to be made.
    sql = () if catalog.elsewhere else (f"CREATE SCHEMA {RepairSql(Backend.POSTGRESQL).name(named)}",)
    yield Finding(Severity.ERROR, "MISSING_SCHEMA", message, sql)


def _missing_table(catalog: Catalog, mending: RepairSql, table: Table) -> Finding:
    schema, usable = catalog.elsewhere.get(table.name, (None, False))
    if schema is None:
        message = f"There is no table {table.name}."
        return Finding(Severity.ERROR, "MISSING_TABLE", message, mending.create_table(table))
    quoted = RepairSql(mending.dialect).name
    if usable and schema == catalog.schema:
        message = f"{table.name} is in the schema {schema}, which a pooler on the way does not pass on."
        sql = f"ALTER ROLE {quoted(catalog.role)} SET search_path = {quoted(schema)}"
        return Finding(Severity.ERROR, "OTHER_SCHEMA", message, (sql,))
    if usable:
        message = f"{table.name} is in the schema {schema}: set GATEWAY_DATABASE_SCHEMA to it."
        return Finding(Severity.ERROR, "OTHER_SCHEMA", message)
    message = f"The role {catalog.role} may not use the schema {schema}, where {table.name} is."
    sql = f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(catalog.role)}"
    return Finding(Severity.ERROR, "MISSING_PRIVILEGE", message, (sql,))


def _privileges(catalog: Catalog, mending: RepairSql, table: Table, found: FoundTable) -> Iterator[Finding]:
    role = RepairSql(mending.dialect).name(catalog.role)
    there = {column.name: found.columns[column.name] for column in table.c if column.name in found.columns}
    unreadable = [name for name, column in there.items() if not column.readable]
    if unreadable:
        what = table.name if len(unreadable) == len(there) else f"{', '.join(unreadable)} of {table.name}"
        yield Finding(
            Severity.ERROR,
            "MISSING_PRIVILEGE",
            f"The role {catalog.role} may not read {what}.",
            (f"GRANT SELECT ON {mending.name(table.name)} TO {role}",),
        )
    if table is api_keys and "last_used_at" in there and not there["last_used_at"].writable:
        yield Finding(
            Severity.INFO,
            "LAST_USED_UNWRITTEN",
            f"The role {catalog.role} may not write api_keys.last_used_at: when a key was last used is not kept.",
            (f"GRANT UPDATE (last_used_at) ON {mending.name(table.name)} TO {role}",),
        )


async def _row_security(
    database: Database, catalog: Catalog, mending: RepairSql, table: Table, found: FoundTable
) -> list[Finding]:
    if not found.filtered:
        return []
    sql = (f"ALTER ROLE {RepairSql(mending.dialect).name(catalog.role)} BYPASSRLS",)
    if found.bytes and await _exists(database, select(text("1")).select_from(table)) is False:
        message = f"Row security hides every row of {table.name} from the role {catalog.role}, if there is any."
        return [Finding(Severity.ERROR, "ROW_SECURITY", message, sql)]
    message = (
        f"Row security decides which rows of {table.name} the role {catalog.role} sees; the gateway looks after "
        "organizations by itself."
    )
    return [Finding(Severity.WARNING, "ROW_SECURITY", message, sql)]


def _columns(mending: RepairSql, table: Table, found: FoundTable) -> Iterator[Finding]:
    for column in read_columns(table):
        where = f"{table.name}.{column.name}"
        there = found.columns.get(column.name)
        if there is None:
            sql = mending.add_column(column) if found.is_stored_here else ()
            message = f"There is no column {where}.{' It is read as null.' * is_optional(column)}{_hint(column, found)}"
            severity = Severity.WARNING if is_optional(column) else Severity.ERROR
            yield Finding(severity, "MISSING_COLUMN", message, sql)
        elif not _fits(mending.dialect, column, there):
            wanted = mending.type_of(column)
            message = f"{where} is {there.type}, not {wanted}.{_keys_hint(column)}{_zone_hint(column, there)}"
            sql = mending.change_type(column, there.type) if found.is_stored_here else ()
            yield Finding(Severity.ERROR, "WRONG_TYPE", message, sql)


HINTS = {
    "org_id": " The SQL fills it from the batch, now and whenever a row is added.",
    "callback_host": " It follows from callback_url.",
    "event": " It follows from payload_bytes.",
    "error_message_masked": " Until it holds what `gateway import` would write, no filter finds error messages that "
    "might hold a credential, but for keys that may see credentials.",
    "attempt_number": " The SQL counts attempts from 1 by created_at; who writes attempts must number new ones.",
    "created_at": " The SQL takes the first other time of the row that is known, so look at it.",
}


def _hint(column: Column[Any], found: FoundTable) -> str:
    if not found.is_stored_here:
        return f" {column.table.name} is a {found.kind}: it has to be added where that is defined."
    return HINTS.get(column.name, "" if column.nullable else " Only who writes the rows can tell it.")


def _zone_hint(column: Column[Any], there: FoundColumn) -> str:
    if not isinstance(column.type, UtcDateTime):
        return ""
    if there.type == "timestamp without time zone":
        return " The SQL takes its times for UTC: look whether whoever writes them means that."
    return " The SQL takes times that tell no zone for UTC." if there.type in TEXTS else ""


def _keys_hint(column: Column[Any]) -> str:
    if column.primary_key or column.foreign_keys:
        return " Foreign keys on it go first and are made again when both sides have the type."
    return ""


def _fits(dialect: Backend, column: Column[Any], there: FoundColumn) -> bool:
    types = choose(dialect, postgresql=POSTGRES_TYPES, sqlite=SQLITE_TYPES)
    found = choose(dialect, postgresql=there.type, sqlite=affinity(there.type))
    return found in next(same for declared, same in types if isinstance(column.type, declared))


def affinity(declared: str) -> str:
    """What SQLite makes of values in a column that is declared with this type."""
    name = declared.upper()
    for parts, kind in ((("INT",), "integer"), (("CHAR", "CLOB", "TEXT"), "text"), (("BLOB",), "blob")):
        if any(part in name for part in parts):
            return kind
    if not name:
        return "blob"
    return "real" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "numeric"


async def _nulls(database: Database, mending: RepairSql, table: Table, found: FoundTable) -> list[Finding]:
    findings = []
    for column in read_columns(table):
        there = found.columns.get(column.name)
        if column.nullable or there is None or not there.nullable or not there.readable:
            continue
        where = f"{table.name}.{column.name}"
        nulls = await _exists(database, select(column.table.c.id).where(column.is_(None)))
        if nulls:
            message = f"{where} is null in some rows, which lists then leave out.{_null_hint(column)}"
            sql = (*mending.fill(column), *mending.forbid_null(column)) if mending.fill(column) else ()
            findings.append(Finding(Severity.ERROR, "NULLS", message, sql))
        elif choose(database.dialect, postgresql=True, sqlite=False):  # SQLite would have to make the table anew
            known = "may be null, although no row is" if nulls is False else "may be null (rows were not looked at)"
            findings.append(Finding(Severity.WARNING, "NULLABLE", f"{where} {known}.", mending.forbid_null(column)))
    return findings


def _null_hint(column: Column[Any]) -> str:
    return HINTS.get(column.name, " Only who writes the rows can tell it.")


async def _exists(database: Database, rows: AnySelect) -> bool | None:
    """Whether there is any such row; None where finding out takes too long, or is not allowed."""
    try:
        async with database.connect() as connection:
            await connection.execute(text(choose(database.dialect, postgresql=NO_LONGER, sqlite="SELECT 1")))
            return bool((await connection.execute(select(exists(rows)))).scalar_one())
    except SQLAlchemyError:
        return None


def _indexes(mending: RepairSql, table: Table, found: FoundTable) -> Iterator[Finding]:
    for index in _declared(table):
        keys = tuple(_key(expression) for expression in index.expressions)
        predicate = plain_predicate(_predicate(index))
        if any(each.serves(keys, predicate) for each in found.indexes):
            continue
        where = f" where {predicate}" if predicate else ""
        broken = any(each.name == index.name and not each.valid for each in found.indexes)
        state = "is broken" if broken else "is missing"
        yield Finding(
            # A unique one is the platform's own guard; reading hardly needs it.
            Severity.INFO if index.unique and predicate else Severity.WARNING,
            "MISSING_INDEX",
            f"An index of {table.name} on {', '.join(keys)}{where} {state}.",
            mending.create_index(found, index),
        )


def _declared(table: Table) -> Iterable[Index]:
    """The table's indexes, those behind its constraints included, as indexes of a copy."""
    copy = table.to_metadata(type(table.metadata)(naming_convention=table.metadata.naming_convention))
    keys = copy.primary_key.columns
    yield Index(f"ix_{table.name}_{'_'.join(keys.keys())}", *keys, unique=True)
    for constraint in copy.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield Index(f"uq_{table.name}_{'_'.join(constraint.columns.keys())}", *constraint.columns, unique=True)
    yield from sorted(table.indexes, key=lambda index: str(index.name))


def _key(expression: Any) -> str:
    return expression.name if isinstance(expression, Column) else or_greatest_key(next(iter(expression.clauses)).name)


def _predicate(index: Index) -> str | None:
    where = index.dialect_options["postgresql"]["where"]
    return None if where is None else str(where)


def _statistics(mending: RepairSql, found: FoundTable) -> Iterator[Finding]:
    if choose(mending.dialect, postgresql=True, sqlite=False) and found.rows is None and found.bytes >= MANY_BYTES:
        message = f"{found.name} was never analyzed: PostgreSQL does not know how many rows it has."
        yield Finding(Severity.WARNING, "NO_STATISTICS", message, (f"ANALYZE {mending.name(found.name)}",))
