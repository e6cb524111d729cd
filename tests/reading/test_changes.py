"""What changed after a position: every change once, in order, whatever else is written between two questions."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from gateway.database.dialects import SLOT
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.reading import changes
from gateway.reading.changes import ChangesSince, SlotsChangedSince, changed_rows, changed_slots
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility
from tests.support.rows import OURS, START, THEIRS, Rows, attempt, batch, delivery, history, store
from tests.support.tenancy import assert_names_organization, builders

MINUTE = timedelta(minutes=1)
COLUMNS = frozenset({"status_code"})


def story() -> Rows:
    """Five deliveries that changed at three different times, and one that never said when."""
    of = [batch(number) for number in range(6)]
    rows = [
        delivery(each, number, updated_at=START + number // 2 * MINUTE if number < 5 else None)
        for number, each in enumerate(of)
    ]
    return {batches: of, deliveries: rows, attempts: [attempt(each, 1) for each in rows]}


async def told(database: Database, question: ChangesSince, organization: str = OURS) -> list[changes.Change]:
    return await Reader(database, organization).load(question)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("table", [deliveries, attempts])
async def test_walking_from_position_to_position_tells_each_change_once(
    database: Database, table: object, size: int
) -> None:
    rows = await store(database, story())
    seen, after = [], None
    while found := await told(database, ChangesSince(table, COLUMNS, after, size)):  # type: ignore[arg-type]
        seen += [change.row.id for change in found]
        after = found[-1].position
    changed_at = "updated_at" if table is deliveries else "created_at"
    expected = [row for row in rows[table] if row[changed_at] is not None]  # type: ignore[index]
    assert seen == [row["id"] for row in sorted(expected, key=lambda row: (row[changed_at], row["id"]))]


async def test_what_changes_meanwhile_is_told_behind_the_position(database: Database) -> None:
    rows = await store(database, story())
    position = (await told(database, ChangesSince(deliveries, COLUMNS)))[-1].position
    assert await told(database, ChangesSince(deliveries, COLUMNS, position)) == []
    async with database.transaction() as connection:
        first, later = rows[deliveries][0]["id"], START + 9 * MINUTE
        values = {"status_code": "late", "updated_at": later}
        await connection.execute(update(deliveries).where(deliveries.c.id == first).values(values))
    (change,) = await told(database, ChangesSince(deliveries, COLUMNS, position))
    assert (change.row.status_code, change.position) == ("late", (later, first))


async def test_changes_are_of_the_viewers_organization(database: Database) -> None:
    await store(database, history(2, organization=THEIRS))
    assert await told(database, ChangesSince(attempts, COLUMNS)) == []
    assert len(await told(database, ChangesSince(attempts, COLUMNS), THEIRS)) == 12


async def test_quarters_are_told_in_which_deliveries_changed_or_got_attempts(database: Database) -> None:
    rows = await store(database, story())
    old = rows[deliveries][0]
    hour = 60 * MINUTE
    async with database.transaction() as connection:
        late = attempt(old, 9, created_at=START + 5 * hour)
        await connection.execute(insert(attempts), late)
        changed = {"updated_at": START + 6 * hour}
        await connection.execute(update(deliveries).where(deliveries.c.id == rows[deliveries][1]["id"]).values(changed))

    async def since(hours: int) -> dict[int, object]:
        asked = SlotsChangedSince(START + hours * hour, START + 24 * hour)
        return dict(await Reader(database, OURS).load(asked))

    number = int(old["created_at"].timestamp()) // SLOT
    assert await since(7) == {}
    assert await since(6) == {number: START + 6 * hour}
    assert await since(5) == {number: START + 6 * hour}
    assert await Reader(database, OURS).load(SlotsChangedSince(START, START)) == {}


SCOPE = Visibility(OURS, START)
BUILDERS = {
    "changed_rows": [
        changed_rows(SCOPE, table, COLUMNS, after, 10)
        for table in (deliveries, attempts)
        for after in (None, (START, THEIRS))
    ],
    "changed_slots": [changed_slots(SCOPE)],
}


def test_no_builder_is_left_out() -> None:
    assert set(builders(changes)) == set(BUILDERS)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_statement_names_the_organization_for_each_of_its_tables(name: str) -> None:
    for statement in BUILDERS[name]:
        assert_names_organization(statement)
