"""The open streams of a process: how many there may be, for how long their credentials are good, and their end."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.errors import ClientError, StreamLimitExceeded, SubscriberTooSlow, Unavailable
from gateway.http.credentials import Credentials
from gateway.observability.metrics import Metrics
from gateway.settings import StreamSettings
from gateway.viewer import READ, Viewer

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # between two looks at all streams
STUCK_SECONDS = 30.0  # in which a client that reads nothing may keep a stream from its end
SECONDS_TO_END_STREAMS = 3.0  # for all streams, before the process goes on to stop
STATE = "streams"  # of the state that the app shares with its server


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose stream it is: a credential as it came, the organization that was asked for with it, and who that is.

    The token is empty where nobody is known, and `viewer` None.
    """

    token: str
    organization: str | None
    viewer: Viewer | None
    name: str


STREAM_DEFAULTS = StreamSettings()


class Stream:
    """One open stream. The task that runs it is cancelled to end it, and asks `ending` why."""

    def __init__(self, caller: Caller, transport: str) -> None:
        self.caller = caller
        self.transport = transport
        self.is_ended = False
        self.reason: ClientError | None = None
        self.sends = False
        self.since = time.monotonic()  # when it began to send, or not to
        self._beat: Callable[[], Awaitable[None]] | None = None
        self._task = asyncio.current_task()
        self._beating: asyncio.Task[None] | None = None

    def end(self, reason: ClientError | None = None) -> None:
        """End it: because of an error, which the client is told, or else in order."""
        if not self.is_ended and self._task is not None:
            self.is_ended = True
            self.reason = reason
            self._task.cancel()

    def ended(self) -> bool:
        """Whether its task was cancelled by `end`: the cancellation is over then, and the client can be told."""
        if self.is_ended and self._task is not None:
            return self._task.uncancel() == 0
        return False

    def sending(self) -> None:
        """Something is being sent."""
        if not self.sends:
            self.sends, self.since = True, time.monotonic()

    def sent(self) -> None:
        """It is sent."""
        self.sends, self.since = False, time.monotonic()

    def beat_by(self, send: Callable[[], Awaitable[None]]) -> None:
        """Signs of life are sent so."""
        self._beat = send

    def beat(self) -> None:
        """Send a sign of life; whoever is being sent something needs none."""
        if self._beat is not None and not self.sends and not self.is_ended:
            self._beating = asyncio.create_task(self._send_beat(self._beat))

    async def _send_beat(self, beat: Callable[[], Awaitable[None]]) -> None:
        self.sending()
        try:
            await beat()
        except Exception as failure:  # noqa: BLE001 - the client has gone, which whoever serves it learns, too
            logger.debug("no sign of life can be sent: %r", failure)
        finally:
            self.sent()

    def close(self) -> None:
        """Send no more signs of life."""
        if self._beating is not None:
            self._beating.cancel()


class Streams:
    """All open streams. `watch_over` looks at them until it is cancelled; `finish` ends them all, and lets none in."""

    def __init__(
        self, credentials: Credentials, settings: StreamSettings = STREAM_DEFAULTS, metrics: Metrics | None = None
    ) -> None:
        self.credentials = credentials
        self.settings = settings
        self.metrics = metrics
        self.is_finishing = False
        self._open: set[Stream] = set()
        self._of_credential: Counter[str] = Counter()
        self._none_left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def count(self, transport: str) -> int:
        """How many streams of a transport are open."""
        return sum(stream.transport == transport for stream in self._open)

    def open(self, caller: Caller, transport: str) -> Stream:
        """A new stream, which the current task runs; `StreamLimitExceeded`, and `Unavailable` at the end of all."""
        if self.is_finishing:
            raise Unavailable("The gateway is about to stop: another one answers.")
        most, mine = self.settings, self._of_credential[caller.name]
        if mine >= most.max_credential_streams:
            raise StreamLimitExceeded(
                f"The credential has {mine} streams open, which is the limit.", most.max_credential_streams, mine + 1
            )
        if len(self._open) >= most.max_streams:
            raise StreamLimitExceeded("The gateway has as many streams open as it may.", most.max_streams)
        stream = Stream(caller, transport)
        self._open.add(stream)
        self._of_credential[caller.name] += 1
        return stream

    def close(self, stream: Stream) -> None:
        """It is over."""
        stream.close()
        if stream in self._open:
            self._open.discard(stream)
            self._of_credential[stream.caller.name] -= 1
            if not self._of_credential[stream.caller.name]:
                del self._of_credential[stream.caller.name]
        if not self._open:
            self._none_left.set()

    def count_event(self, stream: Stream) -> None:
        """An event of a stream was sent."""
        if self.metrics is not None:
            self.metrics.event(stream.transport)

    async def finish(self) -> None:
        """End all streams in order, so that their clients go on elsewhere."""
        self.is_finishing = True
        for stream in list(self._open):
            stream.end()
        if self._open:
            self._none_left.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_END_STREAMS):
                    await self._none_left.wait()

    async def watch_over(self) -> None:
        """Send signs of life, end streams whose credential is no longer good, and those whose client is stuck."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.check()
            except Exception:
                logger.exception("streams cannot be checked")

    async def check(self) -> None:
        """Look at all streams once."""
        now = time.monotonic()
        of_credential: dict[tuple[str, str | None], list[Stream]] = {}
        for stream in self._open:
            seconds = now - stream.since
            if stream.sends and seconds > STUCK_SECONDS:
                stream.end(SubscriberTooSlow("The client does not read."))
            elif seconds >= self.settings.heartbeat_seconds:
                stream.beat()
            if stream.caller.token:
                of_credential.setdefault((stream.caller.token, stream.caller.organization), []).append(stream)
        for (token, organization), streams in of_credential.items():
            reason, viewer = None, None
            try:
                viewer = await self.credentials.authenticate(token, organization)
                viewer.require(READ)
            except Unavailable:  # nobody can tell just now
                continue
            except ClientError as refusal:
                reason = refusal
            for stream in streams:
                if stream in self._open and (reason is not None or stream.caller.viewer != viewer):
                    stream.end(reason)
