"""GraphQL over HTTP: GET and POST on one address, and the explorer for whoever asks for HTML."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.database.engine import Database
from gateway.errors import (
    BodyLimitExceeded,
    ClientError,
    DeadlineExceeded,
    InternalError,
    MethodNotAllowed,
    RateLimited,
    RequestTimeout,
    Unauthorized,
    Unavailable,
)
from gateway.execution.documents import Documents
from gateway.execution.run import Answer, Outcome, execute_prepared, prepare, refuse, too_late, unexpected
from gateway.http.credentials import Credentials
from gateway.http.disconnect import until_disconnect
from gateway.http.graphql_request import read_body, read_parameters
from gateway.http.negotiation import JSON, RESPONSE_JSON, read_request_head
from gateway.http.rate_limit import RateLimiter
from gateway.observability.record import exchange
from gateway.reading.loaders import Shortcut
from gateway.schema.context import Context
from gateway.viewer import READ

PATH = "/graphql"
COST_SCOPE = "cost:read"
METHODS = {"GET", "HEAD", "POST"}
CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, RESPONSE_JSON)}

Pairs = Sequence[tuple[bytes, bytes]]

# The status of an answer: as application/json, as application/graphql-response+json, and as the 2026 draft has that.
STATUSES = {
    Outcome.COMPLETE: (200, 200, 200),
    Outcome.PARTIAL: (200, 200, 294),
    Outcome.INVALID: (200, 400, 422),
    Outcome.UNPARSABLE: (200, 400, 400),
    Outcome.TIMED_OUT: (200, 504, 504),
    Outcome.UNAVAILABLE: (503, 503, 503),
}


@dataclass(frozen=True, slots=True)
class Manners:
    """How the endpoint treats its clients. `open_door` lets requests without a credential ask for the schema."""

    open_door: bool = False
    draft_statuses: bool = False
    get_needs_accept: bool = False
    max_body_bytes: int = 262_144
    deadline: float | None = None
    plans: bool = True


class Reply(msgspec.Struct, frozen=True):
    """An answer in JSON, as it is sent."""

    body: bytes
    status: int
    media: str
    headers: Pairs = ()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", CONTENT_TYPES[self.media]),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class GraphQL:
    """The endpoint, an ASGI app. `page` answers whoever looks at the address with a browser."""

    def __init__(
        self,
        documents: Documents,
        database: Database,
        credentials: Credentials,
        manners: Manners,
        limiter: RateLimiter,
        page: Callable[[Request], Response | None] | None = None,
        *,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.documents = documents
        self.database = database
        self.credentials = credentials
        self.manners = manners
        self.limiter = limiter
        self.page = page
        self.shortcut = shortcut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self.page(Request(scope, receive)) if self.page is not None else None
        if page is not None:
            await page(scope, receive, send)
            return
        try:
            reply = await self.reply(scope, receive)
        except ClientDisconnect:
            return
        await reply(scope, receive, send)

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """Answer one request; a failure becomes a GraphQL error, whatever it is."""
        media = JSON
        try:
            method = scope["method"]
            if method not in METHODS:
                raise MethodNotAllowed(f"{method} is not for this address: use GET or POST.")
            head, authorization, length = read_request_head(scope, self.manners.get_needs_accept)
            if not isinstance(head.media, str):
                raise head.media
            media = head.media
            began = time.monotonic()
            context = await self.context(authorization, head.organization)
            looked_up = time.monotonic() - began
            asker = context.viewer.credential if context.viewer else str((scope.get("client") or ("",))[0])
            self.limiter.admit(asker)
            is_post = method == "POST"
            if is_post and head.unreadable is not None:
                raise head.unreadable
            asked = read_body(await self.body(receive, length)) if is_post else read_parameters(scope["query_string"])
            started = time.perf_counter()
            prepared = prepare(asked, self.documents, queries_only=not is_post)
            self.limiter.charge(asker, (time.perf_counter() - started) * 1000)
            if isinstance(prepared, Answer):
                return self.encode(prepared, media)
            deadline, plans = self.manners.deadline, self.manners.plans
            work = execute_prepared(prepared, self.documents, context, deadline, plans=plans)
            left = None if deadline is None else max(0.0, deadline - looked_up)
            answer = await until_disconnect(receive, work, left, lambda _: too_late(deadline or 0.0))
            if context.viewer is None and Unauthorized.code in answer.codes:
                raise Unauthorized
            if head.wants_cost and self.may_see_cost(context):
                answer = answer.with_extensions(cost={"actual": prepared.cost, "limit": self.documents.limits.cost})
            return self.encode(answer, media, self.told(answer, context))
        except DeadlineExceeded as error:
            return self.encode(refuse(error, Outcome.TIMED_OUT), media)
        except ClientError as error:
            return encode(refuse(error).body, error.status, media, _headers(error))
        except ClientDisconnect:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
            return encode({"errors": [unexpected(failure, scope["path"])]}, InternalError.status, media)

    def encode(self, answer: Answer, media: str, headers: Pairs = ()) -> Reply:
        """An answer with the status of its media type."""
        as_json, as_response, as_draft = STATUSES[answer.outcome]
        status = as_json if media == JSON else as_draft if self.manners.draft_statuses else as_response
        if answer.outcome is Outcome.UNAVAILABLE:
            headers = [*headers, (b"retry-after", b"%d" % Unavailable.retry_after)]
        return encode(answer.content, status, media, headers)

    def told(self, answer: Answer, context: Context) -> Pairs:
        """In development, which way the answer was made, and with how many statements."""
        if not self.manners.open_door:
            return ()
        return (
            (b"x-graphql-path", b"planned" if answer.planned else b"ordinary"),
            (b"x-graphql-statements", b"%d" % (context.rows.statements if context.rows else 0)),
        )

    def may_see_cost(self, context: Context) -> bool:
        """Whether the answer may tell what it cost: outside of development to those with the scope."""
        return self.manners.open_door or (context.viewer is not None and COST_SCOPE in context.viewer.scopes)

    async def context(self, authorization: str | None, organization: str | None) -> Context:
        """Who asks. Behind the open door, whoever sends no credential may look at the schema, but reads no rows."""
        if authorization is None and self.manners.open_door:
            return Context(None, None)
        scheme, token = get_authorization_scheme_param(authorization)
        viewer = await self.credentials.viewer(token if scheme.lower() == "bearer" else None, organization)
        viewer.require(READ)
        return Context.of(viewer, self.database, shortcut=self.shortcut)

    async def body(self, receive: Receive, length: str) -> bytes:
        """The body of a POST, which must be small, and here in time."""
        limit = self.manners.max_body_bytes
        size = int(length) if length.isdecimal() and len(length) < 19 else 0
        if size > limit:
            raise BodyLimitExceeded(f"The body has more than {limit} bytes.", limit, size)
        return await until_disconnect(receive, _read(receive, limit), self.manners.deadline, _too_slow)


def _too_slow(seconds: float) -> RequestTimeout:
    return RequestTimeout(f"The body took more than {seconds:g} s to arrive.", seconds)


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyLimitExceeded(f"The body has more than {limit} bytes.", limit, size)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def encode(body: Mapping[str, Any] | bytes, status: int, media: str, headers: Pairs = ()) -> Reply:
    """A response in JSON. Text that is no Unicode is escaped, and a number that JSON does not have becomes null."""
    if isinstance(body, bytes):
        return Reply(body, status, media, headers)
    if body.get("errors"):
        exchange.get().code = body["errors"][0]["extensions"]["code"]
    try:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        content = json.dumps(_finite(body), separators=(",", ":")).encode()
    return Reply(content, status, media, headers)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _headers(error: ClientError) -> Pairs:
    """The headers that belong to an error's status."""
    if isinstance(error, Unauthorized):
        return ((b"www-authenticate", b"Bearer"),)
    if isinstance(error, MethodNotAllowed):
        return ((b"allow", b"GET, HEAD, POST"),)
    if isinstance(error, RateLimited | Unavailable) and error.retry_after is not None:
        return ((b"retry-after", b"%d" % error.retry_after),)
    if isinstance(error, RequestTimeout):
        return ((b"connection", b"close"),)
    return ()
