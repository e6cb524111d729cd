"""One change, as all who watch it share it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar, cast

from gateway.database.types import AnyRow
from gateway.reading.reader import Reader
from gateway.watching.cursors import encode
from gateway.watching.versions import Version

T = TypeVar("T")

AT_ONCE = timedelta(seconds=1)  # between the times that one write sets, each by a clock's reading of its own


class ChangeKind(Enum):
    """What happened to a row."""

    CREATED = "created"
    CHANGED = "changed"
    COMPLETED = "completed"


class Moment:
    """When changes were found together: one reader for all viewers who see secrets, one for the others."""

    def __init__(self, reader: Reader) -> None:
        self.is_wanted = True
        self._readers = {reader.scope.sees_secrets: reader}
        self._first = reader

    def reader(self, *, sees_secrets: bool) -> Reader:
        """The reader that reads as of this moment for viewers who see secrets, or who do not."""
        found = self._readers.get(sees_secrets)
        if found is None:
            found = self._readers[sees_secrets] = self._first.for_viewers(sees_secrets=sees_secrets)
        return found

    def start_over(self) -> None:
        """Forget what was read, where reading failed."""
        for reader in self._readers.values():
            reader.start_over()


class Change:
    """A new version of a row, of which `row` holds the id. `cursor` is the place behind it; `shared` makes things of it
    once for all who want them."""

    __slots__ = ("_digests", "_floor", "binding", "change", "changed_at", "made", "moment", "row")

    def __init__(
        self, version: Version, change: ChangeKind, moment: Moment, binding: bytes, floor: datetime, digests: bytes
    ) -> None:
        self.row = {"id": version.id}
        self.changed_at = version.changed_at
        self.change = change
        self.moment = moment
        self.binding = binding
        self._floor = floor
        self._digests = digests
        self.made: dict[Hashable, asyncio.Task[Any]] = {}

    @property
    def cursor(self) -> str:
        """Pass it as `after`, and what follows this change comes."""
        return encode(self.binding, self._floor, self._digests)

    def shared(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        """What `make` makes, which is the same for all who name that key: it is made once, and must not raise."""
        task = self.made.get(key)
        if task is None:
            task = self.made[key] = asyncio.create_task(make())
        return cast("Awaitable[T]", asyncio.shield(task))


def changed_at_of(row: AnyRow) -> datetime:
    """When a row changed last, by what it says of itself."""
    changed_at: datetime = row._mapping.get("updated_at") or row.created_at
    return changed_at


def kind_of(row: AnyRow) -> ChangeKind:
    """What happened to a row last, by what it says of itself."""
    told = row._mapping
    changed_at = changed_at_of(row)
    completed_at = told.get("completed_at")
    if completed_at is not None and changed_at - completed_at <= AT_ONCE:
        return ChangeKind.COMPLETED
    is_new = changed_at - row.created_at <= AT_ONCE and not told.get("attempt_count")
    return ChangeKind.CREATED if is_new else ChangeKind.CHANGED
