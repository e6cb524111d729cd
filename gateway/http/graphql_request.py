"""What a request asks for: from a body or an address to the text of a document."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import msgspec

from gateway.errors import BadRequest
from gateway.execution.run import GraphQLRequest

MOST_PARAMETERS = 100
ANYTHING = (object, "")
BYTE_ORDER_MARK = "\ufeff"
SURROGATE = re.compile(rb"\\u[dD]")  # half a character, perhaps
JSON_KINDS: Mapping[str, tuple[type, str]] = {
    "query": (str, "a string: the text of a GraphQL document"),
    "operationName": (str, "a string"),
    "variables": (dict, "an object"),
    "extensions": (dict, "an object"),
    "documentId": (str, "a string"),
    "doc_id": (str, "a string"),
}


class PlainBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of most requests."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
    extensions: None = None
    document: None = msgspec.field(default=None, name="documentId")
    doc: None = msgspec.field(default=None, name="doc_id")


_usual = msgspec.json.Decoder(PlainBody).decode


def read_body(body: bytes) -> GraphQLRequest:
    """What the JSON body of a POST asks for; `BadRequest` where that is nothing."""
    try:
        usual = _usual(body)
    except (ValueError, RecursionError):  # whatever it is, it is told in words of our own
        return _read_body(body)
    if not usual.query or SURROGATE.search(body):
        return _read_body(body)
    return GraphQLRequest(usual.query, usual.variables, usual.operation_name or None)


def _read_body(body: bytes) -> GraphQLRequest:
    try:
        text = body.decode("utf-8-sig")  # a byte order mark says nothing in UTF-8 (RFC 8259, 8.1): some clients send it
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    parameters = _json(text, "The body")
    if isinstance(parameters, list):
        raise BadRequest("The body must be one JSON object: requests cannot be sent in batches.")
    if not isinstance(parameters, dict):
        raise BadRequest("The body must be a JSON object with a `query`.")
    return _request(parameters)


def read_message(payload: Any) -> GraphQLRequest:
    """What the payload of a message asks for; `BadRequest` where that is nothing."""
    if not isinstance(payload, dict):
        raise BadRequest("The payload must be an object with a `query`.")
    try:
        json.dumps(payload, ensure_ascii=False).encode()  # text that can be written down again
    except ValueError:
        raise BadRequest("The payload holds text that is no Unicode.") from None
    return _request(payload)


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
        if name in JSON_KINDS and value:
            if name in parameters:
                raise BadRequest(f"`{name}` is given twice.")
            parameters[name] = value
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].removeprefix(BYTE_ORDER_MARK), f"`{name}`")
    return _request(parameters)


def _request(parameters: Mapping[str, Any]) -> GraphQLRequest:
    """The parameters of either method, each of the type that it must have."""
    given = {name: value for name, value in parameters.items() if value is not None}
    for name, value in given.items():
        kind, wanted = JSON_KINDS.get(name, ANYTHING)
        if not isinstance(value, kind):
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
        value = DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest(f"{what} cannot be read as JSON.") from None
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


DECODER = json.JSONDecoder(parse_constant=_no_number)
