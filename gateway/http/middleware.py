"""What holds for every request: an id, headers that browsers obey, and nothing on behalf of other sites."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import CrossSiteRequest
from gateway.observability import request_id

REQUEST_ID = b"x-request-id"
SANE = re.compile(rb"[\w.:+/=@-]{1,128}")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Outermost:
    """The layer around everything, failures included. Each request gets an id, its own where it brings a sane one, and
    each answer the security headers that it does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        brought = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        id_ = brought if SANE.fullmatch(brought) else str(uuid4()).encode()
        request_id.set(id_.decode())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name for name, _ in headers}
                headers += [(REQUEST_ID, id_), *(header for header in HEADERS if header[0] not in there)]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Direct:
    """Leads one address straight to what answers there, before anything else looks at the request."""

    def __init__(self, app: ASGIApp, path: str, endpoint: ASGIApp) -> None:
        self.app = app
        self.path = path
        self.endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = scope["type"] == "http" and scope["path"] == self.path
        await (self.endpoint if direct else self.app)(scope, receive, send)


class CrossSite:
    """Refuses what a browser sends on behalf of a site that is not trusted, unless its method is safe."""

    def __init__(self, app: ASGIApp, trusted: Collection[str] = ()) -> None:
        self.app = app
        self.trusted = frozenset(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] in SAFE_METHODS
            or not is_cross_site(Headers(scope=scope), self.trusted)
        ):
            await self.app(scope, receive, send)
            return
        error = CrossSiteRequest("A browser sent this on behalf of another site: GATEWAY_TRUSTED_ORIGINS allows sites.")
        body = {"errors": [{"message": error.message, "extensions": error.extensions}]}
        await JSONResponse(body, error.status)(scope, receive, send)


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
