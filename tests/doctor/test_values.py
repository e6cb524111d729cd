"""The doctor looks at some values, and says which of them are answered otherwise than they are stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.doctor import examine
from gateway.doctor.findings import Severity
from gateway.doctor.values import ROWS_READ
from tests.support.existing import Existing, existing_database

DELIVERIES, ATTEMPTS = "batch_callback_deliveries", "batch_callback_delivery_attempts"


@pytest.fixture
def sqlite_existing(tmp_path: Path) -> Iterator[Existing]:
    with existing_database("sqlite", tmp_path) as made:
        yield made


@pytest.fixture
def postgres_existing(postgres_url: str, tmp_path: Path) -> Iterator[Existing]:
    assert postgres_url
    with existing_database("postgresql", tmp_path) as made:
        yield made


async def found(existing: Existing) -> list[tuple[str, str, tuple[str, ...]]]:
    findings = (await examine(existing.settings(database_url=existing.url)))[1]
    assert all(finding.weight is Severity.WARNING for finding in findings)
    return [(finding.code, finding.message, finding.sql) for finding in findings]


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (f"UPDATE {DELIVERIES} SET next_attempt_at = '20000-01-01'", "TIME_BEYOND", f"{DELIVERIES}.next_attempt_at"),
        ("UPDATE batches SET completed_at = '0044-03-15 BC'", "TIME_BEYOND", "batches.completed_at"),
        ("UPDATE batches SET created_at = 'infinity'", "TIME_BEYOND", "batches.created_at"),
        ("UPDATE batches SET cost = 'NaN'", "UNREADABLE_VALUE", "batches.cost"),
        (f"UPDATE batches SET metadata = '{'9' * 5_000}'", "UNREADABLE_VALUE", "batches.metadata"),
        (
            f"ALTER TABLE {DELIVERIES} ALTER attempt_count TYPE bigint; UPDATE {DELIVERIES} SET attempt_count = 3e9",
            "NUMBER_BEYOND",
            f"{DELIVERIES}.attempt_count",
        ),
    ],
)
async def test_values_that_python_or_graphql_has_not_are_found(
    postgres_existing: Existing, change: str, code: str, where: str
) -> None:
    await postgres_existing.run_now(*change.split("; "))
    ((told, message, sql),) = await found(postgres_existing)
    assert (told, message.partition(" ")[0], sql) == (code, where, ())


async def test_texts_that_are_filled_with_blanks_are_found_and_mended(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(
        f"ALTER TABLE {DELIVERIES} ALTER status_code TYPE char(12), ALTER event TYPE char(30)",
        f"UPDATE {DELIVERIES} SET status_code = 'failed'",
    )
    ((code, message, sql),) = await found(postgres_existing)
    assert code == "PADDED_TEXT"
    assert message.startswith(f"status_code, event of {DELIVERIES} are filled up with blanks")
    await postgres_existing.run_now(*sql)
    assert await found(postgres_existing) == []


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (f"UPDATE {DELIVERIES} SET next_attempt_at = 'soon'", "UNREADABLE_VALUE", f"{DELIVERIES}.next_attempt_at"),
        (f"UPDATE {DELIVERIES} SET attempt_count = 'many'", "UNREADABLE_VALUE", f"{DELIVERIES}.attempt_count"),
        (f"UPDATE {DELIVERIES} SET is_automatic = 'yes'", "UNREADABLE_VALUE", f"{DELIVERIES}.is_automatic"),
        (f"UPDATE {ATTEMPTS} SET status_code = 3000000000", "NUMBER_BEYOND", f"{ATTEMPTS}.status_code"),
        ("UPDATE batches SET metadata = '{'", "UNREADABLE_VALUE", "batches.metadata"),
        ("UPDATE batches SET created_at = 'soon'", "TIME_BEYOND", "batches.created_at"),
    ],
)
async def test_values_of_another_type_are_found_in_sqlite(
    sqlite_existing: Existing, change: str, code: str, where: str
) -> None:
    await sqlite_existing.run_now(change)
    ((told, message, sql),) = await found(sqlite_existing)
    assert (told, message.partition(" ")[0], sql) == (code, where, ())


@pytest.mark.parametrize("text", ["2026-05-06 10:00:00", "2026-05-06T10:00:00Z", "2026-05-06T12:00:00+02:00"])
async def test_times_that_are_spelled_otherwise_are_found_and_mended(sqlite_existing: Existing, text: str) -> None:
    await sqlite_existing.run_now(f"UPDATE batches SET started_at = '{text}'")
    ((code, message, sql),) = await found(sqlite_existing)
    assert (code, message.partition(" ")[0]) == ("TIME_SPELLED", "batches.started_at")
    await sqlite_existing.run_now(*sql)
    assert await found(sqlite_existing) == []


async def test_an_odd_value_at_the_end_of_an_order_is_found_among_many_rows(sqlite_existing: Existing) -> None:
    columns = "id, org_id, created_at, completed_at"
    numbered = f"WITH n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {2 * ROWS_READ})"
    await sqlite_existing.run_now(
        f"INSERT INTO batches ({columns}) {numbered} SELECT printf('%08d', n) || substr(id, 9), org_id, created_at, "
        f"iif(n = {2 * ROWS_READ}, 'soon', created_at) FROM n, (SELECT * FROM batches LIMIT 1)"
    )
    told = await found(sqlite_existing)
    assert [(code, message.partition(" ")[0]) for code, message, _ in told] == [
        ("UNREADABLE_VALUE", "batches.completed_at")
    ]
    ((_, message, _),) = told
    assert "(1 of the " in message
