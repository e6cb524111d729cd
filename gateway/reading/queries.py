"""Every SELECT of rows, as pure functions.

Each takes the scope first and carries its organization in the WHERE clause. `columns` are names of the table's columns,
or previews of these: what nobody asked for is not read.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Table, and_, func, literal_column, select

from gateway.database.dialects import (
    Ids,
    at_most,
    byte_length,
    first_bytes,
    first_of_each,
    ids_as_rows,
    is_one_of,
    limited,
    unindexed,
)
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import organizations
from gateway.database.types import AnySelect
from gateway.reading.filters import Filter
from gateway.reading.health import health
from gateway.reading.pages import Order, Position, Slice
from gateway.reading.previews import Preview, Wanted
from gateway.reading.visibility import Visibility


def rows_by_id(scope: Visibility, table: Table, ids: Ids, columns: Iterable[Wanted]) -> AnySelect:
    """The rows with these ids."""
    wanted = ids_as_rows(ids)
    return (
        select(*_pick(table, columns)).join_from(wanted, table, table.c.id == wanted.c.value).where(_ours(table, scope))
    )


def rows_of_parents(
    scope: Visibility,
    parent: Column[str],
    ids: Ids,
    columns: Iterable[Wanted],
    order: Order,
    first: int | None = None,
    after: Position | None = None,
    where: Filter | None = None,
) -> AnySelect:
    """The rows that `where` keeps with `parent` one of these ids: of each the `first`, `after` a position."""
    if first is None:
        return rows_of_all_parents(scope, parent, ids, columns, order, None, after, where)
    table = parent.table
    parents = ids_as_rows(ids)
    rows = (
        select(*_base(table, {*columns, parent.name, order.column}))
        .where(parent == parents.c.value, *_children(scope, table, order, after, where))
        .order_by(*order.by(table.c))
        .limit(at_most(first))
    )
    joined, child = first_of_each(parents, rows, "child")
    picked = _pick(child, {*columns, parent.name})
    return select(*picked).select_from(joined).order_by(*order.by(child.c))


def rows_of_all_parents(
    scope: Visibility,
    parent: Column[str],
    ids: Ids,
    columns: Iterable[Wanted],
    order: Order,
    most: int | None = None,
    after: Position | None = None,
    where: Filter | None = None,
) -> AnySelect:
    """The rows that `where` keeps with `parent` one of these ids, parent by parent; any `most` of them, if there are
    more.

    It takes half the time that the first of each parent take.
    """
    table = parent.table
    shown = {*columns, parent.name}
    rows = select(*_pick(table, {*shown, order.column})).where(
        is_one_of(parent, ids), *_children(scope, table, order, after, where)
    )
    child = limited(rows, most, before_order=True).subquery("child")
    picked = (child.c[str(column.key)] for column in _pick(table, shown))
    return limited(select(*picked).order_by(child.c[parent.name], *order.by(child.c)), most, before_order=False)


def counts_of_parents(scope: Visibility, parent: Column[str], ids: Ids, where: Filter | None = None) -> AnySelect:
    """How many rows of each of these parents `where` keeps, as `(parent id, count)`; parents without are left out."""
    table = parent.table
    parents = ids_as_rows(ids)
    return (
        select(parent, func.count().label("count"))
        .join_from(parents, table, parent == parents.c.value)
        .where(_ours(table, scope), *_conditions(where, scope))
        .group_by(parent)
    )


def health_of_batches(scope: Visibility, ids: Ids) -> AnySelect:
    """The worst health of each batch's deliveries, as `(batch id, number)`; batches without any are left out."""
    wanted = ids_as_rows(ids)
    return (
        select(deliveries.c.batch_id, func.max(health(scope)).label("health"))
        .join_from(wanted, deliveries, deliveries.c.batch_id == wanted.c.value)
        .where(_ours(deliveries, scope))
        .group_by(deliveries.c.batch_id)
    )


def nodes_by_id(scope: Visibility, ids: Ids, columns: Mapping[Table, Iterable[Wanted]]) -> AnySelect:
    """The rows with these ids, whichever of the tables they are in: each column labelled `<table>.<column>`."""
    wanted = ids_as_rows(ids)
    joined: Any = wanted
    picked: list[Any] = []
    for table, names in columns.items():
        joined = joined.outerjoin(table, and_(table.c.id == wanted.c.value, _ours(table, scope)))
        picked += [column.label(f"{table.name}.{column.name}") for column in _pick(table, names)]
    return select(*picked).select_from(joined)


def rows_in_order(
    scope: Visibility, table: Table, columns: Iterable[Wanted], where: Filter | None, order: Order, asked: Slice
) -> AnySelect:
    """The organization's rows that `where` keeps: a slice of them and one row more, read from the slice's start."""
    rows = select(*_pick(table, {*columns, order.column})).where(
        table.c.org_id == scope.organization, *_conditions(where, scope)
    )
    if asked.after is not None:
        rows = rows.where(order.beyond(table.c, asked.after))
    if asked.before is not None:
        rows = rows.where(order.beyond(table.c, asked.before, backwards=True))
    return rows.order_by(*order.by(table.c, backwards=asked.backwards)).limit(at_most(asked.size + 1))


def count_up_to(scope: Visibility, table: Table, where: Filter | None, limit: int) -> AnySelect:
    """How many of the organization's rows `where` keeps, counting no further than one beyond `limit`."""
    counted = (
        select(literal_column("1").label("one"))
        .select_from(table)
        .where(table.c.org_id == scope.organization, *_conditions(where, scope))
        .limit(at_most(limit + 1))
        .subquery("counted")
    )
    return select(func.count().label("count")).select_from(counted)


def organization(scope: Visibility) -> AnySelect:
    """The organization itself."""
    return select(organizations.c.id, organizations.c.name).where(organizations.c.id == scope.organization)


def _ours(table: FromClause, scope: Visibility) -> ColumnElement[bool]:
    """The organization's rows, where ids or parents pick them: an index by organization would be the long way."""
    return unindexed(table.c.org_id) == scope.organization


def _children(
    scope: Visibility, table: FromClause, order: Order, after: Position | None, where: Filter | None
) -> Iterable[ColumnElement[bool]]:
    """What holds for the rows of parents, whichever their parents are."""
    beyond = () if after is None else (order.beyond(table.c, after),)
    return (_ours(table, scope), *_conditions(where, scope), *beyond)


def _conditions(where: Filter | None, scope: Visibility) -> Iterable[ColumnElement[bool]]:
    return () if where is None else where.conditions(scope)


def _base(table: FromClause, names: Iterable[Wanted]) -> Sequence[ColumnElement[Any]]:
    """The columns that these names need, `id` always among them, in the table's order."""
    wanted = {"id", *(name.column if isinstance(name, Preview) else name for name in names)}
    return [column for column in table.c if column.name in wanted]


def _pick(table: FromClause, names: Iterable[Wanted]) -> Sequence[ColumnElement[Any]]:
    """The named columns and the previews, `id` always among them, in an order that is always the same."""
    whole = _base(table, (name for name in names if isinstance(name, str)))
    previews = sorted((name for name in names if isinstance(name, Preview)), key=lambda preview: preview.label)
    starts = [first_bytes(table.c[preview.column], preview.size).label(preview.label) for preview in previews]
    lengths = {preview.column: byte_length(table.c[preview.column]).label(preview.length_label) for preview in previews}
    return [*whole, *starts, *lengths.values()]
