"""Reads the rows of one organization, for one request: many ids, one statement."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

from aiodataloader import DataLoader
from sqlalchemy import BindParameter, bindparam

from gateway.database.dialects import Texts
from gateway.database.engine import Database
from gateway.database.replicas import Affinity
from gateway.database.statements import CompiledStatement
from gateway.database.types import Id, UtcDateTime
from gateway.reading.filters import Filter, FilterValues
from gateway.reading.questions import Question
from gateway.reading.visibility import Visibility

A_co = TypeVar("A_co", covariant=True)

ORGANIZATION: Any = bindparam("organization", type_=Id())
NOW: Any = bindparam("now", type_=UtcDateTime())
IDS: BindParameter[list[str]] = bindparam("ids", type_=Texts())


class Shortcut(Protocol):
    """Another way to answer some questions than by their statement."""

    async def answer(self, reader: "Reader", question: Question[A_co]) -> A_co | None:
        """What the statement would answer for the reader's organization; None where there is no other way."""
        ...

    async def known_until(self, reader: "Reader", where: Filter | None) -> datetime:
        """All that happened before this instant is in the answers to statistics with this filter."""
        ...


class Reader:
    """Reads rows of one organization, for one request; `now` is the instant that the request calls now.

    Where the database has replicas, all reads go to one of them, so that a parent and its children are of one time; a
    `newest` reader asks the primary instead, and finds what its own request has written. `statements` counts those
    that it has run. What the `shortcut` can answer is asked of that first.
    """

    def __init__(
        self,
        database: Database,
        organization: str,
        now: datetime | None = None,
        *,
        sees_secrets: bool = False,
        newest: bool = False,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.database = database
        self.scope = Visibility(organization, now or datetime.now(UTC), sees_secrets)
        self.newest = newest
        self.shortcut = shortcut
        self._affinity = Affinity()
        self._loaders: dict[Question[Any], DataLoader[str, Any]] = {}
        self._fetching: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self.statements = 0

    def for_viewers(self, *, sees_secrets: bool) -> "Reader":
        """The reader that reads the same for viewers who see secrets, or who do not."""
        if sees_secrets is self.scope.sees_secrets:
            return self
        database, scope = self.database, self.scope
        other = Reader(database, scope.organization, scope.now, sees_secrets=sees_secrets, newest=self.newest)
        other._affinity = self._affinity
        return other

    @property
    def organization(self) -> str:
        """The organization whose rows are read."""
        return self.scope.organization

    async def load(self, question: Question[A_co], id_: str | None = None) -> A_co:
        """The answer for one id, or for the organization as a whole.

        It is fetched together with all others that are asked the same question in the same turn of the event loop.
        """
        loader = self._loaders.get(question)
        if loader is None:

            async def answer(ids: list[str]) -> list[A_co]:
                if self._stopped:
                    raise asyncio.CancelledError
                if (task := asyncio.current_task()) is not None:
                    self._fetching.add(task)
                    task.add_done_callback(self._fetching.discard)
                return list(await self.fetch(question, ids))

            loader = self._loaders[question] = DataLoader(answer)
        return cast("A_co", await loader.load(self.scope.organization if id_ is None else id_))

    async def fetch(self, question: Question[A_co], ids: Sequence[str]) -> Sequence[A_co]:
        """The answers for all ids, in their order, by one statement; none where there is no id."""
        if not ids:
            return []
        if self.shortcut is not None and (known := await self.shortcut.answer(self, question)) is not None:
            return [known] * len(ids)
        statement, rows = await self.fetch_columns(question, ids)
        return question.answers(ids, statement.rows(rows))

    async def fetch_columns(
        self, question: Question[Any], ids: Sequence[str]
    ) -> tuple[CompiledStatement, Sequence[Sequence[Any]]]:
        """A statement that answers a question, and its rows as the driver returns them."""
        shape, values = question.parameterised(self.scope)
        batched = shape.batched(len(ids))
        if batched is not None and batched not in self.database.known_large:
            statement, rows = await self._run(batched, values, ids)
            if len(rows) < batched.most:
                return statement, batched.first_of_each(statement, rows)
            self.database.known_large[batched] = True
        return await self._run(shape, values, ids)

    async def known_until(self, where: Filter | None) -> datetime:
        """All that happened before this instant is in the answers to statistics with this filter."""
        return self.scope.now if self.shortcut is None else await self.shortcut.known_until(self, where)

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

    async def _run(
        self, shape: Question[Any], values: FilterValues, ids: Sequence[str]
    ) -> tuple[CompiledStatement, Sequence[Sequence[Any]]]:
        sees_secrets = self.scope.sees_secrets
        statement = self.database.compiled(
            (shape, sees_secrets), lambda: shape.statement(Visibility(ORGANIZATION, NOW, sees_secrets), IDS)
        )
        self.statements += 1
        given = {"organization": self.scope.organization, "now": self.scope.now, "ids": ids, **values}
        rows = await self.database.run(statement, given, self._affinity, newest=self.newest)
        return statement, rows
