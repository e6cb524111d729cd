"""What every resolver of one request shares."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import strawberry
from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.errors import Unauthorized
from gateway.platform.bulk import BulkRedeliveries
from gateway.platform.redelivery import Redeliveries
from gateway.reading.filters import Filter
from gateway.reading.masking import Allowance, TextMask
from gateway.reading.reader import Reader, Shortcut
from gateway.signing import Signer
from gateway.viewer import READ_SECRETS, Viewer
from gateway.watching.watch import Watch, Watching


class Links(msgspec.Struct, frozen=True):
    """What signs links to exports, and for how many seconds they open one."""

    signer: Signer
    seconds: float


class Acting(msgspec.Struct, frozen=True):
    """What the viewer may have the platform do, one callback at a time and many."""

    one: Redeliveries
    many: BulkRedeliveries


class Context(msgspec.Struct, frozen=True):
    """Who asks, and the reader of their organization. Both None where a request without a credential is let in.

    `writes` is true while a mutation is executed, which may be `acting`. Subscriptions watch by `watching`; a client
    that takes up a stream where it was cut says in `last_seen` which event was the last. `allowance` is
    how much is still masked on the event loop.
    """

    viewer: Viewer | None
    reader_or_none: Reader | None
    writes: bool = False
    links: Links | None = None
    acting: Acting | None = None
    watching: Watching | None = None
    last_seen: str | None = None
    allowance: Allowance = msgspec.field(default_factory=Allowance)

    @classmethod
    def of(
        cls,
        viewer: Viewer,
        database: Database,
        now: datetime | None = None,
        links: Links | None = None,
        *,
        shortcut: Shortcut | None = None,
    ) -> "Context":
        """The context of one request of a viewer, at some instant or else now."""
        sees_secrets = READ_SECRETS in viewer.scopes
        reader = Reader(database, viewer.organization_id, now, sees_secrets=sees_secrets, shortcut=shortcut)
        return cls(viewer, reader, links=links)

    def for_watching(self, watching: Watching, last_seen: str | None) -> "Context":
        """The context of a subscription."""
        return msgspec.structs.replace(self, watching=watching, last_seen=last_seen)

    async def watch(self, table: Table, where: Filter | None, after: str | None) -> Watch:
        """What changes of the rows that a filter keeps, behind a cursor or from now on; `Unauthorized`."""
        scope = self.reader.scope
        if self.watching is None:
            raise RuntimeError("only subscriptions watch")
        return await self.watching.watch(scope, table, where, self.last_seen or after)

    def for_writing(self, acting: Acting | None = None) -> "Context":
        """The context of a mutation, which reads what it has written."""
        if self.viewer is None or self.reader_or_none is None:
            return self
        read, scope = self.reader_or_none, self.reader_or_none.scope
        reader = Reader(read.database, scope.organization, scope.now, sees_secrets=scope.sees_secrets, newest=True)
        return Context(self.viewer, reader, writes=True, links=self.links, acting=acting)

    def writable(self, scope: str) -> Database:
        """The database, to write to, for a viewer whose credential carries the scope.

        Raises `Unauthorized`, `ImpersonationReadOnly` and `PermissionDenied`; and `RuntimeError` for a field that is
        no mutation's.
        """
        self.known_viewer.require_write(scope)
        if not self.writes:
            raise RuntimeError("only mutations write")
        return self.reader.database

    @property
    def redeliveries(self) -> Acting:
        """What the platform may be asked for by this viewer.

        Raises `Unauthorized`, `ImpersonationReadOnly` and `PermissionDenied`; and `RuntimeError` for a field that is
        no mutation's.
        """
        if self.viewer is None:
            raise Unauthorized
        if self.acting is None:
            raise RuntimeError("only mutations ask the platform")
        self.acting.one.allow()
        return self.acting

    @property
    def known_links(self) -> Links:
        """What signs links; `RuntimeError` where nothing does."""
        if self.links is None:
            raise RuntimeError("nothing signs links")
        return self.links

    @property
    def known_viewer(self) -> Viewer:
        """Who asks; `Unauthorized` where nobody is known."""
        if self.viewer is None:
            raise Unauthorized
        return self.viewer

    def unless_secret(self, mask: Callable[[Any], Any], value: Any) -> Any:
        """A value that may hold credentials: as it is for viewers with `batches:read_secrets`, masked for all others.

        What may take long to mask is masked in a thread, so that others are answered meanwhile: it is awaitable then.
        So is what comes after many short texts, each of which takes little, but not all together.
        """
        if value is None or self.sees_secrets:
            return value
        if isinstance(mask, TextMask) and (known := mask.known(value)) is not None:
            return known
        return mask(value) if self.allowance.takes(value) else asyncio.to_thread(mask, value)

    @property
    def sees_secrets(self) -> bool:
        """Whether the viewer has the scope `batches:read_secrets`."""
        return self.reader_or_none is not None and self.reader_or_none.scope.sees_secrets

    @property
    def reader(self) -> Reader:
        """The reader of the viewer's organization; `Unauthorized` where nobody is known."""
        if self.reader_or_none is None:
            raise Unauthorized
        return self.reader_or_none


Info = strawberry.Info[Context, Any]
