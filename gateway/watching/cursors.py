"""Where a watcher stands among the changes of an organization.

Who writes a time down commits a little later, so that behind the last change that was seen there may still come older
ones. So a cursor is no place in an order: it is a time, before which all is seen, and the versions since then that are.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.base64url import from_base64url, to_base64url
from gateway.database.odd import ONE_MICROSECOND
from gateway.errors import BadCursor
from gateway.watching.versions import DIGEST, Version

CURSOR_FORMAT = b"\x01"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BINDING = 4  # bytes that tell one organization's table from another's
HEAD = len(CURSOR_FORMAT) + BINDING + 8
MOST_KNOWN = 2_000  # versions that a cursor names: 10 kB. Where more changed in the window, it begins later


@dataclass(frozen=True, slots=True)
class Cursor:
    """All that changed before `floor` is seen, and of what changed since, the versions with these digests."""

    floor: datetime
    known: frozenset[bytes]

    @classmethod
    def decode(cls, text: str, binding: bytes) -> "Cursor":
        """The cursor that an event carried; `BadCursor` for any other, and for that of another organization or kind."""
        try:
            raw = from_base64url(text)
            if raw[:1] != CURSOR_FORMAT or (len(raw) - HEAD) % DIGEST or len(raw) < HEAD:
                raise ValueError(text)
            floor = EPOCH + int.from_bytes(raw[HEAD - 8 : HEAD], signed=True) * ONE_MICROSECOND
        except (ValueError, OverflowError):
            raise BadCursor("after is not a cursor: pass the `cursor` of an event as it came.") from None
        if raw[1 : 1 + BINDING] != binding:
            raise BadCursor("after is the cursor of another subscription or organization.")
        return cls(floor, frozenset(raw[at : at + DIGEST] for at in range(HEAD, len(raw), DIGEST)))


def binding_of(organization: str, table: str) -> bytes:
    """What the cursors of an organization's changes in a table have in common."""
    return hashlib.blake2s(f"{organization} {table}".encode(), digest_size=BINDING).digest()


def encode(binding: bytes, floor: datetime, digests: bytes) -> str:
    """The cursor behind which all is before `floor`, and the versions with these digests, one after the other."""
    since = (floor - EPOCH) // ONE_MICROSECOND
    return to_base64url(b"".join((CURSOR_FORMAT, binding, since.to_bytes(8, signed=True), digests)))


def digests(versions: Iterable[Version]) -> bytes:
    """The digests of versions, one after the other."""
    return b"".join([version.digest for version in versions])


def within(versions: Sequence[Version], floor: datetime) -> tuple[datetime, Sequence[Version]]:
    """Of versions in their order those since a time; a later time where there are more than a cursor names."""
    kept = [version for version in versions if version.changed_at >= floor]
    if len(kept) <= MOST_KNOWN:
        return floor, kept
    floor = kept[-MOST_KNOWN].changed_at
    return floor, [version for version in kept if version.changed_at >= floor]
