"""The HTTP server of one process, which stops in order."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from socket import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.http.probes import STOPPING
from gateway.http.protocol import limited_to
from gateway.http.streams import STATE as STREAMS
from gateway.http.streams import Streams
from gateway.http.uvicorn_internals import add_header, cut_connections, lifespan_state
from gateway.http.websocket import WebSocketProtocol
from gateway.settings import ServerSettings, Settings

ON_DRAIN = "on_drain"  # of the state that the app shares with its server: what to call when the draining begins
CLOSE = (b"connection", b"close")
LOOPBACK = ["127.0.0.1", "::1"]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def hold_signals() -> None:
    """Let the signals that stop a server wait until it has started far enough to take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _believed(settings: ServerSettings) -> str | list[str]:
    """Which proxies say by what scheme and from where a request came, as uvicorn wants it."""
    if "*" in settings.trusted_proxies:
        return "*"
    return list(settings.trusted_proxies) or os.environ.get("FORWARDED_ALLOW_IPS") or LOOPBACK


class DrainingServer(uvicorn.Server):
    """uvicorn's server, stopped by a signal.

    SIGTERM: at first the process is only not ready, so that load balancers turn away, and each answer closes its
    connection. Then there are no new connections, and the requests under way are answered. SIGINT skips the first part.
    Another signal ends everything at once, but not in a worker: its parent passes on what the whole process group may
    have been sent already.
    """

    def __init__(self, app: str | Callable[[], ASGIApp], settings: Settings, *, is_worker: bool = False) -> None:
        config = uvicorn.Config(
            app,
            factory=True,
            http=limited_to(settings.head_seconds, settings.max_head_bytes),
            ws=WebSocketProtocol,
            ws_max_size=settings.max_body_bytes,
            ws_ping_interval=settings.heartbeat_seconds,
            ws_ping_timeout=settings.heartbeat_seconds,
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            server_header=False,
            access_log=False,  # it would write down query strings
            forwarded_allow_ips=_believed(settings),
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=settings.grace_seconds,
        )
        super().__init__(config)
        self.drain_seconds = settings.drain_seconds
        self.is_worker = is_worker
        self._drained_at: float | None = None

    def run(self, sockets: list[socket] | None = None) -> None:
        """Serve until a signal. It waits while there is nobody to take it: an exception out of nowhere may be lost."""
        hold_signals()
        super().run(sockets)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Take signals from now on."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if not self.should_exit:
            self.drain_seconds = self.drain_seconds if sig == signal.SIGTERM else 0
            super().handle_exit(sig, frame)
        elif not self.is_worker:
            self.force_exit = True
            asyncio.get_running_loop().call_soon_threadsafe(cut_connections, self)

    async def on_tick(self, counter: int) -> bool:
        """Whether the time to serve is over: when a signal came, and the draining is done."""
        if not await super().on_tick(counter):
            return False
        if self._drained_at is None:
            self._drained_at = time.monotonic() + self.drain_seconds
            self._drain()
        return self.force_exit or time.monotonic() >= self._drained_at

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End the streams, whose clients go on elsewhere, and wait for the requests under way."""
        for listener in [*self.servers, *(sockets or ())]:
            listener.close()
        streams: Streams | None = lifespan_state(self).get(STREAMS)
        if streams is not None and not self.force_exit:
            await streams.finish()
        await super().shutdown(sockets)

    def _drain(self) -> None:
        state = lifespan_state(self)
        state[STOPPING] = True
        state[ON_DRAIN]()
        add_header(self, CLOSE)
