"""GraphQL over HTTP: GET and POST on one address, and the explorer for whoever asks for HTML."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.database.engine import Database
from gateway.errors import (
    BadRequest,
    BodyLimitExceeded,
    ClientError,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    RequestTimeout,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.execution.documents import Documents
from gateway.execution.run import Answer, GraphQLRequest, Outcome, execute_prepared, prepare, refuse, unexpected
from gateway.http.attended import attended
from gateway.http.credentials import Credentials
from gateway.http.rate_limit import RateLimiter
from gateway.observability.exchange import exchange
from gateway.schema.context import Context
from gateway.viewer import READ

PATH = "/graphql"
JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
COST_HEADER = "x-graphql-cost"
COST_SCOPE = "cost:read"
METHODS = {"GET", "HEAD", "POST"}
PARAMETERS = ("query", "variables", "operationName", "extensions", "documentId", "doc_id")
MOST_PARAMETERS = 100

# The status of an answer: as application/json, as application/graphql-response+json, and as the 2026 draft has that.
STATUSES = {
    Outcome.COMPLETE: (200, 200, 200),
    Outcome.PARTIAL: (200, 200, 294),
    Outcome.UNFIT: (200, 400, 422),
    Outcome.UNREADABLE: (200, 400, 400),
    Outcome.LATE: (200, 504, 504),
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
    ) -> None:
        self.documents = documents
        self.database = database
        self.credentials = credentials
        self.manners = manners
        self.limiter = limiter
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self.respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Answer one request; a failure becomes a GraphQL error, whatever it is."""
        page = self.page(request) if self.page is not None else None
        if page is not None:
            return page
        media = JSON
        try:
            if request.method not in METHODS:
                raise MethodNotAllowed(f"{request.method} is not for this address: use GET or POST.")
            media = negotiate(request.headers.getlist("accept"), strict=self.is_strict(request))
            return await self.answer(request, media)
        except ClientError as error:
            return encode(refuse(error).body, error.status, media, _headers(error))
        except ClientDisconnect:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it is, nothing of it may be sent
            return encode({"errors": [unexpected(failure, request.url.path)]}, InternalError.status, media)

    async def answer(self, request: Request, media: str) -> Response:
        """Who asks, what for, and the answer, in this order."""
        context = await self.context(request)
        asker = context.viewer.credential if context.viewer else request.client.host if request.client else ""
        self.limiter.admit(asker)
        is_post = request.method == "POST"
        asked = read_body(await self.body(request)) if is_post else read_parameters(request.scope["query_string"])
        started = time.perf_counter()
        prepared = prepare(asked, self.documents, queries_only=not is_post)
        self.limiter.charge(asker, (time.perf_counter() - started) * 1000)
        if isinstance(prepared, Answer):
            return self.encode(prepared, media)
        work = execute_prepared(prepared, self.documents, context, self.manners.deadline, plans=self.manners.plans)
        answer = await attended(request.receive, work)
        if context.viewer is None and Unauthorized.code in answer.codes:
            raise Unauthorized
        if self.may_see_cost(request, context):
            answer = answer.with_extensions(cost={"actual": prepared.cost, "limit": self.documents.limits.cost})
        response = self.encode(answer, media)
        if self.manners.open_door:
            response.headers["X-GraphQL-Path"] = "planned" if answer.planned else "ordinary"
            response.headers["X-GraphQL-Statements"] = str(context.rows.statements if context.rows else 0)
        return response

    def encode(self, answer: Answer, media: str) -> Response:
        """An answer with the status of its media type."""
        as_json, as_response, as_draft = STATUSES[answer.outcome]
        status = as_json if media == JSON else as_draft if self.manners.draft_statuses else as_response
        headers = {"Retry-After": str(Unavailable.retry_after)} if answer.outcome is Outcome.UNAVAILABLE else None
        return encode(answer.content, status, media, headers)

    def is_strict(self, request: Request) -> bool:
        """Whether a wildcard in `Accept` is too little, because links and images of other sites send that.

        A browser says that a script asks, whose answers other sites cannot read, in `Sec-Fetch-Mode`.
        """
        by_script = request.headers.get("sec-fetch-mode") in {"cors", "same-origin"}
        return self.manners.get_needs_accept and request.method in {"GET", "HEAD"} and not by_script

    def may_see_cost(self, request: Request, context: Context) -> bool:
        """Whether the answer tells what it cost: on request, and outside of development to those with the scope."""
        wanted = request.headers.get(COST_HEADER, "") not in {"", "0"}
        known = self.manners.open_door or (context.viewer is not None and COST_SCOPE in context.viewer.scopes)
        return wanted and known

    async def context(self, request: Request) -> Context:
        """Who asks. Behind the open door, whoever sends no credential may look at the schema, but reads no rows."""
        authorization = request.headers.get("authorization")
        if authorization is None and self.manners.open_door:
            return Context(None, None)
        scheme, token = get_authorization_scheme_param(authorization)
        bearer = token if scheme.lower() == "bearer" else None
        viewer = await self.credentials.viewer(bearer, request.headers.get("x-organization-id"))
        viewer.require(READ)
        return Context.of(viewer, self.database)

    async def body(self, request: Request) -> bytes:
        """The body of a POST, which must be JSON in UTF-8, small, and here in time."""
        kind, parameters = parse_media_type(request.headers.get("content-type", ""))
        if kind != JSON or parameters.get("charset", "utf-8") not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType("Send application/json, in UTF-8.")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
        limit = self.manners.max_body_bytes
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() and len(announced) < 19 else 0
        body = bytearray()
        if size <= limit:
            try:
                async with asyncio.timeout(self.manners.deadline):
                    async for chunk in request.stream():
                        body += chunk
                        size = len(body)
                        if size > limit:
                            break
            except TimeoutError:
                seconds = self.manners.deadline or 0
                raise RequestTimeout(f"The body took more than {seconds:g} s to arrive.", seconds) from None
        if size > limit:
            raise BodyLimitExceeded(f"The body has more than {limit} bytes.", limit, size)
        return bytes(body)


def read_body(body: bytes) -> GraphQLRequest:
    """What the JSON body of a POST asks for; `BadRequest` where that is nothing."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    parameters = _json(text, "The body")
    if isinstance(parameters, list):
        raise BadRequest("The body must be one JSON object: requests cannot be sent in batches.")
    if not isinstance(parameters, dict):
        raise BadRequest("The body must be a JSON object with a `query`.")
    return _request(parameters)


def read_parameters(query_string: bytes) -> GraphQLRequest:
    """What the parameters of a GET ask for; `BadRequest` where that is nothing. Unknown parameters are ignored."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise BadRequest("The parameters cannot be read.") from None
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        if name in PARAMETERS and value:
            if name in parameters:
                raise BadRequest(f"`{name}` is given twice.")
            parameters[name] = value
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name], f"`{name}`")
    return _request(parameters)


def negotiate(accept: list[str], *, strict: bool = False) -> str:
    """The media type to answer with: the one that the client prefers, and application/json where it has no preference.

    `NotAcceptable` where it accepts neither; `strict` wants it to name one of them.
    """
    ranges: list[tuple[str, float]] = []
    for part in ",".join(accept).split(","):
        kind, parameters = parse_media_type(part)
        if kind and parameters.get("charset", "utf-8") in {"utf-8", "utf8", "*"}:
            ranges.append((kind, _quality(parameters.get("q", "1"))))
    if not "".join(accept).strip():
        ranges = [("*/*", 1.0)]
    liked: list[tuple[float, bool, str]] = []
    for media in (JSON, RESPONSE_JSON):
        for pattern in (media,) if strict else (media, "application/*", "*/*"):
            qualities = [quality for kind, quality in ranges if kind == pattern]
            if qualities:
                liked.append((max(qualities), media == pattern == RESPONSE_JSON, media))
                break
    quality, _, media = max(liked, default=(0.0, False, JSON), key=lambda each: each[:2])
    if quality <= 0:
        raise NotAcceptable(f"Answers are {RESPONSE_JSON} or {JSON}: name one of them in Accept.")
    return media


def parse_media_type(text: str) -> tuple[str, Mapping[str, str]]:
    """A media type and its parameters, all in lower case; an empty one where there is none."""
    kind, *rest = text.lower().split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def encode(
    body: Mapping[str, Any] | bytes, status: int, media: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A response in JSON. Text that is no Unicode is escaped, and a number that JSON does not have becomes null."""
    if isinstance(body, bytes):
        return Response(body, status, headers, media_type=f"{media}; charset=utf-8")
    if body.get("errors"):
        exchange.get().code = body["errors"][0]["extensions"]["code"]
    try:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        content = json.dumps(_finite(body), separators=(",", ":")).encode()
    return Response(content, status, headers, media_type=f"{media}; charset=utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _request(parameters: Mapping[str, Any]) -> GraphQLRequest:
    """The parameters of either method, each of the type that it must have."""
    given = {name: value for name, value in parameters.items() if value is not None}
    for name, kind, wanted in (
        ("query", str, "a string: the text of a GraphQL document"),
        ("operationName", str, "a string"),
        ("variables", dict, "an object"),
        ("extensions", dict, "an object"),
        ("documentId", str, "a string"),
        ("doc_id", str, "a string"),
    ):
        if not isinstance(given.get(name, kind()), kind):
            raise BadRequest(f"`{name}` must be {wanted}.")
    query, hash_ = given.get("query") or None, _hash(given)
    if query is None and hash_ is None:
        raise BadRequest("`query` must be the text of a GraphQL document.")
    return GraphQLRequest(query, given.get("variables"), given.get("operationName") or None, hash_)


def _hash(given: Mapping[str, Any]) -> str | None:
    """The hash that names the document, in any of the three ways that clients have."""
    persisted = given.get("extensions", {}).get("persistedQuery")
    if persisted is None:
        named = given.get("documentId") or given.get("doc_id")
        return None if named is None else str(named).removeprefix("sha256:")
    if not isinstance(persisted, dict) or persisted.get("version") != 1:
        raise BadRequest("`extensions.persistedQuery` must be an object with the `version` 1.")
    hash_ = persisted.get("sha256Hash")
    if not isinstance(hash_, str):
        raise BadRequest("`extensions.persistedQuery.sha256Hash` must be a string.")
    return hash_


def _json(text: str, what: str) -> Any:
    """JSON without the numbers that it does not have, and whose text can be written down again."""
    try:
        value = json.loads(text, parse_constant=_no_number)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest(f"{what} cannot be read as JSON.") from None
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _headers(error: ClientError) -> dict[str, str]:
    """The headers that belong to an error's status."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": "GET, HEAD, POST"}
    if isinstance(error, RateLimited | Unavailable) and error.retry_after is not None:
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, RequestTimeout):
        return {"Connection": "close"}
    return {}
