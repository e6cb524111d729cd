"""What the gateway needs of a database beside its tables: version, encoding, clock, and settings that would hurt."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import copysign
from typing import assert_never

from sqlalchemy import text

from gateway.database.backends import Backend
from gateway.database.engine import Database
from gateway.database.replicas import Replica, Replicas
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql

OLDEST_POSTGRES = 13
OLDEST_SQLITE = (3, 35)
SLOW_CLOCK, WRONG_CLOCK = 1.0, 30.0  # seconds between two clocks

POSTGRES = text("""
SELECT current_setting('server_version') AS version, CAST(current_setting('server_version_num') AS integer) AS number,
  current_setting('server_encoding') AS encoding, current_user AS role, pg_backend_pid() AS process
""")
TIMEOUT_SQL = text("SELECT setting, source FROM pg_settings WHERE name = 'statement_timeout'")
SQLITE = text("SELECT sqlite_version() AS version, encoding FROM pragma_encoding")


async def inspect_surroundings(database: Database, deadline: float) -> tuple[str, list[Finding]]:
    """The server's version, and what is wrong around the tables. `deadline` is the longest request, in seconds."""
    match database.dialect:
        case Backend.POSTGRESQL:
            return await _postgres(database, deadline)
        case Backend.SQLITE:
            return await _sqlite(database)
        case other:
            assert_never(other)


async def _sqlite(database: Database) -> tuple[str, list[Finding]]:
    async with database.connect() as connection:
        told = (await connection.execute(SQLITE)).one()
    return f"SQLite {told.version}", [*findings_of_sqlite(told.version), *of_encoding(told.encoding)]


async def _postgres(database: Database, deadline: float) -> tuple[str, list[Finding]]:
    async with database.connect() as connection:
        told = (await connection.execute(POSTGRES)).one()
        driver = (await connection.get_raw_connection()).driver_connection
        before = datetime.now(UTC)
        there: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        after = datetime.now(UTC)
    # The server read its clock some time between the two: no more is known than what the way there and back leaves.
    way = (after - before).total_seconds() / 2
    apart = (there - before).total_seconds() - way
    apart = copysign(max(abs(apart) - way, 0.0), apart)
    pooled = driver is not None and driver.get_server_pid() != told.process
    ((setting, source),) = await database.fetch(TIMEOUT_SQL)  # as whoever reads has it
    timeout = None if source in {"client", "session"} else int(setting) / 1000
    return f"PostgreSQL {told.version}", [
        *findings_of_postgres(told.number),
        *of_encoding(told.encoding),
        *of_clock(apart),
        *of_timeout(timeout, deadline, told.role),
        *of_pooler(pooled, database.schema),
    ]


async def inspect_replicas(database: Database) -> list[Finding]:
    """What is wrong with the servers that are read instead of the primary."""
    if not isinstance(database.source, Replicas):
        return []
    await database.source.begin()
    return [found for replica in database.source.replicas for found in of_replica(replica)]


def of_replica(replica: Replica) -> Iterator[Finding]:
    """What to say of a replica that has been looked at."""
    name = f"The {replica.name}"
    if not replica.is_up or replica.pulse is None:
        yield Finding(Severity.WARNING, "REPLICA_SILENT", f"{name} does not answer: {replica.reason}.")
    elif not replica.pulse.in_recovery:
        message = f"{name} follows no other server: it is left out. Name replicas of the database only."
        yield Finding(Severity.WARNING, "NO_REPLICA", message)
    elif replica.lag > replica.max_lag:
        message = f"{name} is {replica.lag:.0f} s behind, more than {replica.max_lag:g} s: it is left out."
        yield Finding(Severity.WARNING, "REPLICA_LAG", message)
    else:
        yield Finding(Severity.INFO, "REPLICA", f"{name} answers and is {replica.lag:.1f} s behind.")


def findings_of_postgres(number: int) -> Iterator[Finding]:
    """What to say of a server whose `server_version_num` is this."""
    if number < OLDEST_POSTGRES * 10_000:
        message = f"PostgreSQL {number // 10_000} is older than {OLDEST_POSTGRES}, the oldest one that is supported."
        yield Finding(Severity.WARNING, "OLD_VERSION", message)


def findings_of_sqlite(version: str) -> Iterator[Finding]:
    """What to say of this version of SQLite."""
    if tuple(map(int, version.split(".")[:2])) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        yield Finding(
            Severity.WARNING, "OLD_VERSION", f"SQLite {version} is older than {oldest}, the oldest supported."
        )


def of_encoding(encoding: str) -> Iterator[Finding]:
    """What to say of a database with this encoding."""
    if encoding.replace("-", "").upper() != "UTF8":
        message = f"The database's encoding is {encoding}, not UTF8: it has to be made anew and its rows copied."
        yield Finding(Severity.ERROR, "ENCODING", message)


def of_clock(apart: float) -> Iterator[Finding]:
    """What to say of a database whose clock is ahead by so many seconds."""
    if abs(apart) > SLOW_CLOCK:
        way = "ahead of" if apart > 0 else "behind"
        message = f"The database's clock is {abs(apart):.1f} s {way} this machine's: what is overdue is told wrongly."
        yield Finding(Severity.ERROR if abs(apart) > WRONG_CLOCK else Severity.WARNING, "CLOCK", message)


def of_timeout(timeout: float | None, deadline: float, role: str) -> Iterator[Finding]:
    """What to say of a role whose statements may run so long, in seconds; 0 is any time, None the gateway's choice."""
    if timeout and timeout < deadline:
        message = (
            f"The role {role} has a statement_timeout of {timeout:g} s, less than the deadline of {deadline:g} s: "
            "statements end as failures before requests are late."
        )
        sql = f"ALTER ROLE {RepairSql(Backend.POSTGRESQL).name(role)} SET statement_timeout = '{deadline:g}s'"
        yield Finding(Severity.WARNING, "STATEMENT_TIMEOUT", message, (sql,))


def of_pooler(pooled: bool, schema: str | None) -> Iterator[Finding]:
    """What to say where the process that answers is not the one that was connected to."""
    if pooled:
        message = "A pooler such as PgBouncer stands before the database."
        if schema is not None:
            message += " In transaction mode it does not pass on GATEWAY_DATABASE_SCHEMA: set the role's search_path."
        yield Finding(Severity.INFO, "POOLER", message)
