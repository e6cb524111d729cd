"""The doctor finds what is wrong with a database, and its SQL mends it."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from gateway.cli.doctor import examine
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.required import KEYS, ROWS
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import EVENT_SQL
from gateway.doctor.server import findings_of_postgres, findings_of_sqlite, of_clock, of_encoding, of_pooler, of_timeout
from gateway.doctor.tables import affinity
from gateway.reading.hosts import host_of
from gateway.reading.masking import mask_text
from gateway.reading.payload import BatchCallbackEvent
from gateway.settings import DatabaseSettings, Settings
from tests.conftest import administer, migrated, postgres_database
from tests.support.asking import data
from tests.support.commands import run
from tests.support.existing import Existing, existing_database
from tests.support.rows import THEIRS
from tests.support.servers import pgbouncer, postgres_server
from tests.support.volume import fill

DELIVERIES = "batch_callback_deliveries"
ATTEMPTS = "batch_callback_delivery_attempts"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def volume(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """40,000 deliveries, analyzed: the URL of a database from which tests take copies."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('volume') / 'volume.db'}"
        asyncio.run(_filled(url))
        yield url
        return
    request.getfixturevalue("postgres_url")
    with _postgres_database() as url:
        asyncio.run(_filled(url))
        yield url


async def _filled(url: str) -> None:
    await migrated(url)
    database = Database(url)
    await fill(database, 20_000)
    await database.close()
    if url.startswith("postgres"):  # of which only a copy is examined, when the server has not yet vacuumed it
        await Existing(url, url, None).run_now("VACUUM (ANALYZE)")


@contextmanager
def _postgres_database(template: str = "template1") -> Iterator[str]:
    name = f"gateway_test_{uuid4().hex}"
    asyncio.run(administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    yield postgres_database(name)
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def large(volume: str, tmp_path: Path) -> Iterator[Existing]:
    """40,000 deliveries, analyzed."""
    name = make_url(volume).database or ""
    if volume.startswith("sqlite"):
        shutil.copy(name, tmp_path / "large.db")
        url = f"sqlite+aiosqlite:///{tmp_path / 'large.db'}"
        yield Existing(url, url, None)
        return
    with _postgres_database(name) as url:
        yield Existing(url, url, None)


@pytest.fixture
def sqlite_existing(tmp_path: Path) -> Iterator[Existing]:
    with existing_database("sqlite", tmp_path) as made:
        yield made


async def examined(existing: Existing, **values: object) -> list[Finding]:
    return (await examine(existing.settings(**{"database_url": existing.url, **values})))[1]


async def first_column(existing: Existing, statement: str) -> list[object]:
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    rows = await database.fetch(text(statement))
    await database.close()
    return [row[0] for row in rows]


async def two_columns(existing: Existing, statement: str) -> list[tuple[str | None, str | None]]:
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    rows = await database.fetch(text(statement))
    await database.close()
    return [(row[0], row[1]) for row in rows]


async def assert_mended(existing: Existing, code: str, *damage: str, **values: object) -> list[Finding]:
    """After the damage there is a finding with this code; after all SQL of all findings there is nothing to find."""
    assert await examined(existing, **values) == []
    await existing.run_now(*damage)
    findings = await examined(existing, **values)
    assert code in {finding.code for finding in findings}
    await existing.run_now(*(sql for finding in findings for sql in finding.sql))
    assert await examined(existing, **values) == []
    return findings


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database that no test has used: the shared one has pages of old rows, which the doctor reports."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}"
        asyncio.run(migrated(url))
        yield url
        return
    request.getfixturevalue("postgres_url")
    with _postgres_database() as url:
        asyncio.run(migrated(url))
        yield url


async def test_nothing_is_found_where_nothing_is_wrong(fresh_url: str) -> None:
    version, findings = await examine(Settings(database_url=fresh_url))
    assert version.startswith(("SQLite 3", "PostgreSQL 1"))
    assert findings == []


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("MISSING_INDEX", ["DROP INDEX ix_batches_org"]),
        ("MISSING_INDEX", [f"DROP INDEX ix_{DELIVERIES}_org_next_attempt", f"DROP INDEX ix_{DELIVERIES}_org_inflight"]),
        (
            "MISSING_INDEX",  # the same name, another index
            ["DROP INDEX ix_batches_org_status", "CREATE INDEX ix_batches_org_status ON batches (status_code)"],
        ),
        ("MISSING_COLUMN", ["ALTER TABLE batches DROP COLUMN cost"]),
        ("MISSING_COLUMN", [f"ALTER TABLE {ATTEMPTS} DROP COLUMN error_message_masked"]),
        ("WRONG_TYPE", ["ALTER TABLE batches DROP COLUMN cost", "ALTER TABLE batches ADD COLUMN cost float"]),
        (
            "WRONG_TYPE",
            ["ALTER TABLE batches DROP COLUMN started_at", "ALTER TABLE batches ADD COLUMN started_at timestamp"],
        ),
        (
            "WRONG_TYPE",
            ["ALTER TABLE batches DROP COLUMN duration_ms", "ALTER TABLE batches ADD COLUMN duration_ms text"],
        ),
        ("MISSING_TABLE", ["DROP TABLE api_keys"]),
    ],
)
async def test_what_is_wrong_is_found_and_mended(existing: Existing, code: str, damage: list[str]) -> None:
    await assert_mended(existing, code, *damage)


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("MISSING_COLUMN", [f"ALTER TABLE {DELIVERIES} DROP COLUMN org_id"]),
        ("MISSING_COLUMN", [f"ALTER TABLE {ATTEMPTS} DROP COLUMN org_id"]),
        ("MISSING_COLUMN", [f"ALTER TABLE {DELIVERIES} DROP COLUMN callback_host, DROP COLUMN event"]),
        ("MISSING_COLUMN", ["ALTER TABLE batches DROP COLUMN created_at"]),
        ("MISSING_TABLE", ["DROP TABLE organizations CASCADE"]),
        ("WRONG_TYPE", ["ALTER TABLE batches ALTER COLUMN target_id TYPE uuid USING target_id::uuid"]),
        ("WRONG_TYPE", ["CREATE TYPE s AS ENUM ('failed')", "ALTER TABLE batches ALTER status_code TYPE s USING NULL"]),
        ("WRONG_TYPE", [f"ALTER TABLE {DELIVERIES} ALTER payload_bytes TYPE text USING NULL"]),
        ("WRONG_TYPE", [f"ALTER TABLE {DELIVERIES} ALTER is_automatic TYPE integer USING 1"]),
        ("WRONG_TYPE", ["ALTER TABLE batches ALTER metadata TYPE text USING '{}'"]),
        ("WRONG_TYPE", [f"ALTER TABLE {DELIVERIES} ALTER signing_secret_id TYPE text"]),
        ("WRONG_TYPE", [f"ALTER TABLE {ATTEMPTS} ALTER id TYPE text"]),
        ("NULLABLE", [f"ALTER TABLE {ATTEMPTS} ALTER org_id DROP NOT NULL"]),
        ("NULLS", [f"ALTER TABLE {ATTEMPTS} ALTER org_id DROP NOT NULL", f"UPDATE {ATTEMPTS} SET org_id = NULL"]),
        ("NULLS", ["ALTER TABLE batches ALTER created_at DROP NOT NULL", "UPDATE batches SET created_at = NULL"]),
        (
            "NULLS",
            [
                f"ALTER TABLE {ATTEMPTS} ALTER attempt_number DROP NOT NULL",
                f"UPDATE {ATTEMPTS} SET attempt_number = NULL",
            ],
        ),
        (
            "MISSING_INDEX",  # one that could not be finished
            ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_batches_org'::regclass"],
        ),
        (
            "NO_STATISTICS",
            [
                "ALTER TABLE organizations SET (autovacuum_enabled = false)",
                "INSERT INTO organizations (id, created_at) "
                "SELECT gen_random_uuid(), now() FROM generate_series(1, 30000)",
            ],
        ),
    ],
)
async def test_what_is_wrong_on_postgresql_is_found_and_mended(
    postgres_existing: Existing, code: str, damage: list[str]
) -> None:
    await assert_mended(postgres_existing, code, *damage)


async def test_attempts_without_a_number_are_counted(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(f"ALTER TABLE {ATTEMPTS} DROP COLUMN attempt_number")
    missing, *others = await examined(postgres_existing)
    assert (missing.code, {each.code for each in others}) == ("MISSING_COLUMN", {"MISSING_INDEX"})
    await postgres_existing.run_now(*(sql for each in (missing, *others) for sql in each.sql))
    assert [finding.code for finding in await examined(postgres_existing)] == ["NULLABLE"]
    assert await first_column(postgres_existing, f"SELECT max(attempt_number) FROM {ATTEMPTS}") == [3]


async def test_nulls_are_found_on_sqlite(sqlite_existing: Existing) -> None:
    nullable = "replace(sql, 'attempt_number INTEGER NOT NULL', 'attempt_number INTEGER')"
    await sqlite_existing.run_now(
        "PRAGMA writable_schema = ON", f"UPDATE sqlite_master SET sql = {nullable} WHERE name = '{ATTEMPTS}'"
    )
    await assert_mended(sqlite_existing, "NULLS", f"UPDATE {ATTEMPTS} SET attempt_number = NULL")


@pytest.mark.parametrize(
    "damage",
    ["REVOKE SELECT ON batches FROM {role}", 'REVOKE USAGE ON SCHEMA "the platform\'s" FROM {role}'],
)
async def test_a_privilege_that_is_lacking_is_found_and_mended(postgres_existing: Existing, damage: str) -> None:
    reader = postgres_existing.reader
    (unwritten,) = await examined(postgres_existing, database_url=reader)
    assert (unwritten.weight, unwritten.code) == (Severity.INFO, "LAST_USED_UNWRITTEN")
    await postgres_existing.run_now(*unwritten.sql)
    await assert_mended(
        postgres_existing, "MISSING_PRIVILEGE", damage.format(role=postgres_existing.role), database_url=reader
    )


async def test_row_security_that_hides_every_row_is_an_error(postgres_existing: Existing) -> None:
    await postgres_existing.run_now("ALTER TABLE batches ENABLE ROW LEVEL SECURITY")
    (found, _) = await examined(postgres_existing, database_url=postgres_existing.reader)
    assert (found.weight, found.code) == (Severity.ERROR, "ROW_SECURITY")
    assert "hides every row of batches" in found.message
    await postgres_existing.run_now("CREATE POLICY visible ON batches FOR SELECT USING (status_code IS NULL)")
    (found, _) = await examined(postgres_existing, database_url=postgres_existing.reader)
    assert (found.weight, found.code) == (Severity.WARNING, "ROW_SECURITY")
    await postgres_existing.run_now(*found.sql)
    assert [each.code for each in await examined(postgres_existing, database_url=postgres_existing.reader)] == [
        "LAST_USED_UNWRITTEN"
    ]


async def test_row_security_hides_nothing_of_an_empty_table(postgres_existing: Existing) -> None:
    await postgres_existing.run_now("TRUNCATE batches CASCADE", "ALTER TABLE batches ENABLE ROW LEVEL SECURITY")
    (found, _) = await examined(postgres_existing, database_url=postgres_existing.reader)
    assert (found.weight, found.code) == (Severity.WARNING, "ROW_SECURITY")


@pytest.mark.parametrize("schema", [None, "nope", "od\"d 'schema"])
async def test_the_sql_makes_all_that_an_empty_database_lacks(postgres_existing: Existing, schema: str | None) -> None:
    await postgres_existing.run_now(*(f"DROP TABLE {table.name} CASCADE" for table in (*ROWS, *KEYS)))
    empty = Existing(postgres_existing.url, postgres_existing.url, None)
    findings = await examined(empty, database_schema=schema)
    assert [each.code for each in findings] == ["MISSING_SCHEMA"] * (schema is not None) + ["MISSING_TABLE"] * 5
    if schema is not None:
        assert findings[0].message == f"There is no schema {schema}, which GATEWAY_DATABASE_SCHEMA names."
    await empty.run_now(*(sql for finding in findings for sql in finding.sql))
    assert await examined(empty, database_schema=schema) == []


async def test_a_schema_that_is_misspelt_is_named_with_the_right_one(postgres_existing: Existing) -> None:
    first, *others = await examined(postgres_existing, database_schema="the plattform's")
    assert (first.code, first.sql) == ("MISSING_SCHEMA", ())
    assert {each.code for each in others} == {"OTHER_SCHEMA"}


async def test_a_search_path_to_nowhere_is_found(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(f"ALTER ROLE {postgres_existing.role} SET search_path = nowhere")
    first, *_ = await examined(postgres_existing, database_url=postgres_existing.reader, database_schema=None)
    assert (first.code, first.sql) == ("MISSING_SCHEMA", ())
    assert "set GATEWAY_DATABASE_SCHEMA" in first.message


async def test_an_empty_sqlite_database_is_made_by_the_sql(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    empty = Existing(f"sqlite:///{tmp_path / 'empty.db'}", "", None)
    findings = await examined(empty)
    assert [each.code for each in findings] == ["MISSING_TABLE"] * 5
    await empty.run_now(*(sql for finding in findings for sql in finding.sql))
    assert await examined(empty) == []


async def test_what_organizations_are_made_of_may_be_missing_too(postgres_existing: Existing) -> None:
    damage = "DROP TABLE organizations CASCADE", "ALTER TABLE batches DROP COLUMN created_at"
    await assert_mended(postgres_existing, "MISSING_ROWS", *damage)
    assert await first_column(postgres_existing, "SELECT count(*) FROM organizations") == [1]


@pytest.mark.parametrize(
    "settings",
    [
        "datestyle = 'German, DMY'",
        "datestyle = 'SQL, MDY'",
        "datestyle = 'Postgres'",
        "intervalstyle = 'iso_8601'",
        "timezone = 'Asia/Kathmandu'",
        "bytea_output = 'escape'",
        "quote_all_identifiers = on",
        "extra_float_digits = -15",
        "standard_conforming_strings = off",
        "search_path = pg_catalog, public",
        "lc_messages = 'C'",
        "default_transaction_read_only = on",
        "xmloption = 'document'",
        "transform_null_equals = on",
        "array_nulls = off",
        "client_min_messages = debug1",
    ],
)
async def test_findings_do_not_depend_on_the_settings_of_a_session(postgres_existing: Existing, settings: str) -> None:
    await postgres_existing.run_now(f"ALTER ROLE {postgres_existing.role} SET {settings}")
    (found,) = await examined(postgres_existing, database_url=postgres_existing.reader)
    assert found.code == "LAST_USED_UNWRITTEN"
    await postgres_existing.run_now("DROP INDEX ix_batches_org")
    codes = [each.code for each in await examined(postgres_existing, database_url=postgres_existing.reader)]
    assert codes == ["MISSING_INDEX", "LAST_USED_UNWRITTEN"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("timestamp", "takes its times for UTC"),
        ("timestamp(3)", "takes its times for UTC"),
        ("text", "times that tell no zone"),
    ],
)
async def test_times_without_a_zone_are_said_to_be_taken_for_utc(
    postgres_existing: Existing, kind: str, said: str
) -> None:
    await postgres_existing.run_now(
        "ALTER DATABASE " + f"\"{make_url(postgres_existing.url).database}\" SET timezone = 'Asia/Tokyo'",
        f"ALTER TABLE batches ALTER started_at TYPE {kind} USING '2026-05-06 10:00:00'",
    )
    (found,) = await examined(postgres_existing)
    assert found.code == "WRONG_TYPE"
    assert said in found.message
    await postgres_existing.run_now(*found.sql)
    assert await examined(postgres_existing) == []
    told = "SELECT DISTINCT CAST(started_at AT TIME ZONE 'UTC' AS text) FROM batches"
    assert await first_column(postgres_existing, told) == ["2026-05-06 10:00:00"]


async def test_tables_of_another_schema_are_found(postgres_existing: Existing) -> None:
    findings = await examined(postgres_existing, database_schema=None)
    assert {finding.code for finding in findings} == {"OTHER_SCHEMA"}
    assert "the platform's: set GATEWAY_DATABASE_SCHEMA" in findings[0].message


async def test_types_that_hold_the_same_are_right(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(
        "ALTER TABLE batches ALTER metadata TYPE jsonb, ALTER cost TYPE numeric(10, 2), ALTER duration_ms TYPE integer",
        f"ALTER TABLE {DELIVERIES} ALTER status_code TYPE varchar(40), ALTER attempt_count TYPE smallint",
        f"ALTER TABLE {ATTEMPTS} ALTER response_time_ms TYPE bigint, ALTER created_at TYPE timestamptz(3)",
        """UPDATE batches SET metadata = '{"a": [1]}', cost = 1.5, duration_ms = 7""",
    )
    assert await examined(postgres_existing) == []
    database = Database(postgres_existing.url, DatabaseSettings(database_schema=postgres_existing.schema))
    where = {"metadata": {"path": ["b"], "eq": "c"}}
    asked = """query ($where: BatchFilter) {
      batches(filter: $where) { nodes { id } } all: batches { nodes { metadata cost } }
    }"""
    answer = await data(database, asked, where=where)
    await database.close()
    assert (answer["batches"]["nodes"], answer["all"]["nodes"][0]) == ([], {"metadata": {"a": [1]}, "cost": "1.50"})


async def test_partitions_may_stand_for_tables(postgres_existing: Existing) -> None:
    await postgres_existing.run_now("CREATE SCHEMA parted")
    for name in (table.name for table in (*ROWS, *KEYS)):
        key = "id" if name == "organizations" else "org_id"
        await postgres_existing.run_now(
            f"CREATE TABLE parted.{name} (LIKE {name}) PARTITION BY HASH ({key})",
            f"CREATE TABLE parted.{name}_0 PARTITION OF parted.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            f"CREATE TABLE parted.{name}_1 PARTITION OF parted.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            f"INSERT INTO parted.{name} SELECT * FROM {name}",
        )
    await postgres_existing.run_now("CREATE UNIQUE INDEX ON parted.batches (org_id, id)")
    findings = await examined(postgres_existing, database_schema="parted")
    assert {finding.code for finding in findings} == {"MISSING_INDEX"}
    assert not any("batches on id " in finding.message for finding in findings)
    await postgres_existing.run_now(*(sql for finding in findings for sql in finding.sql))
    assert await examined(postgres_existing, database_schema="parted") == []


async def test_views_may_stand_for_tables(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(
        "CREATE SCHEMA seen",
        *(f"CREATE VIEW seen.{table.name} AS SELECT * FROM {table.name}" for table in (*ROWS, *KEYS)),
    )
    assert await examined(postgres_existing, database_schema="seen") == []
    await postgres_existing.run_now("DROP VIEW seen.batches", "CREATE VIEW seen.batches AS SELECT id FROM batches")
    findings = await examined(postgres_existing, database_schema="seen")
    assert {(finding.code, finding.sql) for finding in findings} == {("MISSING_COLUMN", ())}
    assert "batches is a view: it has to be added where that is defined." in findings[0].message


@pytest.mark.parametrize(
    "index", ["(org_id, created_at, id, status_code)", "(org_id, created_at DESC, id DESC)"], ids=["longer", "downward"]
)
async def test_an_index_is_known_by_what_it_does(existing: Existing, index: str) -> None:
    await existing.run_now("DROP INDEX ix_batches_org", f"CREATE INDEX any_name ON batches {index}")
    assert await examined(existing) == []


@pytest.mark.parametrize(
    "index",
    ["(org_id, created_at, id DESC)", "(org_id, id, created_at)", "(org_id, created_at, id) WHERE cost IS NULL"],
)
async def test_an_index_that_does_something_else_does_not_count(existing: Existing, index: str) -> None:
    await existing.run_now("DROP INDEX ix_batches_org", f"CREATE INDEX any_name ON batches {index}")
    assert [finding.code for finding in await examined(existing)] == ["MISSING_INDEX"]


async def test_without_keys_it_is_an_error_unless_there_are_tokens(existing: Existing) -> None:
    await existing.run_now("DROP TABLE api_keys")
    (error,) = await examined(existing)
    (info,) = await examined(existing, jwt_keys_url="http://localhost/keys", jwt_issuer="any")
    assert (error.code, error.weight) == ("MISSING_TABLE", Severity.ERROR)
    assert (info.code, info.weight) == ("MISSING_TABLE", Severity.INFO)


async def test_keys_elsewhere_are_looked_at_there(existing: Existing, tmp_path: Path) -> None:
    elsewhere = f"sqlite+aiosqlite:///{tmp_path / 'keys.db'}"
    keys = Database(elsewhere)
    await migrate(keys)
    await keys.close()
    await existing.run_now("DROP TABLE api_keys")
    assert await examined(existing, keys_database_url=elsewhere) == []
    await Existing(elsewhere, elsewhere, None).run_now("DROP INDEX ix_api_keys_org")
    (found,) = await examined(existing, keys_database_url=elsewhere)
    assert found.message.startswith("In the database of the keys: An index of api_keys")


async def test_a_schema_of_another_version_is_found(fresh_url: str) -> None:
    await Existing(fresh_url, "", None).run_now("UPDATE alembic_version SET version_num = '0001'")
    findings = (await examine(Settings(database_url=fresh_url)))[1]
    assert [finding.code for finding in findings] == ["SCHEMA_BEHIND"]


URLS = [
    "https://Hooks.Example/cb?x=1", "https://hooks.example:443/", "http://hooks.example:443/", "http://[::1]:8080/",
    "https://user:p@ss@hooks.example:8443", "hooks.example/cb", "http://:80/", "http://hooks.example:port/",
    "http://[::1/", "", "//hooks.example/x", "https://a.example:0080/", "https://a.example:70000/", "https://a.example:/",
    "https://a.example?x@y", "HTTPS://a.example:443", "mailto:a@b.example", "http://a.example#f:1",
]  # fmt: skip
MESSAGES = [
    "connection timed out", "Connection refused", "HTTP 503", "no route to host, gave up.", "password is hunter",
    "Authorization: Bearer abcdef", "BASIC QWxhZGRpbjpvcGVu", "AKIAABCDEFGHIJKLMNOP", "eyJabcdef", "gw_AbCdEfGh12",
    "https://user:secret@host.example/x", "token=abcdef", "sk-abcdefghijklmnopqrstuvwx1",
    "a /b/AbCdEf0123456789AbCdEf",
]  # fmt: skip


async def test_derived_columns_say_what_the_gateway_would(postgres_existing: Existing) -> None:
    start = "INSERT INTO {table} (id, {parent}, created_at, {column}) SELECT gen_random_uuid(), {of}, now(), '{value}'"
    dropped = f"ALTER TABLE {DELIVERIES} DROP COLUMN callback_host, DROP COLUMN event, DROP COLUMN org_id"
    await postgres_existing.run_now(
        dropped,
        f"ALTER TABLE {ATTEMPTS} DROP COLUMN error_message_masked, DROP COLUMN org_id",
        f"DELETE FROM {ATTEMPTS}",
        f"DROP INDEX uq_{DELIVERIES}_batch_inflight",
    )
    findings = await examined(postgres_existing)
    await postgres_existing.run_now(*(sql for found in findings for sql in found.sql if "UNIQUE" not in sql))
    for url in URLS:
        insert = start.format(table=DELIVERIES, parent="batch_id", column="callback_url", of="id", value=url)
        await postgres_existing.run_now(f"{insert} FROM batches LIMIT 1")
    for message in MESSAGES:
        insert = start.format(table=ATTEMPTS, parent="delivery_id", column="error_message", of="id", value=message)
        insert = insert.replace("(id,", "(attempt_number, id,").replace("SELECT", "SELECT 1,")
        await postgres_existing.run_now(f"{insert} FROM {DELIVERIES} LIMIT 1")
    rows = await two_columns(postgres_existing, f"SELECT callback_url, callback_host FROM {DELIVERIES}")
    assert {url: host for url, host in rows if url is not None} == {url: host_of(url) for url in URLS}
    rows = await two_columns(postgres_existing, f"SELECT error_message, error_message_masked FROM {ATTEMPTS}")
    shown = {message for message, masked in rows if masked is None}
    assert shown == set(MESSAGES[:5])
    assert all(mask_text(message) == message for message in MESSAGES[:5])
    assert len(await first_column(postgres_existing, f"SELECT 1 FROM {DELIVERIES} WHERE org_id IS NULL")) == 0


def test_sql_knows_the_events_of_the_contract() -> None:
    assert set(EVENT_SQL) == {event.value for event in BatchCallbackEvent}


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ('{"event": "batch.failed"}', "batch.failed"),
        ('{"event": "other"}', None),
        ("[]", None),
        ("not JSON", None),
    ],
)
async def test_the_event_is_read_from_the_body(existing: Existing, body: str, event: str | None) -> None:
    drop = [f"DROP INDEX ix_{DELIVERIES}_org_event", f"ALTER TABLE {DELIVERIES} DROP COLUMN event"]
    bytes_ = f"CAST('{body}' AS {'bytea' if existing.schema else 'blob'})"
    await existing.run_now(*drop, f"UPDATE {DELIVERIES} SET payload_bytes = {bytes_}")
    await existing.run_now(*(sql for found in await examined(existing) for sql in found.sql))
    assert set(await first_column(existing, f"SELECT event FROM {DELIVERIES}")) == {event}


async def test_a_table_that_is_read_whole_is_found(large: Existing) -> None:
    assert await examined(large) == []
    await large.run_now(f"DROP INDEX ix_{DELIVERIES}_batch")
    findings = await examined(large)
    assert "MISSING_INDEX" in {found.code for found in findings}
    (slow,) = (found for found in findings if found.code == "SEQUENTIAL_SCAN")
    assert slow.message.startswith(f"All of {DELIVERIES} (about ")
    assert "callback health of batches" in slow.message
    await large.run_now(*(sql for found in findings for sql in found.sql))
    assert await examined(large) == []


async def test_plans_are_those_of_an_organization_that_has_much(large: Existing) -> None:
    few = f"SELECT id FROM batches WHERE org_id <> '{THEIRS}' ORDER BY created_at LIMIT 9"
    await large.run_now(
        f"DROP INDEX ix_{DELIVERIES}_batch",
        f"UPDATE batches SET status_code = 'failed' WHERE id IN ({few})",  # so that PostgreSQL meets theirs first
    )
    findings = await examined(large)
    assert "SEQUENTIAL_SCAN" in {found.code for found in findings}


async def test_rows_that_are_sorted_are_found(large: Existing) -> None:
    await large.run_now("DROP INDEX ix_batches_org_completed")
    findings = await examined(large)
    assert {found.code for found in findings} == {"MISSING_INDEX", "SORT"} | (
        {"SEQUENTIAL_SCAN"} if large.url.startswith("postgres") else set()
    )
    await large.run_now(*(sql for found in findings for sql in found.sql))
    assert await examined(large) == []


def test_the_table_is_readable_without_a_terminal(existing: Existing, tmp_path: Path) -> None:
    existing.run("DROP INDEX ix_batches_org", "ALTER TABLE batches DROP COLUMN cost")
    variables = {"GATEWAY_DATABASE_URL": existing.url} | existing.schema_variable
    status, output, errors = run(tmp_path, "doctor", **variables)
    assert (status, errors) == (1, "1 error: the gateway cannot serve this database as it is.\n")
    _, first, second, *sql = output.splitlines()
    assert first == "error\tMISSING_COLUMN\tThere is no column batches.cost."
    assert second == "warning\tMISSING_INDEX\tAn index of batches on org_id, created_at, id is missing."
    assert any(line.startswith("CREATE INDEX") and line.endswith("(org_id, created_at, id);") for line in sql)


def test_json_is_for_machines(existing: Existing, tmp_path: Path) -> None:
    variables = {"GATEWAY_DATABASE_URL": existing.url} | existing.schema_variable
    status, output, errors = run(tmp_path, "doctor", "--json", **variables)
    assert (status, errors, json.loads(output)["findings"]) == (0, "", [])
    existing.run("DROP INDEX ix_batches_org")
    status, output, errors = run(tmp_path, "doctor", "--json", **variables)
    (found,) = json.loads(output)["findings"]
    assert (status, errors, set(found)) == (0, "", {"weight", "code", "message", "sql"})


def test_a_database_that_is_not_there_is_notmigrated(tmp_path: Path) -> None:
    assert run(tmp_path, "doctor", "--database-url", "sqlite:///none.db") == (1, "", "There is no database none.db.\n")
    assert not (tmp_path / "none.db").exists()
    assert run(tmp_path, "doctor", "--wrong")[0] == 2


async def test_a_pooler_that_passes_no_schema_on_is_found_and_mended() -> None:
    with postgres_server() as server, pgbouncer(server) as pooler:
        server.sql('CREATE SCHEMA "of the platform"')
        database = Database(server.url(), DatabaseSettings(database_schema="of the platform"))
        await migrate(database)
        await database.close()
        owner = Existing(server.url(), "", "of the platform")
        unnamed = f"{pooler.url()}?prepared_statement_cache_size=0"
        findings = await examined(owner, database_url=unnamed)
        assert {finding.code for finding in findings} == {"OTHER_SCHEMA", "POOLER"}
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> ''"
        await owner.run_now(findings[0].sql[0], ended)
        assert [finding.code for finding in await examined(owner, database_url=unnamed)] == ["POOLER"]


def test_what_is_around_the_tables_is_judged() -> None:
    def codes(findings: Iterator[Finding]) -> list[tuple[Severity, str]]:
        return [(finding.weight, finding.code) for finding in findings]

    assert (
        codes(findings_of_postgres(130000)) == codes(findings_of_sqlite("3.35.0")) == codes(of_encoding("UTF-8")) == []
    )
    assert (
        codes(findings_of_postgres(120022))
        == codes(findings_of_sqlite("3.34.1"))
        == [(Severity.WARNING, "OLD_VERSION")]
    )
    assert codes(of_encoding("SQL_ASCII")) == [(Severity.ERROR, "ENCODING")]
    assert codes(of_clock(-0.9)) == []
    assert codes(of_clock(-1.1)) == [(Severity.WARNING, "CLOCK")]
    assert codes(of_clock(31)) == [(Severity.ERROR, "CLOCK")]
    assert codes(of_timeout(0, 10, "r")) == codes(of_timeout(None, 10, "r")) == codes(of_timeout(10, 10, "r")) == []
    assert codes(of_timeout(5, 10, "r")) == [(Severity.WARNING, "STATEMENT_TIMEOUT")]
    assert codes(of_pooler(False, "s")) == []
    assert codes(of_pooler(True, "s")) == [(Severity.INFO, "POOLER")]


async def test_a_statement_timeout_of_the_role_matters_where_the_gateway_cannot_set_its_own(
    postgres_existing: Existing,
) -> None:
    role, reader = postgres_existing.role, postgres_existing.reader
    await postgres_existing.run_now(
        f"GRANT UPDATE (last_used_at) ON api_keys TO {role}",
        f'ALTER ROLE {role} SET search_path = "the platform\'s"',
    )
    short = f"ALTER ROLE {role} SET statement_timeout = '5s'"
    pooled = f"{reader}?prepared_statement_cache_size=0"
    await assert_mended(postgres_existing, "STATEMENT_TIMEOUT", short, database_url=pooled)
    await postgres_existing.run_now(short)
    assert await examined(postgres_existing, database_url=reader) == []


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("CHAR", "text"),
        ("BIGINT", "integer"),
        ("BLOB", "blob"),
        ("", "blob"),
        ("FLOAT", "real"),
        ("DATETIME", "numeric"),
    ],
)
def test_an_affinity_is_what_sqlite_makes_of_a_type(declared: str, kind: str) -> None:
    assert affinity(declared) == kind
