"""Many keys, one statement.

A question is a frozen dataclass: what is asked of each key, all arguments included. Equal questions share a loader, so
that all keys asked in one turn of the event loop are answered by one statement.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

from aiodataloader import DataLoader
from sqlalchemy import Column, Table

from gateway.database.engine import Database
from gateway.database.types import AnyRow, AnySelect
from gateway.reading import queries
from gateway.reading.filters import Filter
from gateway.reading.health import CallbackHealth
from gateway.reading.pages import Order, Page, Position, Slice
from gateway.reading.scope import Scope

A_co = TypeVar("A_co", covariant=True)


class Question(Protocol[A_co]):
    """Something that can be asked of many ids at once."""

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
        """The one statement that answers for all ids."""
        ...

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[A_co]:
        """One answer for each id, in the order of the ids."""
        ...


@dataclass(frozen=True, slots=True)
class RowById:
    """The row with that id, or None."""

    table: Table
    columns: frozenset[str]

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
        return queries.rows_by_id(scope, self.table, ids, self.columns)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows that `where` keeps and whose `parent` column is that id, in order, at most `first` of them."""

    parent: Column[str]
    columns: frozenset[str]
    order: Order
    first: int | None = None
    after: Position | None = None
    where: Filter | None = None

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
        return queries.rows_of_parents(
            scope, self.parent, ids, self.columns, self.order, self.first, self.after, self.where
        )

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[list[AnyRow]]:
        children: dict[str, list[AnyRow]] = {id_: [] for id_ in ids}
        for row in rows:
            children[row._mapping[self.parent.name]].append(row)
        return [children[id_] for id_ in ids]


@dataclass(frozen=True, slots=True)
class CountOf:
    """How many rows that `where` keeps have that id in their `parent` column."""

    parent: Column[str]
    where: Filter | None = None

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
        return queries.counts_of_parents(scope, self.parent, ids, self.where)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        counts: dict[str, int] = {row[0]: row[1] for row in rows}
        return [counts.get(id_, 0) for id_ in ids]


@dataclass(frozen=True, slots=True)
class HealthOf:
    """The worst health of the deliveries of the batch with that id."""

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
        return queries.health_of_batches(scope, ids)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[CallbackHealth]:
        found: dict[str, int] = {row[0]: row[1] for row in rows}
        return [CallbackHealth(found.get(id_, CallbackHealth.NONE)) for id_ in ids]


@dataclass(frozen=True, slots=True)
class NodeById:
    """The table and the row, its columns by name, that an id belongs to, or None."""

    columns: tuple[tuple[Table, frozenset[str]], ...]

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:
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
class PageOf:
    """A page of the organization's rows; the id that is asked is the organization's."""

    table: Table
    columns: frozenset[str]
    where: Filter | None
    order: Order
    asked: Slice

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:  # noqa: ARG002
        return queries.rows_in_order(scope, self.table, self.columns, self.where, self.order, self.asked)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[Page]:
        return [Page.of(self.asked, rows)] * len(ids)


@dataclass(frozen=True, slots=True)
class CountUpTo:
    """How many of the organization's rows `where` keeps, at most `limit` + 1; the id asked is the organization's."""

    table: Table
    where: Filter | None
    limit: int

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:  # noqa: ARG002
        return queries.count_up_to(scope, self.table, self.where, self.limit)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[int]:
        return [rows[0][0]] * len(ids)


@dataclass(frozen=True, slots=True)
class OrganizationOf:
    """The organization's own row, or None; the id that is asked is the organization's."""

    def statement(self, scope: Scope, ids: Sequence[str]) -> AnySelect:  # noqa: ARG002
        return queries.organization(scope)

    def answers(self, ids: Sequence[str], rows: Sequence[AnyRow]) -> Sequence[AnyRow | None]:
        return [rows[0] if rows else None] * len(ids)


class Reader:
    """Reads rows of one organization, for one request; `now` is the instant that the request calls now."""

    def __init__(
        self, database: Database, organization: str, now: datetime | None = None, *, sees_secrets: bool = False
    ) -> None:
        self.database = database
        self.scope = Scope(organization, now or datetime.now(UTC), sees_secrets)
        self._loaders: dict[Question[Any], DataLoader[str, Any]] = {}
        self._fetching: set[asyncio.Task[Any]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Stop what loaders still fetch, when nobody waits for it any more: their tasks are not the request's."""
        self._stopped = True
        for task in self._fetching:
            task.cancel()

    @property
    def organization(self) -> str:
        """The organization whose rows are read."""
        return self.scope.organization

    async def ask_many(self, question: Question[A_co], ids: Sequence[str]) -> Sequence[A_co]:
        """The answers for all ids, in their order, by one statement; none where there is no id."""
        if not ids:
            return []
        rows = await self.database.fetch(question.statement(self.scope, ids))
        return question.answers(ids, rows)

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
