"""Everybody who watches, in one process."""

from typing import Self

from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.observability.metrics import Metrics
from gateway.reading.filters import Filter, unless_empty
from gateway.reading.questions import parameterised
from gateway.reading.visibility import Visibility
from gateway.settings import StreamSettings
from gateway.watching.change import Change
from gateway.watching.cursors import Cursor
from gateway.watching.feed import Feed, Selected, Watcher

WATCH_DEFAULTS = StreamSettings()


class Watch:
    """The changes that one watcher is told of, one after the other. `aclose` ends it, begun or not.

    It begins behind `cursor`.
    """

    def __init__(self, feed: Feed, watcher: Watcher, selected: Selected, cursor: str) -> None:
        self.cursor = cursor
        self._feed = feed
        self._watcher = watcher
        self._selected = selected

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        return await self._watcher.take()

    async def aclose(self) -> None:
        """Watch no more."""
        self._feed.leave(self._watcher, self._selected)


class Watching:
    """The feeds of a process: one for each table of an organization that somebody watches."""

    def __init__(
        self, database: Database, settings: StreamSettings = WATCH_DEFAULTS, metrics: Metrics | None = None
    ) -> None:
        self.database = database
        self.settings = settings
        self.metrics = metrics
        self._feeds: dict[tuple[str, Table], Feed] = {}

    def __len__(self) -> int:
        """How many tables of organizations are watched."""
        return sum(not feed.is_idle for feed in self._feeds.values())

    async def watch(self, scope: Visibility, table: Table, where: Filter | None, after: str | None) -> Watch:
        """The changes of the rows that a filter keeps, behind a cursor or from now on, until it is closed.

        `BadCursor`, `CursorTooOld`, `PermissionDenied` for the filter, and `Unavailable`.
        """
        where = unless_empty(where)
        parameterised(where, scope)
        self._feeds = {key: feed for key, feed in self._feeds.items() if feed.is_used}
        feed = self._feeds.setdefault(
            (scope.organization, table),
            Feed(self.database, scope.organization, table, self.settings, self.metrics),
        )
        cursor = None if after is None else Cursor.decode(after, feed.binding)
        watcher, selected = Watcher(self.settings.stream_backlog), (where, scope.sees_secrets)
        await feed.join(watcher, selected, cursor)
        return Watch(feed, watcher, selected, feed.cursor if after is None else after)
