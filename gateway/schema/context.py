"""What every resolver of one request shares."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import strawberry

from gateway.database.engine import Database
from gateway.errors import Unauthorized
from gateway.reading.loaders import Reader, Shortcut
from gateway.viewer import READ_SECRETS, Viewer


class Context(msgspec.Struct, frozen=True):
    """Who asks, and the reader of their organization. Both None where a request without a credential is let in."""

    viewer: Viewer | None
    rows: Reader | None

    @classmethod
    def of(
        cls, viewer: Viewer, database: Database, now: datetime | None = None, *, shortcut: Shortcut | None = None
    ) -> "Context":
        """The context of one request of a viewer, at some instant or else now."""
        sees_secrets = READ_SECRETS in viewer.scopes
        reader = Reader(database, viewer.organization_id, now, sees_secrets=sees_secrets, shortcut=shortcut)
        return cls(viewer, reader)

    @property
    def known_viewer(self) -> Viewer:
        """Who asks; `Unauthorized` where nobody is known."""
        if self.viewer is None:
            raise Unauthorized
        return self.viewer

    def unless_secret(self, mask: Callable[[str], str], text: str | None) -> str | None:
        """A text that may hold credentials: as it is for viewers with `batches:read_secrets`, masked for all others."""
        if text is None or (self.rows is not None and self.rows.scope.sees_secrets):
            return text
        return mask(text)

    @property
    def reader(self) -> Reader:
        """The reader of the viewer's organization; `Unauthorized` where nobody is known."""
        if self.rows is None:
            raise Unauthorized
        return self.rows


Info = strawberry.Info[Context, Any]
