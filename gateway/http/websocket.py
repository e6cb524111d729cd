"""GraphQL over a WebSocket, by the protocol `graphql-transport-ws`: many operations on one connection.

A client names itself in the head of its handshake, or in the payload of its `connection_init`, where browsers can:

    {"type": "connection_init", "payload": {"Authorization": "Bearer <key>", "X-Organization-Id": "…"}}

What breaks the protocol closes the connection with the protocol's own codes, and is a line in the log.
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from graphql import OperationType
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.deadline import Deadline
from gateway.errors import (
    BadRequest,
    ClientError,
    CrossSiteRequest,
    DeadlineExceeded,
    RateLimited,
    StreamLimitExceeded,
    Unauthorized,
    Unavailable,
)
from gateway.execution.run import Answer, GraphQLRequest, Outcome, PreparedOperation, refuse, unexpected
from gateway.execution.subscribe import subscribe_prepared
from gateway.http.credentials import ONE_AUTHORIZATION, organization_of, token_of
from gateway.http.event_stream import SECONDS_TO_TELL
from gateway.http.graphql import GraphQL, asker_of, encoded
from gateway.http.graphql_request import read_message
from gateway.http.middleware import is_cross_site, new_id
from gateway.http.streams import Caller, Stream
from gateway.observability import request_id
from gateway.observability.record import RequestRecord
from gateway.observability.recorder import Recorder
from gateway.schema.context import Context
from gateway.settings import HttpSettings

logger = logging.getLogger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
METHOD = "WEBSOCKET"  # of an operation in the log, where requests have theirs
LONGEST_REASON = 123  # bytes in the frame that closes a connection

GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013
BAD_MESSAGE, NO_ACKNOWLEDGEMENT, FORBIDDEN = 4400, 4401, 4403
WRONG_SUBPROTOCOL, INIT_TIMEOUT, TAKEN_ID, TOO_MANY_INITS, INTERNAL = 4406, 4408, 4409, 4429, 4500


class Closed(Exception):
    """The connection is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Gone(Exception):
    """The client has closed it."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """The connection. Text that is no UTF-8 closes it, as the parser does with all that is malformed: uvicorn would log
    a traceback."""

    def send_receive_event_to_app(self) -> None:
        """Pass a whole message on."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


class WebSockets:
    """The endpoint's WebSockets, an ASGI app. The `sites` of the settings may open one, and no others."""

    def __init__(self, endpoint: GraphQL, recorder: Recorder, settings: HttpSettings) -> None:
        self.endpoint = endpoint
        self.recorder = recorder
        self.trusted = settings.sites
        self.init_seconds = settings.websocket_init_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if is_cross_site(Headers(scope=scope), self.trusted):
            logger.info("a WebSocket is refused: %s", CrossSiteRequest.code)
            await send({"type": "websocket.close"})  # before it is accepted: 403
            return
        is_spoken = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if is_spoken else None})
        connection = WebSocketConnection(self, scope, receive, send)
        try:
            if not is_spoken:
                raise Closed(WRONG_SUBPROTOCOL, "Subprotocol not acceptable")
            await connection.run()
        except Gone:
            return
        except Closed as end:
            await connection.close(end.code, end.reason)
        except Exception:
            logger.exception("a WebSocket fails")
            await connection.close(INTERNAL, "Internal server error")


class WebSocketConnection:
    """One connection and its operations, by their ids."""

    def __init__(self, sockets: WebSockets, scope: Scope, receive: Receive, send: Send) -> None:
        self.endpoint = sockets.endpoint
        self.recorder = sockets.recorder
        self.init_seconds = sockets.init_seconds
        self.scope = scope
        self.streams = sockets.endpoint.streams
        self._receive = receive
        self._send = send
        self._operations: dict[str, asyncio.Task[None]] = {}
        self.authorization: str | None = None
        self._organization: str | None = None

    async def run(self) -> None:
        """Serve it until the client closes it; raises `Gone`, and `Closed` where it is to be closed."""
        context = await self._begin()
        asker = asker_of(context, self.scope)
        caller = Caller(token_of(self.authorization), self._organization, context.viewer, asker)
        try:
            stream = self.streams.open(caller, "connection")
        except ClientError as refusal:
            raise Closed(TRY_AGAIN_LATER, refusal.code) from None
        try:
            await self._say({"type": "connection_ack"})
            while True:
                await self._obey(await self._message(), caller)
        except asyncio.CancelledError:
            if not stream.ended():
                raise
            if self._operations:  # they are ended as well, and tell their client
                await asyncio.wait(self._operations.values(), timeout=SECONDS_TO_TELL)
            if stream.reason is None:
                raise Closed(GOING_AWAY, "Going away") from None
            raise Closed(FORBIDDEN, stream.reason.code) from None
        finally:
            self.streams.close(stream)
            for operation in list(self._operations.values()):
                operation.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close it."""
        if code >= BAD_MESSAGE:
            logger.info("a WebSocket is closed: %s %s", code, reason)
        short = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        with suppress(Exception):  # the client may have gone
            await self._send({"type": "websocket.close", "code": code, "reason": short})

    async def _begin(self) -> Context:
        """Who opens the connection, after its first message."""
        try:
            async with asyncio.timeout(self.init_seconds):
                while (message := await self._message())["type"] in {"ping", "pong"}:
                    if message["type"] == "ping":
                        await self._pong(message)
        except TimeoutError:
            raise Closed(INIT_TIMEOUT, "Connection initialisation timeout") from None
        if message["type"] != "connection_init":
            raise Closed(NO_ACKNOWLEDGEMENT, "Unauthorized")
        self._name_client(message.get("payload"))
        try:
            context = await self.context()
            self.endpoint.limiter.admit(asker_of(context, self.scope))
        except (Unavailable, RateLimited, DeadlineExceeded) as refusal:
            raise Closed(TRY_AGAIN_LATER, refusal.code) from None
        except ClientError as refusal:
            raise Closed(FORBIDDEN, f"Forbidden: {refusal.code}") from None
        return context

    def _name_client(self, payload: Any) -> None:
        """Read who the client says it is: what its first message tells comes before the head of the handshake."""
        headers = Headers(scope=self.scope)
        given = headers.getlist("authorization")
        if len(given) > 1:
            raise Closed(FORBIDDEN, ONE_AUTHORIZATION)
        self.authorization = given[0] if given else None
        self._organization = organization_of(headers)
        if payload is None:
            return
        if not isinstance(payload, Mapping):
            raise Closed(BAD_MESSAGE, "The payload of connection_init must be an object.")
        for name, value in payload.items():
            if name.lower() == "authorization" and isinstance(value, str):
                self.authorization = value
            elif name.lower() == "x-organization-id" and isinstance(value, str):
                self._organization = value

    async def context(self) -> Context:
        """Who asks, as of now."""
        deadline = Deadline(self.endpoint.settings.deadline_seconds)
        return await self.endpoint.context(self.authorization, self._organization, deadline)

    async def _obey(self, message: Mapping[str, Any], caller: Caller) -> None:
        """Do what a message asks for."""
        kind, id_ = message["type"], message.get("id")
        if kind == "connection_init":
            raise Closed(TOO_MANY_INITS, "Too many initialisation requests")
        if kind == "ping":
            await self._pong(message)
        elif kind in {"subscribe", "complete"}:
            if not isinstance(id_, str) or not id_:
                raise Closed(BAD_MESSAGE, f"`{kind}` needs an `id`, a text.")
            if kind == "subscribe":
                self._start(id_, message.get("payload"), caller)
            elif id_ in self._operations:
                self._operations.pop(id_).cancel()
        elif kind != "pong":
            raise Closed(BAD_MESSAGE, "The message has no `type` that a client may send.")

    def _start(self, id_: str, payload: Any, caller: Caller) -> None:
        if id_ in self._operations:
            raise Closed(TAKEN_ID, f"Subscriber for {id_} already exists")
        try:
            asked = read_message(payload)
        except BadRequest as mistake:
            raise Closed(BAD_MESSAGE, mistake.message) from None
        operation = asyncio.create_task(WebSocketOperation(self, id_, asked, caller).run())
        self._operations[id_] = operation
        operation.add_done_callback(lambda _: self._forget(id_, operation))

    def _forget(self, id_: str, operation: "asyncio.Task[None]") -> None:
        if self._operations.get(id_) is operation:
            del self._operations[id_]

    @property
    def is_full(self) -> bool:
        """Whether there are more operations under way than a credential may have streams."""
        return len(self._operations) > self.streams.settings.max_credential_streams

    async def _pong(self, ping: Mapping[str, Any]) -> None:
        await self._say({"type": "pong", **({"payload": ping["payload"]} if "payload" in ping else {})})

    async def send_text(self, text: str) -> None:
        """Send a message that is JSON already; raises `Gone`."""
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError:  # so the server says that it has lost the connection
            raise Gone from None

    async def _say(self, message: Mapping[str, Any]) -> None:
        await self.send_text(json.dumps(message, separators=(",", ":")))

    async def _message(self) -> dict[str, Any]:
        """The next message: an object with a `type`."""
        received: Message = await self._receive()
        if received["type"] == "websocket.disconnect":
            raise Gone
        try:
            message = json.loads(received.get("text") or "", parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise Closed(BAD_MESSAGE, "The message cannot be read as JSON.") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closed(BAD_MESSAGE, "A message must be an object with a `type`.")
        return message


class WebSocketOperation:
    """One operation on a connection."""

    def __init__(self, connection: WebSocketConnection, id_: str, asked: GraphQLRequest, caller: Caller) -> None:
        self.connection = connection
        self.endpoint = connection.endpoint
        self.asked = asked
        self.caller = caller
        self._id = json.dumps(id_)
        self._record = RequestRecord()

    async def run(self) -> None:
        """Run it to its end, and write a line about it."""
        connection = self.connection
        request_id.set(new_id().decode())
        recorder = connection.recorder
        if not recorder.is_idle:
            scope = connection.scope
            self._record = recorder.begin(METHOD, scope["path"], scope["headers"])
        try:
            await self._answer()
            self._record.status = 200
        except Gone:
            pass
        except ClientError as error:
            self._record.status = 200
            with suppress(Gone):
                await self._refuse(refuse(error))
        except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
            with suppress(Exception):  # the client may have gone
                await self._refuse(Answer({"errors": [unexpected(failure, connection.scope["path"])]}, Outcome.INVALID))
        finally:
            if not recorder.is_idle:
                recorder.end(self._record)

    async def _answer(self) -> None:
        connection, endpoint = self.connection, self.endpoint
        context = await connection.context()
        endpoint.limiter.admit(self.caller.name)
        if connection.is_full:
            raise StreamLimitExceeded(
                "The connection has too many operations under way.", connection.streams.settings.max_credential_streams
            )
        prepared = endpoint.prepare(self.asked, self.caller.name)
        if isinstance(prepared, Answer):
            await self._refuse(prepared)
        elif prepared.operation.kind is OperationType.SUBSCRIPTION:
            await self._stream(prepared, context)
        else:
            deadline = Deadline(endpoint.settings.deadline_seconds)
            context = endpoint.for_operation(prepared, context, connection.authorization, deadline)
            answer = await endpoint.execute(_silence, prepared, context, deadline)
            if not answer.executed or (context.viewer is None and Unauthorized.code in answer.codes):
                await self._refuse(answer)
                return
            await self._next(answer)
            await self._complete()

    async def _stream(self, prepared: PreparedOperation, context: Context) -> None:
        streams, endpoint = self.connection.streams, self.endpoint
        stream = streams.open(self.caller, "websocket")
        try:
            deadline = Deadline(endpoint.settings.deadline_seconds)
            watching = context.for_watching(endpoint.watching, None)
            begun = await deadline.run(subscribe_prepared(prepared, endpoint.documents, watching))
            if isinstance(begun, Answer):
                await self._refuse(begun)
                return
            # From here on it is answered, and whoever wants no more of it has not gone before its answer.
            self._record.status, self._record.begun = 200, time.perf_counter()
            try:
                async for answer in begun:
                    if not answer.executed:
                        await self._refuse(answer)
                        return
                    await self._next(answer, stream)
            finally:
                await begun.aclose()
            await self._complete()
        except asyncio.CancelledError:
            if not stream.ended():
                raise
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_TELL):
                    if stream.reason is None:
                        await self._complete()
                    else:
                        await self._refuse(refuse(stream.reason))
        finally:
            streams.close(stream)

    async def _next(self, answer: Answer, stream: Stream | None = None) -> None:
        self._record.events += 1
        await self._send("next", encoded(answer).decode(), stream)
        if stream is not None:
            self.connection.streams.count_event(stream)

    async def _refuse(self, answer: Answer) -> None:
        errors = encoded(answer)  # which also notes the code
        await self._send("error", json.dumps(json.loads(errors)["errors"], separators=(",", ":")))

    async def _complete(self) -> None:
        await self._send("complete", None)

    async def _send(self, kind: str, payload: str | None, stream: Stream | None = None) -> None:
        told = "" if payload is None else f',"payload":{payload}'
        text = f'{{"id":{self._id},"type":"{kind}"{told}}}'
        self._record.begun = self._record.begun or time.perf_counter()
        self._record.bytes += len(text)
        if stream is not None:
            stream.sending()
        await self.connection.send_text(text)
        if stream is not None:
            stream.sent()


async def _silence() -> Message:
    """What is received while an operation runs: its task is cancelled where the client wants no more of it."""
    await asyncio.Event().wait()
    raise AssertionError


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
