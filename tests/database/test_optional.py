"""A column that a platform's table lacks is null in every row, and the doctor says so."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from gateway.cli.doctor import examine
from gateway.database.engine import Database
from gateway.database.migrate import check_schema, prepare_database
from gateway.database.optional import is_optional
from gateway.database.required import ROWS
from gateway.database.tables import batch_callback_deliveries, batches
from gateway.doctor.findings import Severity
from gateway.errors import SchemaBehind
from gateway.reading.exporting import export_lines
from gateway.reading.history import OLDEST_FIRST
from gateway.reading.questions import RowsOf
from gateway.reading.reader import Reader
from gateway.settings import DatabaseSettings
from tests.doctor.conftest import existing
from tests.support.asking import data
from tests.support.existing import Existing
from tests.support.rows import OURS

__all__ = ["existing"]
OPTIONAL = [column for table in ROWS for column in table.c if is_optional(column)]


@pytest.fixture
async def lacking(existing: Existing) -> AsyncIterator[Database]:
    """A database whose batches have none of the optional columns."""
    for column in OPTIONAL:
        await existing.run_now(f"ALTER TABLE {column.table.name} DROP COLUMN {column.name}")
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    yield database
    await database.close()


def test_no_optional_column_is_one_that_rows_are_found_or_ordered_by() -> None:
    assert [column.name for column in OPTIONAL] == ["links", "items"]
    for column in OPTIONAL:
        assert column.nullable
        assert not any(column.name in index.columns for index in column.table.indexes)


async def test_what_is_not_there_is_read_as_null(lacking: Database) -> None:
    await prepare_database(lacking)
    assert lacking.lacking["batches"] == {"links", "items"}
    rows = await lacking.fetch(select(batches).order_by(batches.c.created_at))
    assert [(row.links, row.items) for row in rows] == [(None, None)] * 3
    ((count,),) = await lacking.fetch(select(func.count()).where(batches.c.links.is_(None), batches.c.org_id == OURS))
    assert count == 3
    async with lacking.connect() as connection:
        other = batches.alias("b")
        assert (await connection.execute(select(other.c.links, other.c.id))).all()[0].links is None
    lines = b"".join([piece async for piece in export_lines(lacking, OURS)])
    assert lines.count(b'"links":null,"items":null') == 3


async def test_both_faces_answer_over_it(lacking: Database) -> None:
    await prepare_database(lacking)
    asked = await data(
        lacking, "{ batches(first: 3) { nodes { links items { id } callbackDeliveries(first: 1) { id } } } }"
    )
    nodes = asked["batches"]["nodes"]
    assert [(node["links"], node["items"], len(node["callbackDeliveries"])) for node in nodes] == [(None, None, 1)] * 3


@pytest.mark.usefixtures("lacking")
async def test_the_doctor_warns_of_it_and_its_sql_mends_it(existing: Existing) -> None:
    settings = existing.settings(database_url=existing.url)
    findings = (await examine(settings))[1]
    assert {(found.weight, found.code) for found in findings} == {(Severity.WARNING, "MISSING_COLUMN")}
    assert "batches.links. It is read as null." in findings[0].message
    await existing.run_now(*(sql for found in findings for sql in found.sql))
    assert (await examine(settings))[1] == []


async def test_a_column_that_is_needed_is_still_needed(lacking: Database, existing: Existing) -> None:
    await existing.run_now("ALTER TABLE batches DROP COLUMN cost")
    with pytest.raises(SchemaBehind, match="cost"):
        await check_schema(lacking)


async def test_rows_of_parents_of_a_table_that_lacks_a_column_are_found(
    lacking: Database, existing: Existing, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = batch_callback_deliveries.c.failure_detail
    monkeypatch.setitem(column.info, "optional", True)
    await existing.run_now("ALTER TABLE batch_callback_deliveries DROP COLUMN failure_detail")
    await prepare_database(lacking)
    assert lacking.lacking["batch_callback_deliveries"] == {"failure_detail"}
    parent = batch_callback_deliveries.c.batch_id
    ids = [row.id for row in await lacking.fetch(select(batches.c.id))]
    for first in (1, 2, None):
        question = RowsOf(parent, frozenset({"id", "failure_detail"}), OLDEST_FIRST, first)
        found = await Reader(lacking, OURS).fetch(question, ids)
        assert [[row.failure_detail for row in rows] for rows in found] == [[None] * (first or 2)] * 3
