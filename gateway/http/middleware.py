"""What holds for every request: an id, headers that browsers obey, and nothing on behalf of other sites."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import CrossSiteRequest
from gateway.observability import request_id

REQUEST_ID = re.compile(r"[\w.:+/=@-]{1,128}", re.ASCII)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Outermost:
    """The layer around everything, failures included. Each request gets an id, its own where it brings a sane one, and
    each answer the security headers that it does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        brought = Headers(scope=scope).get("x-request-id", "")
        id_ = brought if REQUEST_ID.fullmatch(brought) else str(uuid4())
        request_id.set(id_)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = id_
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


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
