"""Many keys, one statement.

A question is a frozen dataclass: what is asked of each key, all arguments included. Equal questions share a loader, so
that all keys asked in one turn of the event loop are answered by one statement; and they share the statement itself,
which is compiled once for each database, with the organization, the instant, the ids and the positions as parameters.
"""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from operator import eq, itemgetter
from typing import Any, Generic, Protocol, TypeVar, cast

from aiodataloader import DataLoader
from sqlalchemy import BindParameter, Column, Table, bindparam
from sqlalchemy.engine import Dialect

from gateway.database.dialects import Ids, Texts
from gateway.database.engine import Database
from gateway.database.lately import Lately
from gateway.database.statements import CompiledStatement
from gateway.database.types import AnyRow, AnySelect, Id, UtcDateTime
from gateway.reading import queries
from gateway.reading.filters import Filter
from gateway.reading.health import CallbackHealth
from gateway.reading.pages import Order, Page, Position, Slice, parameters
from gateway.reading.visibility import Visibility

A_co = TypeVar("A_co", covariant=True)

STATEMENTS = 2_000  # that a process keeps compiled, each a few kilobytes
ORGANIZATION: Any = bindparam("organization", type_=Id())
NOW: Any = bindparam("now", type_=UtcDateTime())
IDS: BindParameter[list[str]] = bindparam("ids", type_=Texts())
SMALL_FIRST = 10  # children of each parent: fewer are asked for where there are more
KNOWN_LARGE: Lately["BatchedRows"] = Lately(size=1_000, seconds=10.0)
"""Questions whose parents have many children."""


class Question(Generic[A_co]):
    """Something that can be asked of many ids at once."""

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        """The one statement that answers for all ids."""
        raise NotImplementedError

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[A_co]:
        """One answer for each id, in the order of the ids."""
        raise NotImplementedError

    def split(self) -> tuple["Question[A_co]", Mapping[str, Any]]:
        """The same question with parameters in the place of what hardly two requests share, and the values of these."""
        return self, {}

    def batched(self, ids: int) -> "BatchedRows | None":  # noqa: ARG002
        """A question of so many ids that costs less, and whose rows hold the answers, unless there are many more."""
        return None


@dataclass(frozen=True, slots=True)
class RowById(Question[AnyRow | None]):
    """The row with that id, or None."""

    table: Table
    columns: frozenset[str]

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:
        return queries.rows_by_id(scope, self.table, ids, self.columns)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]


@dataclass(frozen=True, slots=True)
class RowsOf(Question[list[AnyRow]]):
    """The rows that `where` keeps and whose `parent` column is that id, in order, at most `first` of them."""

    parent: Column[str]
    columns: frozenset[str]
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

    def split(self) -> tuple["RowsOf", Mapping[str, Any]]:
        after, values = parameters("after", self.after, self.parent.table.c[self.order.column])
        return replace(self, after=after) if values else self, values

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
class CountOf(Question[int]):
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

    columns: tuple[tuple[Table, frozenset[str]], ...]

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
    columns: frozenset[str]
    where: Filter | None
    order: Order
    asked: Slice

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:  # noqa: ARG002
        return queries.rows_in_order(scope, self.table, self.columns, self.where, self.order, self.asked)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[Page]:
        return [Page.of(self.asked, rows)] * len(ids)

    def split(self) -> tuple["PageOf", Mapping[str, Any]]:
        column = self.table.c[self.order.column]
        after, after_values = parameters("after", self.asked.after, column)
        before, before_values = parameters("before", self.asked.before, column)
        if not (values := {**after_values, **before_values}):
            return self, values
        asked = Slice(self.asked.size, self.asked.backwards, after, before)
        return PageOf(self.table, self.columns, self.where, self.order, asked), values


@dataclass(frozen=True, slots=True)
class CountUpTo(Question[int]):
    """How many of the organization's rows `where` keeps, at most `limit` + 1; the id asked is the organization's."""

    table: Table
    where: Filter | None
    limit: int

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:  # noqa: ARG002
        return queries.count_up_to(scope, self.table, self.where, self.limit)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        return [rows[0][0]] * len(ids)


@dataclass(frozen=True, slots=True)
class OrganizationOf(Question[AnyRow | None]):
    """The organization's own row, or None; the id that is asked is the organization's."""

    def statement(self, scope: Visibility, ids: Ids) -> AnySelect:  # noqa: ARG002
        return queries.organization(scope)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        return [rows[0] if rows else None] * len(ids)


@lru_cache(maxsize=STATEMENTS)
def prepared_for(question: Any, sees_secrets: bool, dialect: Dialect) -> CompiledStatement:
    """The statement of a question that was split."""
    return CompiledStatement(question.statement(Visibility(ORGANIZATION, NOW, sees_secrets), IDS), dialect)


class Shortcut(Protocol):
    """Knows another way to answer some questions than their statement."""

    async def answer(self, reader: "Reader", question: Question[A_co]) -> A_co | None:
        """What the statement would answer for the reader's organization; None where there is no other way."""
        ...

    async def known_until(self, reader: "Reader", where: Filter | None) -> datetime:
        """All that happened before this instant is in the answers to statistics with this filter."""
        ...


class Reader:
    """Reads rows of one organization, for one request; `now` is the instant that the request calls now.

    `statements` is how many it has run. What the `shortcut` answers is asked by it.
    """

    def __init__(
        self,
        database: Database,
        organization: str,
        now: datetime | None = None,
        *,
        sees_secrets: bool = False,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.database = database
        self.scope = Visibility(organization, now or datetime.now(UTC), sees_secrets)
        self.shortcut = shortcut
        self._loaders: dict[Question[Any], DataLoader[str, Any]] = {}
        self._fetching: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self.statements = 0

    def stop(self) -> None:
        """Stop what loaders still fetch, when nobody waits for it any more: their tasks are not the request's."""
        self._stopped = True
        for task in self._fetching:
            task.cancel()

    def start_over(self) -> None:
        """Forget what was asked, when another way of asking begins."""
        for task in self._fetching:
            task.cancel()
        self._loaders = {}

    @property
    def organization(self) -> str:
        """The organization whose rows are read."""
        return self.scope.organization

    async def ask_many(self, question: Question[A_co], ids: Sequence[str]) -> Sequence[A_co]:
        """The answers for all ids, in their order, by one statement; none where there is no id."""
        if not ids:
            return []
        if self.shortcut is not None and (known := await self.shortcut.answer(self, question)) is not None:
            return [known] * len(ids)
        prepared, rows = await self.read(question, ids)
        return question.answers(ids, prepared.rows(rows))

    async def read(
        self, question: Question[Any], ids: Sequence[str]
    ) -> tuple[CompiledStatement, Sequence[Sequence[Any]]]:
        """A statement that answers a question, and its rows as the driver returns them."""
        asked, values = question.split()
        batched = asked.batched(len(ids))
        if batched is not None and batched not in KNOWN_LARGE:
            prepared, rows = await self._run(batched, values, ids)
            if len(rows) < batched.most:
                return prepared, batched.first_of_each(prepared, rows)
            KNOWN_LARGE.note(batched)
        return await self._run(asked, values, ids)

    async def _run(
        self, asked: Question[Any], values: Mapping[str, Any], ids: Sequence[str]
    ) -> tuple[CompiledStatement, Sequence[Sequence[Any]]]:
        prepared = prepared_for(cast("Hashable", asked), self.scope.sees_secrets, self.database.engine.dialect)
        self.statements += 1
        rows = await self.database.run(
            prepared, {"organization": self.scope.organization, "now": self.scope.now, "ids": ids, **values}
        )
        return prepared, rows

    async def known_until(self, where: Filter | None) -> datetime:
        """All that happened before this instant is in the answers to statistics with this filter."""
        return self.scope.now if self.shortcut is None else await self.shortcut.known_until(self, where)

    async def ask_organization(self, question: Question[A_co]) -> A_co:
        """The answer for the reader's organization as a whole; the same question is asked once."""
        return await self.ask(question, self.scope.organization)

    async def ask(self, question: Question[A_co], id_: str) -> A_co:
        """The answer for one id, fetched together with all others that are asked the same question meanwhile."""
        loader = self._loaders.get(question)
        if loader is None:

            async def answer(ids: list[str]) -> list[A_co]:
                if self._stopped:
                    raise asyncio.CancelledError
                if (task := asyncio.current_task()) is not None:
                    self._fetching.add(task)
                    task.add_done_callback(self._fetching.discard)
                return list(await self.ask_many(question, ids))

            loader = self._loaders[question] = DataLoader(answer)
        return cast("A_co", await loader.load(id_))
