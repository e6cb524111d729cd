"""What holds for every request: an id, headers that browsers obey, and nothing on behalf of other sites."""

import itertools
import re
import time
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.deadline import Deadline, set_deadline
from gateway.errors import CrossSiteRequest
from gateway.observability import request_id
from gateway.observability.recorder import Recorder
from gateway.settings import HttpSettings

REQUEST_ID = b"x-request-id"
SANE = re.compile(rb"[\w.:+/=@-]{1,128}")
BROWSERS = frozenset({b"origin", b"sec-fetch-site"})  # headers that nobody else sends
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


PROCESS = str(uuid4())[:24]
COUNT = itertools.count(1)


def new_id() -> bytes:
    """An id that no other request has: as a UUID is written, random for the process, counted for its requests."""
    return b"%b%012x" % (PROCESS.encode(), next(COUNT))


class RequestRecorder:
    """The layer around everything, failures included. Each request gets an id, its own where it brings a sane one, and
    each answer the security headers that it does not set itself; the `recorder` is told of both. The request's deadline
    is `deadline_seconds` from here."""

    def __init__(self, app: ASGIApp, recorder: Recorder, settings: HttpSettings) -> None:
        self.app = app
        self.recorder = recorder
        self.deadline_seconds = settings.deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        set_deadline(scope, Deadline(self.deadline_seconds))
        brought = b""
        for name, value in scope["headers"]:
            if name == REQUEST_ID:
                brought = value
                break
        id_ = brought if SANE.fullmatch(brought) else new_id()
        request_id.set(id_.decode())
        record = (
            None if self.recorder.is_idle else self.recorder.begin(scope["method"], scope["path"], scope["headers"])
        )

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name for name, _ in headers}
                headers += [(REQUEST_ID, id_), *(header for header in HEADERS if header[0] not in there)]
                if record is not None:
                    record.begun = time.perf_counter()
                    record.status = message["status"]
                    headers += () if record.trace is None else record.trace.headers()
                message = {**message, "headers": headers}
            elif record is not None:
                record.bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if record is not None:
                self.recorder.end(record)


class ExactPath:
    """Leads one address straight to what answers there, before anything else looks at the request: the endpoint, and
    `sockets` for WebSockets."""

    def __init__(self, app: ASGIApp, path: str, endpoint: ASGIApp, sockets: ASGIApp | None = None) -> None:
        self.app = app
        self.path = path
        self.endpoints: dict[str, ASGIApp] = {"http": endpoint, **({} if sockets is None else {"websocket": sockets})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = scope.get("path") == self.path
        endpoint = self.endpoints.get(scope["type"], self.app) if direct else self.app
        await endpoint(scope, receive, send)


class CrossSite:
    """Refuses what a browser sends on behalf of a site that is not trusted, unless its method is safe."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self.app = app
        self.trusted = settings.sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] in SAFE_METHODS
            or not is_from_browser(scope["headers"])
            or not is_cross_site(Headers(scope=scope), self.trusted)
        ):
            await self.app(scope, receive, send)
            return
        error = CrossSiteRequest("A browser sent this on behalf of another site: GATEWAY_TRUSTED_ORIGINS allows sites.")
        body = {"errors": [{"message": error.message, "extensions": error.extensions}]}
        await JSONResponse(body, error.status)(scope, receive, send)


def is_from_browser(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether there are headers that nobody else sends."""
    for name, _ in headers:  # noqa: SIM110 - a generator costs more than all the rest
        if name in BROWSERS:
            return True
    return False


def is_cross_site(headers: Headers, trusted: Collection[str]) -> bool:
    """Whether a browser says that another site made it send this.

    Fetch metadata tells it; where a browser has none, the origin's host is not the one that was asked. What is neither
    is no browser, and carries only what its sender knew.
    """
    origin = headers.get("origin")
    if origin is not None and (origin in trusted or "*" in trusted):
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    return origin is not None and _host(origin) != headers.get("host", "").lower()


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
