"""Questions that differ in their values alone share one compiled statement."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import BindParameter

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.errors import PermissionDenied
from gateway.reading import stats
from gateway.reading.filters import (
    BatchFilter,
    CallbackAttemptFilter,
    CallbackAttemptsFilter,
    CallbackDeliveriesFilter,
    CallbackDeliveryFilter,
    ContainsFilter,
    Filter,
    IdFilter,
    IntFilter,
    MetadataFilter,
    Parameterised,
    TextFilter,
    TimeFilter,
    UrlFilter,
    given,
    keeps,
)
from gateway.reading.pages import Order, Slice
from gateway.reading.questions import CountOf, CountUpTo, PageOf, Question, RowsOf
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility
from tests.support.rows import OURS, START, history, identifier, store

pytestmark = pytest.mark.anyio

SCOPE = Visibility(OURS, START)
ID = frozenset({"id"})
NEWEST = Order("created_at", descending=True)


def _delivery_filter(number: int) -> CallbackDeliveryFilter:
    """A filter that names everything, with values made of a number."""
    text, moment = f"text {number}", START + timedelta(seconds=number)
    count, time = IntFilter(number, number, number, number, number), TimeFilter(moment, moment, moment, moment, moment)
    texts = TextFilter(text, (text,), (text, text), False)
    attempt = CallbackAttemptFilter(
        status_code=count, error_message=ContainsFilter(text), created_at=time, id=IdFilter(identifier(1, number))
    )
    return CallbackDeliveryFilter(
        id=IdFilter(identifier(1, number), (identifier(2, number),), ()),
        status_code=texts,
        is_automatic=True,
        in_flight=False,
        overdue=False,
        created_at=time,
        attempt_count=count,
        callback_url=UrlFilter(f"https://{number}.example/", f"https://{number}.example/in/"),
        attempts=CallbackAttemptsFilter(attempt),
    )


def _batch_filter(number: int) -> BatchFilter:
    of = _delivery_filter(number)
    metadata = MetadataFilter(("customer",), f"{number}")
    return BatchFilter(callback_deliveries=CallbackDeliveriesFilter(of, of), metadata=metadata)


QUESTIONS: dict[str, Any] = {
    "page": lambda n: PageOf(deliveries, ID, _delivery_filter(n), NEWEST, Slice(5)),
    "batches": lambda n: PageOf(batches, ID, _batch_filter(n), NEWEST, Slice(5)),
    "children": lambda n: RowsOf(deliveries.c.batch_id, ID, NEWEST, 5, None, _delivery_filter(n)),
    "count of children": lambda n: CountOf(deliveries.c.batch_id, _delivery_filter(n)),
    "count": lambda n: CountUpTo(deliveries, _delivery_filter(n), 100),
    "totals": lambda n: stats.TotalsOf(_delivery_filter(n)),
    "attempts": lambda n: stats.AttemptCount(_delivery_filter(n)),
    "statuses": lambda n: stats.DeliveriesBy("status_code", _delivery_filter(n)),
    "hosts": lambda n: stats.DeliveriesByHost(_delivery_filter(n), 10),
    "slots": lambda n: stats.DeliveriesBySlot(_delivery_filter(n)),
    "attempt statuses": lambda n: stats.AttemptsByStatus(_delivery_filter(n)),
    "response times": lambda n: stats.ResponseTimesOf(_delivery_filter(n)),
    "response times by host": lambda n: stats.ResponseTimesByHost(_delivery_filter(n), (f"{n}.example", None)),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_questions_that_differ_in_values_alone_share_a_statement(database: Database, name: str) -> None:
    for number in (1, 2, 3):
        await Reader(database, OURS).fetch(QUESTIONS[name](number), [OURS])
    statements = {statement.text for statement in database.statements.values()}
    assert len(database.statements) == len(statements) == 1


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_value_of_a_filter_is_part_of_a_shape(name: str) -> None:
    """Unless the value were a parameter, the statement would serve this value alone."""
    question: Question[Any] = QUESTIONS[name](77)
    shape, values = question.parameterised(SCOPE)
    assert "77" not in repr(shape)
    assert values
    assert shape == QUESTIONS[name](78).parameterised(SCOPE)[0]
    assert hash(shape) == hash(QUESTIONS[name](78).parameterised(SCOPE)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TextFilter(eq="a"), TextFilter(in_=("a",))),
        (TextFilter(eq="a"), TextFilter(eq="a", is_null=False)),
        (TextFilter(is_null=True), TextFilter(is_null=False)),
        (None, TextFilter(eq="a")),
    ],
)
def test_filters_that_ask_for_other_things_have_other_shapes(one: TextFilter | None, other: TextFilter) -> None:
    assert len({CallbackDeliveryFilter(status_code=of).parameterised(SCOPE)[0] for of in (one, other)}) == 2


@pytest.mark.parametrize(("one", "other"), [("1", 1), (1, True), ("true", True)])
def test_values_of_json_have_a_shape_for_each_kind(one: Any, other: Any) -> None:
    filters = [BatchFilter(metadata=MetadataFilter(("a",), value)) for value in (one, other)]
    assert len({where.parameterised(SCOPE)[0] for where in filters}) == 2


async def test_a_filter_keeps_its_own_rows_after_another_has_made_its_statement(database: Database) -> None:
    await store(database, history(3, deliveries=1, attempts=0))
    found: list[str] = []
    for number in (1, 2, 3):
        where = BatchFilter(id=IdFilter(identifier(0xBA, number)))
        page = await Reader(database, OURS).load(PageOf(batches, ID, where, NEWEST, Slice(5)))
        found += [row.id for row in page.rows]
    assert found == [identifier(0xBA, number) for number in (1, 2, 3)]


async def test_the_beginning_of_a_url_is_checked_for_each_viewer_of_one_statement(database: Database) -> None:
    guess = CallbackDeliveryFilter(callback_url=UrlFilter(starts_with="https://hooks.example/in/s"))
    question = PageOf(deliveries, ID, guess, NEWEST, Slice(5))
    assert not (await Reader(database, OURS, sees_secrets=True).load(question)).rows
    with pytest.raises(PermissionDenied):
        await Reader(database, OURS).load(question)
    with pytest.raises(PermissionDenied):
        list(guess.conditions(SCOPE))


def test_the_host_follows_from_a_url() -> None:
    where = CallbackDeliveryFilter(callback_url=UrlFilter("https://Hooks.example:443/in"))
    shape, values = where.parameterised(SCOPE)
    assert values["where_callback_host_eq"] == "hooks.example"
    assert shape.callback_host is not None
    assert isinstance(shape.callback_host.eq, BindParameter)


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (given("By a name."), "is no column of batches"),
        (given("By a status.", is_column=False), "is a column of batches"),
    ],
)
def test_a_field_that_would_restrict_nothing_is_refused_at_import(field: Any, fault: str) -> None:
    name = "status_code" if "is a" in fault else "statuscode"
    made: type[Any] = dataclass(frozen=True)(
        type("Mistyped", (Parameterised,), {name: field, "__annotations__": {name: Any}})
    )
    with pytest.raises(TypeError, match=rf"Mistyped\.{name} {fault}"):
        keeps(batches)(made)


def test_every_filter_of_rows_can_be_parameterised() -> None:
    where: Filter = CallbackDeliveryFilter(created_at=TimeFilter(gte=datetime(2026, 1, 1, tzinfo=UTC)))
    assert where.parameterised(SCOPE)[1] == {"where_created_at_gte": datetime(2026, 1, 1, tzinfo=UTC)}
