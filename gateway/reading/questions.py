"""What the read path can be asked: one statement for many ids, as values.

A question is a frozen dataclass: what is asked of each id, all arguments included. Equal questions share a loader, so
that all ids asked in one turn of the event loop are answered by one statement. `Question.parameterised` splits one into
its shape and its values: questions of one shape share a compiled statement, with the organization, the instant, the
ids, the positions and the values of filters as parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import eq, itemgetter
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Column, Table

from gateway.database.dialects import Ids
from gateway.database.statements import CompiledStatement
from gateway.database.types import AnyRow, AnySelect
from gateway.reading import queries
from gateway.reading.filters import Filter, FilterValues
from gateway.reading.health import CallbackHealth
from gateway.reading.pages import Order, Page, Position, Slice, parameters
from gateway.reading.previews import Wanted
from gateway.reading.visibility import Visibility

A_co = TypeVar("A_co", covariant=True)
F = TypeVar("F", bound=Filter)

SMALL_FIRST = 10  # children of each parent: where fewer are wanted, only these are read


class Question(Generic[A_co]):
    """Something that can be asked of many ids at once."""

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        """The one statement that answers for all ids."""
        raise NotImplementedError

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[A_co]:
        """One answer for each id, in the order of the ids."""
        raise NotImplementedError

    def parameterised(self, scope: Visibility) -> tuple["Question[A_co]", FilterValues]:
        """The shape: the same question with parameters in the place of values; and the values by the parameters' names.

        `PermissionDenied` where the viewer may not ask for it.
        """
        return self, {}

    def batched(self, ids: int) -> "BatchedRows | None":
        """A question of so many ids that costs less, and whose rows hold the answers, unless there are many more."""
        return None


def parameterised(where: F | None, scope: Visibility) -> tuple[F | None, FilterValues]:
    """The shape of a filter and its values; of none, none."""
    return (None, {}) if where is None else where.parameterised(scope)  # type: ignore[return-value]


class FilteredQuestion(Question[A_co]):
    """A dataclass, a question about the rows that its filter `where` keeps: its only values are the filter's."""

    where: Filter | None

    def parameterised(self, scope: Visibility) -> tuple["Question[A_co]", FilterValues]:
        where, values = parameterised(self.where, scope)
        return replace(cast("Any", self), where=where), values


@dataclass(frozen=True, slots=True)
class RowById(Question[AnyRow | None]):
    """The row with that id, or None."""

    table: Table
    columns: frozenset[Wanted]

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.rows_by_id(scope, self.table, ids, self.columns)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]


@dataclass(frozen=True, slots=True)
class RowsOf(Question[list[AnyRow]]):
    """The rows that `where` keeps and whose `parent` column is that id, in order, at most `first` of them."""

    parent: Column[str]
    columns: frozenset[Wanted]
    order: Order
    first: int | None = None
    after: Position | None = None
    where: Filter | None = None

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.rows_of_parents(
            scope, self.parent, ids, self.columns, self.order, self.first, self.after, self.where
        )

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[AnyRow]]:
        children: dict[str, list[AnyRow]] = {id_: [] for id_ in ids}
        for row in rows:
            children[row._mapping[self.parent.name]].append(row)
        return [children[id_] for id_ in ids]

    def parameterised(self, scope: Visibility) -> tuple["RowsOf", FilterValues]:
        after, position = parameters("after", self.after, self.parent.table.c[self.order.column])
        where, values = parameterised(self.where, scope)
        if not position and not values:
            return self, {}
        return replace(self, after=after, where=where), {**position, **values}

    def batched(self, ids: int) -> "BatchedRows | None":
        if self.first is None or self.first < SMALL_FIRST or ids == 1:
            return None
        return BatchedRows(self, self.first << ids.bit_length())  # more than is wanted, and few different ones


@dataclass(frozen=True, slots=True)
class BatchedRows(Question[list[AnyRow]]):
    """The rows of all parents, of which `of` wants the first of each; any `most` of them, if there are more.

    Parents with many children are rare, and asking for the first of each takes twice the time.
    """

    of: RowsOf
    most: int

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        of = self.of
        return queries.rows_of_all_parents(scope, of.parent, ids, of.columns, of.order, self.most, of.after, of.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[AnyRow]]:
        return self.of.answers(ids, rows)

    def first_of_each(self, prepared: CompiledStatement, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows that `of` wants, out of all of them, which stand parent by parent."""
        first = cast("int", self.of.first)
        if len(rows) <= first:
            return rows
        parents = list(map(itemgetter(prepared.names.index(self.of.parent.name)), rows))
        if not any(map(eq, parents, parents[first:])):
            return rows
        runs = (list(run) for _, run in groupby(zip(parents, rows, strict=True), itemgetter(0)))
        return [row for run in runs for _, row in run[:first]]


@dataclass(frozen=True, slots=True)
class CountOf(FilteredQuestion[int]):
    """How many rows that `where` keeps have that id in their `parent` column."""

    parent: Column[str]
    where: Filter | None = None

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.counts_of_parents(scope, self.parent, ids, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        counts: dict[str, int] = {row[0]: row[1] for row in rows}
        return [counts.get(id_, 0) for id_ in ids]


@dataclass(frozen=True, slots=True)
class HealthOf(Question[CallbackHealth]):
    """The worst health of the deliveries of the batch with that id."""

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.health_of_batches(scope, ids)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[CallbackHealth]:
        found: dict[str, int] = {row[0]: row[1] for row in rows}
        return [CallbackHealth(found.get(id_, CallbackHealth.NONE)) for id_ in ids]


@dataclass(frozen=True, slots=True)
class NodeById(Question[tuple[Table, Mapping[str, Any]] | None]):
    """The table and the row, its columns by name, that an id belongs to, or None."""

    columns: tuple[tuple[Table, frozenset[Wanted]], ...]

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.nodes_by_id(scope, ids, dict(self.columns))

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[tuple[Table, Mapping[str, Any]] | None]:
        found: dict[str, tuple[Table, Mapping[str, Any]]] = {}
        for row in rows:
            values = row._mapping
            for table, _ in self.columns:
                if (id_ := values[f"{table.name}.id"]) is not None:
                    prefix = f"{table.name}."
                    found[id_] = table, {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        return [found.get(id_) for id_ in ids]


@dataclass(frozen=True, slots=True)
class PageOf(Question[Page]):
    """A page of the organization's rows; the id that is asked is the organization's."""

    table: Table
    columns: frozenset[Wanted]
    where: Filter | None
    order: Order
    asked: Slice

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.rows_in_order(scope, self.table, self.columns, self.where, self.order, self.asked)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[Page]:
        return [Page.of(self.asked, rows)] * len(ids)

    def parameterised(self, scope: Visibility) -> tuple["PageOf", FilterValues]:
        column = self.table.c[self.order.column]
        after, after_values = parameters("after", self.asked.after, column)
        before, before_values = parameters("before", self.asked.before, column)
        where, values = parameterised(self.where, scope)
        if not (values := {**after_values, **before_values, **values}):
            return self, values
        asked = Slice(self.asked.size, self.asked.backwards, after, before)
        return PageOf(self.table, self.columns, where, self.order, asked), values


@dataclass(frozen=True, slots=True)
class CountUpTo(FilteredQuestion[int]):
    """How many of the organization's rows `where` keeps, at most `limit` + 1; the id asked is the organization's."""

    table: Table
    where: Filter | None
    limit: int

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.count_up_to(scope, self.table, self.where, self.limit)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        return [rows[0][0]] * len(ids)


@dataclass(frozen=True, slots=True)
class OrganizationOf(Question[AnyRow | None]):
    """The organization's own row, or None; the id that is asked is the organization's."""

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.organization(scope)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        return [rows[0] if rows else None] * len(ids)
