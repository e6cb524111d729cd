"""What the head of a GraphQL request says, read once for all requests that say the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.errors import ClientError, NotAcceptable, Unauthorized, UnsupportedMediaType
from gateway.http.credentials import ONE_AUTHORIZATION, organization_of

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed"
MULTIPART_VERSION = "1.0"  # of Apollo's protocol for subscriptions over HTTP
COST_HEADER = "x-graphql-cost"
AUTHORIZATION = b"authorization"
READ_ONCE = frozenset(
    name.encode()
    for name in ("accept", "content-encoding", "content-type", "sec-fetch-mode", "x-organization-id", COST_HEADER)
)
HEADS_REMEMBERED = 1_000  # heads that clients send again and again
LONGEST_HEAD = 2_000  # bytes of the headers of one that is remembered

HeaderPairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """How to answer, for which organization, and what is wrong with the body before it is read.

    `media` is what the client prefers for one answer, or what to refuse it with; `stream` is the media type that it
    names for many of them, None where it takes one answer only.
    """

    media: str | NotAcceptable
    organization: str | None
    wants_cost: bool
    unreadable: ClientError | None
    stream: str | None


def read_request_head(scope: Scope, get_needs_accept: bool) -> tuple[RequestHead, str | Unauthorized | None, str]:
    """The head of a request, its `Authorization`, or what to refuse several with, and its `Content-Length`, empty where
    it has none.

    Credentials are read each time: they are not to be remembered as they are.
    """
    authorization: str | Unauthorized | None = None
    length, size = "", 0
    pairs = []
    for pair in scope["headers"]:
        name, value = pair
        if name in READ_ONCE:
            pairs.append(pair)
            size += len(value)
        elif name == AUTHORIZATION:
            first = authorization is None
            authorization = value.decode("latin-1") if first else Unauthorized(ONE_AUTHORIZATION)
        elif name == b"content-length":
            length = value.decode("latin-1")
    strict = get_needs_accept and scope["method"] != "POST"
    read = _read if size <= LONGEST_HEAD else _read.__wrapped__
    return read(tuple(pairs), strict), authorization, length


@lru_cache(maxsize=HEADS_REMEMBERED)
def _read(pairs: HeaderPairs, strict: bool) -> RequestHead:
    headers = Headers(raw=list(pairs))
    # Links and images of other sites send a wildcard in `Accept`, which is too little then. A browser says that a
    # script asks, whose answers other sites cannot read, in `Sec-Fetch-Mode`.
    strict = strict and headers.get("sec-fetch-mode") not in {"cors", "same-origin"}
    media: str | NotAcceptable
    try:
        media = negotiate(headers.getlist("accept"), strict=strict)
    except NotAcceptable as refusal:
        media = refusal
    return RequestHead(
        media,
        organization_of(headers),
        headers.get(COST_HEADER, "") not in {"", "0"},
        _unreadable(headers),
        stream_of(headers.getlist("accept")),
    )


def _unreadable(headers: Headers) -> ClientError | None:
    """Why a body with these headers cannot be read: it must be JSON in UTF-8, as it is."""
    kind, parameters = parse_media_type(", ".join(headers.getlist("content-type")))
    if kind != JSON or parameters.get("charset", "utf-8") not in {"utf-8", "utf8"}:
        return UnsupportedMediaType("Send application/json, in UTF-8.")
    if ", ".join(headers.getlist("content-encoding")).lower() not in {"", "identity"}:
        return UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    return None


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


def stream_of(accept: list[str]) -> str | None:
    """The media type of streams that a client likes best, of those that it names; a wildcard means one answer."""
    liked: dict[str, float] = {}
    for part in ",".join(accept).split(","):
        kind, given = parse_media_type(part)
        if kind == EVENT_STREAM or (kind == MULTIPART and given.get("subscriptionspec") == MULTIPART_VERSION):
            liked.setdefault(kind, _quality(given.get("q", "1")))
    media = max(liked, key=lambda kind: liked[kind], default=None)
    return None if media is None or liked[media] <= 0 else media


def parse_media_type(text: str) -> tuple[str, Mapping[str, str]]:
    """A media type and its parameters, all in lower case; an empty one where there is none."""
    kind, *rest = text.lower().split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
