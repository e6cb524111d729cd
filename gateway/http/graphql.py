"""GraphQL over HTTP: GET and POST on one address, and the explorer for whoever asks for HTML."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from graphql import OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.database.engine import Database
from gateway.deadline import Deadline, deadline_of
from gateway.errors import (
    BodyLimitExceeded,
    ClientError,
    DeadlineExceeded,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    RequestTimeout,
    Unauthorized,
    Unavailable,
)
from gateway.execution.documents import Documents
from gateway.execution.run import (
    Answer,
    GraphQLRequest,
    Outcome,
    PreparedOperation,
    execute_prepared,
    prepare,
    refuse,
    to_json,
    unexpected,
)
from gateway.execution.subscribe import Answers, subscribe_prepared
from gateway.http.credentials import Credentials, token_of
from gateway.http.disconnect import until_disconnect
from gateway.http.event_stream import EVENTS, PARTS, EventStream, Framing
from gateway.http.graphql_request import read_body, read_parameters
from gateway.http.negotiation import (
    EVENT_STREAM,
    JSON,
    MULTIPART,
    MULTIPART_VERSION,
    RESPONSE_JSON,
    RequestHead,
    read_request_head,
)
from gateway.http.rate_limit import RateLimiter
from gateway.http.streams import Caller, Streams
from gateway.http.writes import Writes
from gateway.observability.record import exchange
from gateway.platform.bulk import BulkRedeliveries
from gateway.platform.client import Platform
from gateway.platform.redelivery import Redeliveries
from gateway.reading.reader import Shortcut
from gateway.schema.context import Acting, Context, Links
from gateway.settings import HttpSettings
from gateway.viewer import READ
from gateway.watching.watch import Watching

GRAPHQL_PATH = "/graphql"
COST_SCOPE = "cost:read"
METHODS = {"GET", "HEAD", "POST"}
FRAMINGS: Mapping[str, Framing] = {EVENT_STREAM: EVENTS, MULTIPART: PARTS}
LAST_EVENT_ID = b"last-event-id"
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
    """The endpoint, an ASGI app. `page` answers whoever looks at the address with a browser.

    In development it lets requests without a credential ask for the schema.
    """

    def __init__(
        self,
        documents: Documents,
        database: Database,
        credentials: Credentials,
        settings: HttpSettings,
        page: Callable[[Request], Response | None] | None = None,
        *,
        platform: Platform | None = None,
        links: Links | None = None,
        shortcut: Shortcut | None = None,
        watching: Watching | None = None,
        streams: Streams | None = None,
    ) -> None:
        self.documents = documents
        self.database = database
        self.credentials = credentials
        self.settings = settings
        self.limiter = RateLimiter(settings)
        self.writes = Writes()
        self.watching = Watching(database) if watching is None else watching
        self.streams = Streams(credentials) if streams is None else streams
        self.page = page
        self.shortcut = shortcut
        self.platform = platform
        self.links = links

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

    async def reply(self, scope: Scope, receive: Receive) -> Reply | EventStream:
        """Answer one request, by one body or a stream; a failure becomes a GraphQL error, whatever it is."""
        media = JSON
        try:
            if scope["method"] not in METHODS:
                raise MethodNotAllowed(f"{scope['method']} is not for this address: use GET or POST.")
            head, authorization, length = read_request_head(scope, self.settings.get_needs_accept)
            if isinstance(head.media, str):
                media = head.media
            elif head.stream is None:
                raise head.media
            if isinstance(authorization, Unauthorized):
                raise authorization
            deadline = deadline_of(scope)
            context = await self.context(authorization, head.organization, deadline)
            asker = asker_of(context, scope)
            self.limiter.admit(asker)
            asked = await self.request(scope, receive, head, length)
            prepared = self.prepare(asked, asker, reads_only=scope["method"] != "POST")
            if isinstance(prepared, Answer):
                return self.refusal(prepared, head)
            context = self.for_operation(prepared, context, authorization, deadline)
            if prepared.operation.kind is not OperationType.SUBSCRIPTION:
                return await self.answer(receive, prepared, context, deadline, head)
            if head.stream is None:
                raise NotAcceptable(
                    f"A subscription is answered as {EVENT_STREAM}, or as {MULTIPART};subscriptionSpec="
                    f"{MULTIPART_VERSION}: name one of them in Accept."
                )
            caller = Caller(token_of(authorization), head.organization, context.viewer, asker)
            watching = context.for_watching(self.watching, _last_event_id(scope))
            return await self.stream(receive, prepared, watching, deadline, caller, head)
        except DeadlineExceeded as error:
            return self.encode(refuse(error, Outcome.TIMED_OUT), media)
        except ClientError as error:
            return encode(refuse(error).body, error.status, media, _headers(error))
        except ClientDisconnect:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
            return encode({"errors": [unexpected(failure, scope["path"])]}, InternalError.status, media)

    async def request(self, scope: Scope, receive: Receive, head: RequestHead, length: str) -> GraphQLRequest:
        """What is asked. The time in which the body arrives does not count against the deadline."""
        if scope["method"] != "POST":
            return read_parameters(scope["query_string"])
        if head.unreadable is not None:
            raise head.unreadable
        began = time.monotonic()
        body = await self.body(receive, length)
        deadline_of(scope).postpone(time.monotonic() - began)
        return read_body(body)

    def prepare(self, asked: GraphQLRequest, asker: str, *, reads_only: bool = False) -> PreparedOperation | Answer:
        """The operation that is asked for, or what refuses it; the asker is charged for the time that it takes."""
        started = time.perf_counter()
        prepared = prepare(asked, self.documents, reads_only=reads_only)
        self.limiter.charge(asker, (time.perf_counter() - started) * 1000)
        return prepared

    async def answer(
        self, receive: Receive, prepared: PreparedOperation, context: Context, deadline: Deadline, head: RequestHead
    ) -> Reply | EventStream:
        """The answer of an operation: one body, or a stream of one answer where the client wants no other."""
        answer = await self.execute(receive, prepared, context, deadline)
        if context.viewer is None and Unauthorized.code in answer.codes:
            raise Unauthorized
        if head.wants_cost and self.may_see_cost(context):
            answer = answer.with_extensions(cost={"actual": prepared.cost, "limit": self.documents.settings.max_cost})
        if not isinstance(head.media, str):
            return self.alone(answer, head)
        return self.encode(answer, head.media, self.told(answer, context))

    async def stream(
        self,
        receive: Receive,
        prepared: PreparedOperation,
        context: Context,
        deadline: Deadline,
        caller: Caller,
        head: RequestHead,
    ) -> Reply | EventStream:
        """The answers of a subscription, or the one that refuses it."""
        framing = FRAMINGS[head.stream or EVENT_STREAM]
        stream = self.streams.open(caller, framing.name)
        begun: Answer | Answers | None = None
        try:
            begun = await until_disconnect(receive, subscribe_prepared(prepared, self.documents, context), deadline)
        finally:
            if begun is None or isinstance(begun, Answer):
                self.streams.close(stream)
        if isinstance(begun, Answer):
            if context.viewer is None and Unauthorized.code in begun.codes:
                raise Unauthorized
            return self.refusal(begun, head)
        return EventStream(begun, encoded, framing, streams=self.streams, stream=stream)

    def refusal(self, answer: Answer, head: RequestHead) -> Reply | EventStream:
        """What refuses an operation, in the form that the client takes."""
        return self.encode(answer, head.media) if isinstance(head.media, str) else self.alone(answer, head)

    def alone(self, answer: Answer, head: RequestHead) -> EventStream:
        """A stream of one answer."""
        return EventStream(_once(answer), encoded, FRAMINGS[head.stream or EVENT_STREAM])

    async def execute(
        self, receive: Receive, prepared: PreparedOperation, context: Context, deadline: Deadline
    ) -> Answer:
        """The answer to a query, while its client waits for it; and to a mutation, which goes on to its end."""
        if prepared.operation.kind is not OperationType.MUTATION:
            work = execute_prepared(prepared, self.documents, context, deadline, plans=self.settings.plans)
            return await until_disconnect(receive, work, deadline)
        work = execute_prepared(prepared, self.documents, context, plans=False)
        return await self.writes.run(receive, work, deadline)

    def encode(self, answer: Answer, media: str, headers: Pairs = ()) -> Reply:
        """An answer with the status of its media type."""
        as_json, as_response, as_draft = STATUSES[answer.outcome]
        status = as_json if media == JSON else as_draft if self.settings.draft_statuses else as_response
        if answer.outcome is Outcome.UNAVAILABLE:
            headers = [*headers, (b"retry-after", b"%d" % Unavailable.retry_after)]
        return encode(answer.content, status, media, headers)

    def told(self, answer: Answer, context: Context) -> Pairs:
        """In development, which way the answer was made, and with how many statements."""
        if not self.settings.is_development:
            return ()
        return (
            (b"x-graphql-path", b"planned" if answer.planned else b"ordinary"),
            (b"x-graphql-statements", b"%d" % (context.reader_or_none.statements if context.reader_or_none else 0)),
        )

    def may_see_cost(self, context: Context) -> bool:
        """Whether the answer may tell what it cost: outside of development to those with the scope."""
        return self.settings.is_development or (context.viewer is not None and COST_SCOPE in context.viewer.scopes)

    async def context(self, authorization: str | None, organization: str | None, deadline: Deadline) -> Context:
        """Who asks. In development, whoever sends no credential may look at the schema, but reads no rows."""
        if authorization is None and self.settings.is_development:
            return Context(None, None)
        viewer = await self.credentials.authenticate(token_of(authorization), organization, deadline)
        viewer.require(READ)
        return Context.of(viewer, self.database, links=self.links, shortcut=self.shortcut)

    def for_operation(
        self, prepared: PreparedOperation, context: Context, authorization: str | None, deadline: Deadline
    ) -> Context:
        """The context of an operation: a mutation may write, and have the platform act until the deadline."""
        if prepared.operation.kind is not OperationType.MUTATION:
            return context
        return context.for_writing(self._acting(context, authorization, deadline))

    def _acting(self, context: Context, authorization: str | None, deadline: Deadline) -> Acting | None:
        if self.platform is None or self.links is None or context.viewer is None:
            return None
        one = Redeliveries(self.platform, context.viewer, token_of(authorization))
        return Acting(one, BulkRedeliveries(one, self.links.signer, deadline))

    async def body(self, receive: Receive, length: str) -> bytes:
        """The body of a POST, which must be small, and here in time."""
        limit = self.settings.max_body_bytes
        size = int(length) if length.isdecimal() and len(length) < 19 else 0
        if size > limit:
            raise BodyLimitExceeded(f"The body has more than {limit} bytes.", limit, size)
        seconds = self.settings.deadline_seconds

        def too_slow() -> RequestTimeout:
            return RequestTimeout(f"The body took more than {seconds:g} s to arrive.", seconds)

        return await until_disconnect(receive, _read(receive, limit), Deadline(seconds), too_slow)


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


async def _once(answer: Answer) -> AsyncGenerator[Answer]:
    yield answer


def encoded(answer: Answer) -> bytes:
    """An answer in JSON, without line ends."""
    return encode(answer.content, 200, JSON).body


def asker_of(context: Context, scope: Scope) -> str:
    """By whom requests and streams are counted: the credential, or the address of whoever has none."""
    return context.viewer.credential if context.viewer else str((scope.get("client") or ("",))[0])


def _last_event_id(scope: Scope) -> str | None:
    """Which event a client saw last, as it says itself: browsers do where they take up a stream again."""
    for name, value in scope["headers"]:
        if name == LAST_EVENT_ID and value:
            return str(value.decode("latin-1"))
    return None


def encode(body: Mapping[str, Any] | bytes, status: int, media: str, headers: Pairs = ()) -> Reply:
    """A response in JSON, as it is sent."""
    if isinstance(body, bytes):
        return Reply(body, status, media, headers)
    if body.get("errors"):
        exchange.get().code = body["errors"][0]["extensions"]["code"]
    return Reply(to_json(body), status, media, headers)


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
