"""The children of many parents: the first of each, whether they are asked for together or parent by parent."""

import pytest

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.reading import questions
from gateway.reading.pages import Order
from gateway.reading.questions import RowsOf
from gateway.reading.reader import Reader
from tests.support.rows import OURS, batch, delivery, history, store

pytestmark = pytest.mark.anyio

PARENT = batch_callback_deliveries.c.batch_id
OLDEST = Order("created_at")
NEWEST = Order("created_at", descending=True)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "SMALL_FIRST", 2)


async def _fill(database: Database, *sizes: int) -> list[str]:
    """Batches with so many deliveries each; the ids of the batches."""
    parents = [batch(number) for number in range(1, len(sizes) + 1)]
    numbers = iter(range(1, sum(sizes) + 1))
    children = [delivery(of, next(numbers)) for of, size in zip(parents, sizes, strict=True) for _ in range(size)]
    await store(database, {batches: parents, batch_callback_deliveries: children})
    return [of["id"] for of in parents]


@pytest.mark.parametrize("order", [OLDEST, NEWEST], ids=["oldest", "newest"])
@pytest.mark.parametrize("sizes", [(2, 0, 3), (4, 1, 0), (5, 0, 1), (3, 3, 3)], ids=str)
async def test_each_parent_has_its_first_children_in_order(
    database: Database, order: Order, sizes: tuple[int, ...]
) -> None:
    ids = await _fill(database, *sizes)
    question = RowsOf(PARENT, frozenset({"id"}), order, 3)
    together = Reader(database, OURS)
    found = await together.fetch(question, ids)
    one_by_one = [(await Reader(database, OURS).fetch(question, [id_]))[0] for id_ in ids]
    assert [[row.id for row in few] for few in found] == [[row.id for row in few] for few in one_by_one]
    assert [len(few) for few in found] == [min(size, 3) for size in sizes]
    assert together.statements == 1


async def test_the_first_alone_is_never_looked_for_among_all(database: Database) -> None:
    ids = await _fill(database, 9, 0, 9)
    reader = Reader(database, OURS)
    found = await reader.fetch(RowsOf(PARENT, frozenset({"id"}), NEWEST, 1), ids)
    assert [len(few) for few in found] == [1, 0, 1]
    assert reader.statements == 1


async def test_crowded_parents_are_asked_one_by_one_and_remembered(database: Database) -> None:
    ids = await _fill(database, 2, 30, 0, 30)
    question = RowsOf(PARENT, frozenset({"id", "created_at"}), OLDEST, 5)
    for statements in (2, 1):
        reader = Reader(database, OURS)
        found = await reader.fetch(question, ids)
        assert [len(few) for few in found] == [2, 5, 0, 5]
        assert [row.created_at for row in found[1]] == sorted(row.created_at for row in found[1])
        assert reader.statements == statements


async def test_all_children_come_where_no_number_is_named(database: Database) -> None:
    await store(database, history(3, deliveries=4, attempts=5))
    parents = [row.id for row in await database.fetch(batch_callback_deliveries.select())]
    columns = frozenset({"attempt_number"})
    question = RowsOf(batch_callback_delivery_attempts.c.delivery_id, columns, Order("attempt_number"))
    found = await Reader(database, OURS).fetch(question, parents)
    assert [[row.attempt_number for row in few] for few in found] == [[1, 2, 3, 4, 5]] * len(parents)
