"""What changed in an organization after a position: one question, by keyset, in the order of the changes.

A delivery says in `updated_at` when it changed; an attempt is only ever added. A position is the time of a change and
the id of its row. Three kinds of change are not told: a row that was deleted, a row that was written without a new
`updated_at`, and a delivery that has none. A transaction writes its time down before it commits, so that a change may
appear before a position that was already read: who must not miss one reads again from a little earlier.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Table, bindparam, func, select, tuple_, union_all

from gateway.database.dialects import SLOT, Ids, at_most, time_slot, unindexed
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.types import AnyRow, AnySelect, UtcDateTime
from gateway.reading.filters import FilterValues
from gateway.reading.pages import Position, binds, parameters
from gateway.reading.questions import Question
from gateway.reading.visibility import Visibility

CHANGED_AT: Mapping[Table, Column[Any]] = {deliveries: deliveries.c.updated_at, attempts: attempts.c.created_at}
SINCE = "since"
BEFORE = "before"


class Change(NamedTuple):
    """A row that was added or changed, and where that stands among the changes."""

    row: AnyRow
    position: Position


def changed_rows(
    scope: Visibility, table: Table, columns: Iterable[str], after: Position | None, first: int
) -> AnySelect:
    """The first rows that changed after a position, in the order of their changes."""
    keys = CHANGED_AT[table], table.c.id
    rows = select(*(table.c[name] for name in sorted({*columns, "id"})), keys[0].label("changed_at"))
    later = keys[0].is_not(None) if after is None else tuple_(*keys) > tuple_(*binds(after, keys))
    rows = rows.where(table.c.org_id == scope.organization, later)
    return rows.order_by(*keys).limit(at_most(first))


def changed_slots(scope: Visibility) -> AnySelect:
    """Quarters of an hour in which deliveries were created that changed, or got attempts, since a time; and when last.

    The parameters are `since`, and `before`: younger deliveries are left out.
    """
    since, before = (bindparam(name, type_=UtcDateTime()) for name in (SINCE, BEFORE))
    slot, organization = time_slot(deliveries.c.created_at), scope.organization
    older = unindexed(deliveries.c.created_at) < before
    changed = (
        select(slot.label("slot"), func.max(deliveries.c.updated_at).label("at"))
        .where(deliveries.c.org_id == organization, deliveries.c.updated_at >= since, older)
        .group_by(slot)
    )
    added = (
        select(slot.label("slot"), func.max(deliveries.c.created_at).label("at"))
        .where(deliveries.c.org_id == organization, deliveries.c.created_at >= since, deliveries.c.created_at < before)
        .group_by(slot)
    )
    tried = (
        select(slot.label("slot"), func.max(attempts.c.created_at).label("at"))
        .join_from(attempts, deliveries, attempts.c.delivery_id == deliveries.c.id)
        .where(
            attempts.c.org_id == organization,
            attempts.c.created_at >= since,
            unindexed(deliveries.c.org_id) == organization,
            older,
        )
        .group_by(slot)
    )
    each = union_all(changed, added, tried).subquery("changed")
    return select(each.c.slot, func.max(each.c.at).label("at")).group_by(each.c.slot)


@dataclass(frozen=True, slots=True)
class ChangesSince(Question[list[Change]]):
    """The first rows of a table that changed after a position; the id that is asked is the organization's.

    `table` is deliveries or attempts. Without a position it begins with the oldest change. Fewer than `first` are all
    that there are now.
    """

    table: Table
    columns: frozenset[str]
    after: Position | None = None
    first: int = 500

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return changed_rows(scope, self.table, self.columns, self.after, self.first)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[Change]]:
        return [[Change(row, (row.changed_at, row.id)) for row in rows]] * len(ids)

    def parameterised(self, scope: Visibility) -> tuple["ChangesSince", FilterValues]:
        after, values = parameters("after", self.after, CHANGED_AT[self.table])
        return replace(self, after=after) if values else self, values


@dataclass(frozen=True, slots=True)
class SlotsChangedSince(Question[dict[int, datetime]]):
    """The quarters of an hour, by their number since 1970, in which deliveries before a time changed, and when last."""

    since: datetime | None
    before: datetime | None

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return changed_slots(scope)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[dict[int, datetime]]:
        return [{slot // SLOT: at for slot, at in rows}] * len(ids)

    def parameterised(self, scope: Visibility) -> tuple["SlotsChangedSince", FilterValues]:
        return SlotsChangedSince(None, None), {SINCE: self.since, BEFORE: self.before}
