"""Downloads of any length beside ordinary requests: how many at a time, and how fast while others ask."""

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.types import Message, Receive, Scope, Send

from gateway.errors import RateLimited
from gateway.rest.endpoint import ClosedStream
from gateway.settings import LinkSettings

RETRY_SECONDS = 5
STALLED_SECONDS = 60.0  # a client that takes nothing for so long is gone
SHARE_OF_OTHERS = 4.0  # for each second of ours, as many for others while there are any: they keep 0.8 of their rate
BUSY_SECONDS = 0.0003  # that a turn of an idle event loop never takes
TURNS = 3
REMEMBERED_SECONDS = 0.25  # for how long the loop counts as busy
GZIP = 31  # zlib's word for gzip with the largest window
LEVEL = 4  # three quarters of what level 9 saves, at a fifth of its time


class Downloads:
    """Who downloads something in this process: at most `exports_at_once`, and `exports_per_credential` of each."""

    def __init__(self, settings: LinkSettings) -> None:
        self._at_once = settings.exports_at_once
        self._each = settings.exports_per_credential
        self._of: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many there are."""
        return self._of.total()

    def begin(self, credential: str) -> Callable[[], None]:
        """Count one more until the function is called that this returns; `RateLimited` where it is one too many."""
        if self._of[credential] >= self._each:
            raise RateLimited(f"There may be {self._each} exports of one credential at a time.", RETRY_SECONDS)
        if self.under_way >= self._at_once:
            raise RateLimited(f"There may be {self._at_once} exports at a time.", RETRY_SECONDS)
        self._of[credential] += 1

        def end() -> None:
            self._of[credential] -= 1
            self._of += Counter()  # forget those that have none

        return end


class Throttle:
    """Lets other requests go first: what works beside them waits where the event loop is busy with others."""

    def __init__(self) -> None:
        self._busy_until = 0.0

    async def pause(self, worked: float) -> None:
        """Wait after so many seconds of work, long where others have work to do, and not at all where nobody has."""
        for _ in range(TURNS):
            began = time.perf_counter()
            await asyncio.sleep(0)
            now = time.perf_counter()
            if now - began > BUSY_SECONDS:
                self._busy_until = now + REMEMBERED_SECONDS
                break
        if time.perf_counter() < self._busy_until:
            await asyncio.sleep(worked * SHARE_OF_OTHERS)


class Download(ClosedStream):
    """A streamed file. `ended` is called when it is over, however that was.

    It cannot end early by itself: what fails cuts the connection.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], ended: Callable[[], None], media: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        await super().stream_response(send_in_time)


async def compressed(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same as gzip; each piece can be read when it has come."""
    zipped = zlib.compressobj(LEVEL, wbits=GZIP)
    async with aclosing(pieces):
        async for piece in pieces:
            yield zipped.compress(piece) + zipped.flush(zlib.Z_SYNC_FLUSH)
    yield zipped.flush()


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client asks for gzip (RFC 9110, section 12.5.3): `gzip;q=0` does not."""
    for entry in accept_encoding.split(","):
        name, _, parameter = entry.partition(";")
        if name.strip().lower() in {"gzip", "x-gzip"}:
            weight = parameter.strip().lower().removeprefix("q=")
            return weight.rstrip("0.") != "" or not parameter
    return False
