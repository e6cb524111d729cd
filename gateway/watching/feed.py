"""The changes of one organization in one table, as one process finds them: a statement a second while anybody watches.

Each look reads the versions since `window` before the newest one that was seen, and tells of those that are new. So a
writer that commits within the window is heard, in whatever order. Every tenth look begins `WIDER` windows back, and
finds what came later still.
"""

import asyncio
import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.database.types import AnyRow
from gateway.errors import ClientError, CursorTooOld, SubscriberTooSlow
from gateway.observability.metrics import Metrics
from gateway.observability.record import RequestRecord, exchange
from gateway.reading.filters import Filter, IdFilter
from gateway.reading.reader import Reader
from gateway.settings import StreamSettings
from gateway.watching.change import Change, Moment, changed_at_of, kind_of
from gateway.watching.cursors import EPOCH, Cursor, binding_of, digests, encode, within
from gateway.watching.versions import BEFORE_ALL, ChangedRows, NewestChange, Stamp, Version, VersionsSince

logger = logging.getLogger(__name__)

WIDER = 12  # windows that every tenth look reads
WIDE_EVERY = 10
VERSIONS_AT_ONCE = 2_000  # versions in one statement
CATCH_UP = 10_000  # changes that a cursor may be behind
FILTERS_AT_ONCE = 25  # in one statement
IDS_AT_ONCE = 500
LONGEST_PAUSE = 5.0  # seconds between two looks at a database that does not answer

Selected = tuple[Filter | None, bool]
"""Which changes somebody wants: those that a filter keeps, for viewers who see secrets or do not."""


class Watcher:
    """Somebody who is told of changes, and takes them one after the other."""

    def __init__(self, backlog: int) -> None:
        self.waiting: deque[Change] = deque()
        self._backlog = backlog
        self._failure: ClientError | None = None
        self._wake: asyncio.Future[None] | None = None

    def tell(self, changes: Iterable[Change]) -> None:
        """Tell of changes. Whoever has not taken most of the last ones is told that it is too slow, and no more."""
        if len(self.waiting) > self._backlog:
            self.waiting.clear()
            self._failure = SubscriberTooSlow(
                "Changes come faster than they are taken: resume behind the last cursor, with a narrower filter."
            )
        elif self._failure is None:
            self.waiting.extend(changes)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def take(self) -> Change:
        """The next change, waited for; `SubscriberTooSlow`."""
        while not self.waiting:
            if self._failure is not None:
                raise self._failure
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self.waiting.popleft()


class Feed:
    """What changes in a table of an organization. `join` begins to look, `leave` ends it with the last watcher."""

    def __init__(
        self,
        database: Database,
        organization: str,
        table: Table,
        settings: StreamSettings,
        metrics: Metrics | None = None,
    ) -> None:
        self.database = database
        self.organization = organization
        self.table = table
        self.settings = settings
        self.metrics = metrics
        self.binding = binding_of(organization, table.name)
        self._window = timedelta(seconds=settings.watch_window_seconds)
        self._lock = asyncio.Lock()
        self._seen: dict[str, Version] = {}
        self._newest: datetime | None = None
        self._since = EPOCH  # what is older was seen, and is forgotten
        self._looked_at = float("-inf")
        self._watchers: dict[Selected, set[Watcher]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._moment: Moment | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody watches."""
        return not self._watchers

    @property
    def is_used(self) -> bool:
        """Whether somebody watches, or is about to."""
        return bool(self._watchers) or self._lock.locked()

    async def join(self, watcher: Watcher, selected: Selected, after: Cursor | None) -> None:
        """Tell a watcher what changes from now on, or behind a cursor. `CursorTooOld`, `Unavailable`."""
        asked_at = asyncio.get_running_loop().time()
        async with self._lock:
            if self._looking is None:
                await self._begin()
            elif self._looked_at < asked_at:
                await self._look(wide=False)
            if after is not None:
                await self._catch_up(watcher, selected, after)
            self._watchers.setdefault(selected, set()).add(watcher)
            if self._looking is None:
                # In a context of its own: what it reads is of no single request.
                context = Context()
                context.run(exchange.set, RequestRecord(metrics=self.metrics))
                self._looking = asyncio.create_task(self._go_on(), context=context)

    @property
    def cursor(self) -> str:
        """The place behind all that was seen by now."""
        floor, seen = within(sorted(self._seen.values()), self._floor(1))
        return encode(self.binding, floor, digests(seen))

    def leave(self, watcher: Watcher, selected: Selected) -> None:
        """Tell a watcher no more."""
        watchers = self._watchers.get(selected, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(selected, None)
        if self.is_idle and self._looking is not None:
            self._looking.cancel()
            self._looking = None
            if self._moment is not None:
                self._moment.is_wanted = False

    async def _go_on(self) -> None:
        pause, looks = self.settings.watch_seconds, 0
        while True:
            await asyncio.sleep(pause)
            looks += 1
            try:
                async with self._lock:
                    await self._look(wide=looks % WIDE_EVERY == 0)
                pause = self.settings.watch_seconds
            except ClientError as reason:
                if pause == self.settings.watch_seconds:
                    logger.warning("watching pauses: %s", reason.message)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                logger.exception("watching fails, and goes on")
                pause = LONGEST_PAUSE

    async def _begin(self) -> None:
        """See what there is, and tell nobody."""
        self._seen = {}
        reader = self._reader()
        (self._newest,) = await reader.fetch(NewestChange(self.table), [self.organization])
        self._since = self._floor(WIDER)
        self._looked_at = asyncio.get_running_loop().time()
        self._see(Version.of(*stamp) for stamp in await self._stamps(reader, self._since))

    def _floor(self, windows: int) -> datetime:
        """So many windows before the newest version, or before now, where that is in the future."""
        if self._newest is None:
            return EPOCH
        return max(min(self._newest, datetime.now(UTC)) - windows * self._window, EPOCH)

    def _see(self, versions: Iterable[Version]) -> None:
        for version in versions:
            self._seen[version.id] = version
            if self._newest is None or version.changed_at > self._newest:
                self._newest = version.changed_at

    async def _look(self, *, wide: bool) -> None:
        """Find what is new, and tell of it."""
        looked_at = asyncio.get_running_loop().time()
        reader = self._reader()
        floor = self._floor(1)
        found = await self._stamps(reader, self._floor(WIDER) if wide else floor)
        new = [Version.of(*stamp) for stamp in found if not self._has_seen(stamp)]
        if new:
            await self._tell(reader, floor, new)
        if wide:
            self._since = max(self._since, self._floor(WIDER))
            self._seen = {id_: seen for id_, seen in self._seen.items() if seen.changed_at >= self._since}
        self._looked_at = looked_at

    async def _tell(self, reader: Reader, floor: datetime, new: Sequence[Version]) -> None:
        rows, kept = await self._rows(reader, [version.id for version in new], self._watchers)
        floor, before = within(sorted(self._seen.values()), floor)
        known = digests(before)
        moment = self._moment = Moment(reader)
        changes: dict[str, Change] = {}
        for version in new:
            row = rows[version.id]
            if row is None:  # deleted meanwhile
                self._see([version])
                continue
            current = (
                version if (changed_at := changed_at_of(row)) == version.changed_at else Version.of(changed_at, row.id)
            )
            if current < version:  # a replica that is behind the one which told of it: the next look finds it
                continue
            self._see([current])
            known += current.digest
            changes[row.id] = Change(current, kind_of(row), moment, self.binding, floor, known)
        if self.metrics is not None:
            now = datetime.now(UTC)
            for change in changes.values():
                self.metrics.change((now - change.changed_at).total_seconds())
        for selected, ids in kept.items():
            told = [change for id_, change in changes.items() if id_ in ids]
            for watcher in self._watchers.get(selected, ()) if told else ():
                watcher.tell(told)

    async def _catch_up(self, watcher: Watcher, selected: Selected, after: Cursor) -> None:
        """Tell a watcher what changed behind its cursor, as far as it was seen here; the rest is still to be told."""
        reader = self._reader()
        versions = [Version.of(*stamp) for stamp in await self._stamps(reader, after.floor, CATCH_UP + 1)]
        missed = [
            version
            for version in versions
            if version.digest not in after.known and (version.changed_at < self._since or self._has_seen(version[:2]))
        ]
        if len(versions) > CATCH_UP:
            raise CursorTooOld(f"More than {CATCH_UP} changes are behind this cursor: read the list, and begin anew.")
        rows, kept = await self._rows(reader, [version.id for version in missed], [selected])
        moment = Moment(reader)
        had = [version for version in versions if version.digest in after.known]
        for number, version in enumerate(missed):
            row = rows[version.id]
            if row is None or version.id not in kept[selected]:
                continue
            floor = max(after.floor, version.changed_at - self._window)
            told = missed[bisect_left(missed, (floor,)) : number + 1]
            floor, known = within(sorted([*had[bisect_left(had, (floor,)) :], *told]), floor)
            watcher.waiting.append(Change(version, kind_of(row), moment, self.binding, floor, digests(known)))

    def _has_seen(self, stamp: Stamp) -> bool:
        seen = self._seen.get(stamp[1])
        return seen is not None and seen.changed_at == stamp[0]

    async def _stamps(self, reader: Reader, floor: datetime, most: int | None = None) -> list[Stamp]:
        """When rows changed since a time, in that order: the first of them, where there is a `most`."""
        found: list[Stamp] = []
        after: tuple[Any, str] = (floor, BEFORE_ALL)
        while True:
            (page,) = await reader.fetch(VersionsSince(self.table, after, VERSIONS_AT_ONCE), [self.organization])
            found += page
            if len(page) < VERSIONS_AT_ONCE or (most is not None and len(found) >= most):
                return found
            after = page[-1]

    async def _rows(
        self, reader: Reader, ids: Sequence[str], wanted: Iterable[Selected]
    ) -> tuple[Mapping[str, AnyRow | None], Mapping[Selected, set[str]]]:
        """The rows of changes, and which of them each selection keeps: one statement for many filters and rows."""
        rows: dict[str, AnyRow | None] = {}
        kept: dict[Selected, set[str]] = {selected: set() for selected in wanted}
        for where, secrets in kept:
            if (only := _all_that_is_kept(where, ids)) is not None:
                kept[where, secrets] |= only
        for chunk in _chunks(ids, IDS_AT_ONCE):
            for sees_secrets in (False, True):
                filters = [
                    where
                    for where, secrets in kept
                    if where is not None and secrets is sees_secrets and _all_that_is_kept(where, ()) is None
                ]
                for wheres in _chunks(filters, FILTERS_AT_ONCE):
                    question = ChangedRows(self.table, tuple(wheres))
                    found = await reader.for_viewers(sees_secrets=sees_secrets).fetch(question, chunk)
                    rows.update(zip(chunk, found, strict=True))
                    for number, where in enumerate(wheres):
                        kept[where, sees_secrets] |= {
                            row.id for row in found if row is not None and row._mapping[f"kept{number}"]
                        }
            if any(id_ not in rows for id_ in chunk):
                rows.update(zip(chunk, await reader.fetch(ChangedRows(self.table, ()), chunk), strict=True))
        return rows, kept

    def _reader(self) -> Reader:
        return Reader(self.database, self.organization)


def _all_that_is_kept(where: Filter | None, ids: Sequence[str]) -> set[str] | None:
    """Which ids a filter keeps that names nothing, or one id and nothing else: no statement is needed to tell."""
    if where is None:
        return set(ids)
    only: IdFilter | None = getattr(where, "id", None)
    if only is None or only.eq is None or where != type(where)(id=IdFilter(eq=only.eq)):  # type: ignore[call-arg]
        return None
    return {id_ for id_ in ids if id_ == only.eq}


def _chunks(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))
