"""What every resolver of one request shares."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import strawberry

from gateway.database.engine import Database
from gateway.errors import Unauthorized
from gateway.reading.masking import Allowance, TextMask
from gateway.reading.reader import Reader
from gateway.viewer import READ_SECRETS, Viewer


class Context(msgspec.Struct, frozen=True):
    """Who asks, and the reader of their organization. Both None where a request without a credential is let in.

    `writes` is true while a mutation is executed. `allowance` is how much is still masked on the event loop.
    """

    viewer: Viewer | None
    reader_or_none: Reader | None
    writes: bool = False
    allowance: Allowance = msgspec.field(default_factory=Allowance)

    @classmethod
    def of(cls, viewer: Viewer, database: Database, now: datetime | None = None) -> "Context":
        """The context of one request of a viewer, at some instant or else now."""
        sees_secrets = READ_SECRETS in viewer.scopes
        return cls(viewer, Reader(database, viewer.organization_id, now, sees_secrets=sees_secrets))

    def for_writing(self) -> "Context":
        """The context of a mutation, which reads what it has written."""
        if self.viewer is None or self.reader_or_none is None:
            return self
        read, scope = self.reader_or_none, self.reader_or_none.scope
        reader = Reader(read.database, scope.organization, scope.now, sees_secrets=scope.sees_secrets, newest=True)
        return Context(self.viewer, reader, writes=True)

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
