"""What is asked of the database about changes: which rows changed since a time, and which of them a filter keeps.

A delivery changed at its `updated_at`, or where it has none yet, at its `created_at`; attempts are only ever added. A
change is found where its row tells a new time: not a deleted row, not one that was written without a new `updated_at`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Column, Table, and_, select, tuple_, union_all

from gateway.database.dialects import Ids, at_most, ids_as_rows
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.types import AnyRow, AnySelect
from gateway.reading.changes import changed_rows
from gateway.reading.filters import Filter, FilterValues
from gateway.reading.pages import Position, binds, parameters
from gateway.reading.questions import Question
from gateway.reading.visibility import Visibility

DIGEST = 5  # bytes by which a cursor knows a version: of 2,000, one that is new is taken for a known one in 1 of 5e8
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
KIND_COLUMNS: Mapping[Table, tuple[Column[Any], ...]] = {
    deliveries: (
        deliveries.c.created_at,
        deliveries.c.updated_at,
        deliveries.c.completed_at,
        deliveries.c.attempt_count,
    ),
    attempts: (attempts.c.created_at,),
}


Stamp = tuple[datetime, str]
"""When a row changed, and its id."""


class Version(NamedTuple):
    """A row as it was written at one time; `digest` is what a cursor keeps of it."""

    changed_at: datetime
    id: str
    digest: bytes

    @classmethod
    def of(cls, changed_at: datetime, id_: str) -> "Version":
        """The version of the row with that id."""
        text = f"{id_}{changed_at.astimezone(UTC).isoformat()}"
        return cls(changed_at, id_, hashlib.blake2s(text.encode(), digest_size=DIGEST).digest())


@dataclass(frozen=True, slots=True)
class VersionsSince(Question[list[Stamp]]):
    """When rows changed: the first times and ids behind a position, in that order; the id that is asked is the
    organization's.

    Fewer than `first` are all that there are by now.
    """

    table: Table
    after: Position
    first: int

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return versions_since(scope, self.table, self.after, self.first)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[Stamp]]:
        return [[(row.changed_at, row.id) for row in rows]] * len(ids)

    def parameterised(self, scope: Visibility) -> tuple["VersionsSince", FilterValues]:
        after, values = parameters("after", self.after, self.table.c.created_at)
        return replace(self, after=cast("Position", after)), values


@dataclass(frozen=True, slots=True)
class NewestChange(Question[datetime | None]):
    """The time of the last change of all, None where there is no row; the id that is asked is the organization's."""

    table: Table

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return newest_changes(scope, self.table)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[datetime | None]:
        times = [value for row in rows for value in row if value is not None]
        return [max(times, default=None)] * len(ids)


@dataclass(frozen=True, slots=True)
class ChangedRows(Question[AnyRow | None]):
    """Of the row with that id: what tells how it changed, and in `kept0`, `kept1`, … which of the filters keep it."""

    table: Table
    wheres: tuple[Filter, ...]

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return rows_of_changes(scope, self.table, ids, self.wheres)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]

    def parameterised(self, scope: Visibility) -> tuple["ChangedRows", FilterValues]:
        shapes: list[Filter] = []
        values: dict[str, Any] = {}
        for number, where in enumerate(self.wheres):
            shape, of_one = where.parameterised(scope, f"where{number}")
            shapes.append(shape)
            values.update(of_one)
        return replace(self, wheres=tuple(shapes)), values


def versions_since(scope: Visibility, table: Table, after: Position, first: int) -> AnySelect:
    """Ids and times of the first rows that changed behind a position: deliveries that have no time of a change, too."""
    changed = changed_rows(scope, table, (), after, first)
    if table is attempts:
        return changed
    keys = table.c.created_at, table.c.id
    created = (
        select(table.c.id, table.c.created_at.label("changed_at"))
        .where(table.c.org_id == scope.organization, tuple_(*keys) > tuple_(*binds(after, keys)))
        .where(table.c.updated_at.is_(None))
        .order_by(*keys)
        .limit(at_most(first))
    )
    both = (
        select(branch.c.id, branch.c.changed_at)
        for branch in (changed.subquery("changed"), created.subquery("created"))
    )
    each = union_all(*both).subquery("each")
    return select(each.c.id, each.c.changed_at).order_by(each.c.changed_at, each.c.id).limit(at_most(first))


def newest_changes(scope: Visibility, table: Table) -> AnySelect:
    """The last time in each column that tells a change."""
    columns = (table.c.updated_at, table.c.created_at) if table is deliveries else (table.c.created_at,)
    return select(
        *(
            select(column)
            .where(table.c.org_id == scope.organization, column.is_not(None))
            .order_by(column.desc(), table.c.id.desc())
            .limit(at_most(1))
            .scalar_subquery()
            .label(column.name)
            for column in columns
        )
    )


def rows_of_changes(scope: Visibility, table: Table, ids: Ids, wheres: Sequence[Filter]) -> AnySelect:
    """Rows with these ids: the columns that tell how they changed, and whether each of the filters keeps them."""
    wanted = ids_as_rows(ids)
    kept = (
        and_(table.c.id.is_not(None), *where.conditions(scope)).label(f"kept{number}")
        for number, where in enumerate(wheres)
    )
    return (
        select(table.c.id, *KIND_COLUMNS[table], *kept)
        .join_from(wanted, table, table.c.id == wanted.c.value)
        .where(table.c.org_id == scope.organization)
    )
