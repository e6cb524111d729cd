"""What is asked: a stretch of `createdAt` and conditions on what stored periods know deliveries by.

The remainder is the same over some parts of the stretch, which rows answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import BindParameter, ColumnElement, FromClause, and_, bindparam, func, select, union_all

from gateway.counting.periods import FIRST_QUARTER, Quarters, number_at, number_from
from gateway.database.dialects import Ids, unindexed
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.types import AnyRow, AnySelect, UtcDateTime
from gateway.reading import stats
from gateway.reading.filters import DECLARED, CallbackDeliveryFilter, Filter, FilterValues, TextFilter, overdue
from gateway.reading.questions import Question, parameterised
from gateway.reading.visibility import Visibility

OUTCOME = ("status_code", "failure_reason_code", "event", "is_automatic", "in_flight")  # in the order of a cell
KNOWN = frozenset({*OUTCOME, "callback_host", "created_at"})
LOWEST, HIGHEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
NO_SPAN = HIGHEST, LOWEST
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """Statistics over deliveries that were created from an instant to another, that one included, and satisfy `where`.

    `where` is what remains of a filter without the time.
    """

    first: datetime
    last: datetime
    where: CallbackDeliveryFilter | None

    @classmethod
    def of(cls, where: Filter | None) -> "Asked | None":
        """The same as a filter; None where stored periods cannot answer it."""
        if where is None:
            return cls(LOWEST, HIGHEST, None)
        if not isinstance(where, CallbackDeliveryFilter):
            return None
        named = {name for name, _, _ in DECLARED[CallbackDeliveryFilter] if getattr(where, name) is not None}
        if not named <= KNOWN:
            return None
        created_at = where.created_at
        if created_at is not None and created_at.is_null:
            return None
        try:
            first, last = stats.span(created_at)
        except OverflowError:
            return None
        rest = None if named <= {"created_at"} else replace(where, created_at=None)
        return cls(first or LOWEST, last or HIGHEST, rest)

    @property
    def quarters(self) -> Quarters:
        """The whole quarters among them."""
        start = FIRST_QUARTER if self.first == LOWEST else max(number_from(self.first), FIRST_QUARTER)
        return start, number_at(self.last) + 1 if self.last == HIGHEST else number_at(self.last + INSTANT)

    @property
    def names_host(self) -> bool:
        """Whether hosts are told apart."""
        return self.where is not None and self.where.callback_host is not None

    @property
    def names_outcome(self) -> bool:
        """Whether anything but hosts and time is told apart."""
        return self.where is not None and any(getattr(self.where, name) is not None for name in OUTCOME)

    def keeps(self, key: Sequence[Any]) -> bool:
        """Whether deliveries are kept whose outcome, and host where it is there, are these."""
        where = self.where
        if where is None:
            return True
        texts = (where.status_code, where.failure_reason_code, where.event)
        return (
            all(_keeps(text, value) for text, value in zip(texts, key, strict=False))
            and where.is_automatic in {None, key[3]}
            and where.in_flight in {None, key[4]}
            and (len(key) == 5 or _keeps(where.callback_host, key[5]))
        )

    def keeps_host(self, host: str | None) -> bool:
        """Whether deliveries to this host are kept, as far as it is for the host."""
        return self.where is None or _keeps(self.where.callback_host, host)


Span = tuple[datetime, datetime]  # both included


@dataclass(frozen=True, slots=True)
class Remainder:
    """The filter of what is read from rows: `where`, and created in one of some spans, which lie in the one `asked`."""

    where: CallbackDeliveryFilter | None
    asked: Span
    spans: tuple[Span, ...]

    @property
    def names_rows(self) -> bool:
        """Whether the conditions find the rows by themselves."""
        return len(self.spans) > 1

    def parameterised(self, scope: Visibility) -> tuple["Remainder", FilterValues]:
        """The same with parameters in the place of its values, and their values by name."""
        where, values = parameterised(self.where, scope)
        spans = {"asked": self.asked, **{f"span_{number}": span for number, span in enumerate(self.spans)}}
        ends = {f"{name}_{end}": instant for name, span in spans.items() for end, instant in enumerate(span)}
        asked, *others = (_ends(name) for name in spans)
        return Remainder(where, asked, tuple(others)), {**values, **ends}

    def conditions(self, scope: Visibility) -> Iterable[ColumnElement[bool]]:
        """What a kept row satisfies."""
        if self.where is not None:
            yield from self.where.conditions(scope)
        if not self.names_rows:
            yield _created(deliveries, self.spans[0])
            return
        # By id, since SQLite joins no rows that an OR keeps by an index: it would walk all of the organization's.
        each = deliveries.alias("stretch")
        kept = (
            select(each.c.id).where(each.c.org_id == scope.organization, _created(each, span)) for span in self.spans
        )
        yield deliveries.c.id.in_(union_all(*kept))


@dataclass(frozen=True, slots=True)
class TotalsOfRemainder(Question[stats.Totals]):
    """Counts of the rest, and how many of all that is asked for are overdue: these are read from the rows in flight."""

    rest: Remainder

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:  # noqa: ARG002
        counted = stats.totals(scope, cast("Any", self.rest))
        # By id again: SQLite would walk an index of what the filter asks for, with all that was ever so.
        each = deliveries.alias("flying")
        flying = select(each.c.id).where(
            each.c.org_id == scope.organization, each.c.completed_at.is_(None), _created(each, self.rest.asked)
        )
        late = select(func.count()).where(
            unindexed(deliveries.c.org_id) == scope.organization, overdue(scope), deliveries.c.id.in_(flying)
        )
        if self.rest.where is not None:
            late = late.where(*self.rest.where.conditions(scope))
        kept = [column for column in counted.selected_columns if column.key != "overdue"]
        return counted.with_only_columns(*kept, late.correlate(None).scalar_subquery().label("overdue"))

    def parameterised(self, scope: Visibility) -> tuple["TotalsOfRemainder", FilterValues]:
        rest, values = self.rest.parameterised(scope)
        return TotalsOfRemainder(rest), values

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[stats.Totals]:
        row = rows[0]
        return [stats.Totals(stats.Counts(row.deliveries, row.completed, row.delivered), row.overdue)] * len(ids)


def _keeps(asked: TextFilter | None, value: str | None) -> bool:
    if asked is None:
        return True
    return (
        (asked.eq is None or value == asked.eq)
        and (asked.in_ is None or (value is not None and value in asked.in_))
        and (asked.not_in is None or value is None or value not in asked.not_in)
        and (asked.is_null is None or asked.is_null == (value is None))
    )


def _created(of: FromClause, span: Span) -> ColumnElement[bool]:
    return and_(of.c.created_at >= span[0], of.c.created_at <= span[1])


@cache  # one object for each name, since equal questions must hold the same one
def _ends(name: str) -> Any:
    first: BindParameter[datetime] = bindparam(f"{name}_0", type_=UtcDateTime())
    last: BindParameter[datetime] = bindparam(f"{name}_1", type_=UtcDateTime())
    return first, last
