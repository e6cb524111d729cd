"""Documents and bodies that are small to send and were made to be expensive to look at."""

import json
from typing import Any


def bomb(levels: int, on: str = "Query", field: str = "__typename") -> str:
    """Fragments that spread the next one twice: 2 to the power of `levels` fields in a line or two."""
    fragments = [f"fragment f{n} on {on}{{...f{n + 1} ...f{n + 1}}}" for n in range(levels)]
    return " ".join(["{...f0}", *fragments, f"fragment f{levels} on {on}{{{field}}}"])


def inner_bomb(levels: int) -> str:
    """The same below a root field, through fields, so that no limit on root fields sees it."""
    fragments = [
        f"fragment f{n} on BatchCallbackDelivery{{a:batch{{callbackDeliveries{{...f{n + 1}}}}} "
        f"b:batch{{callbackDeliveries{{...f{n + 1}}}}}}}"
        for n in range(levels)
    ]
    last = f"fragment f{levels} on BatchCallbackDelivery{{id}}"
    return " ".join(['{callbackDelivery(id:"x"){...f0}}', *fragments, last])


def selecting(*fields: str) -> str:
    """A query of these root fields."""
    return "{" + " ".join(fields) + "}"


DOCUMENTS: dict[str, tuple[str, str]] = {
    "fragment bomb, 22 levels": (bomb(22), "ROOT_FIELD_LIMIT_EXCEEDED"),
    "fragment bomb, 200 levels": (bomb(200), "DEPTH_LIMIT_EXCEEDED"),
    "fragment bomb through fields": (inner_bomb(22), "DEPTH_LIMIT_EXCEEDED"),
    "fragment bomb of nothing": (bomb(22, field=""), "SELECTION_LIMIT_EXCEEDED"),
    "5,000 directives": (selecting("__typename " + "@include(if:true)" * 5_000), "LENGTH_LIMIT_EXCEEDED"),
    "5,000 short directives": (selecting("__typename " + "@a" * 5_000), "TOKEN_LIMIT_EXCEEDED"),
    "400 directives": (selecting("__typename " + "@include(if:true)" * 400), "DIRECTIVE_LIMIT_EXCEEDED"),
    "500 duplicate fields": (selecting(*["__typename"] * 500), "ROOT_FIELD_LIMIT_EXCEEDED"),
    "500 duplicate fields below": (selecting('batch(id:"x"){' + "id " * 500 + "}"), "OVERLAP_LIMIT_EXCEEDED"),
    "10,000 aliases": (selecting(*[f"a{n}:__typename" for n in range(10_000)]), "LENGTH_LIMIT_EXCEEDED"),
    "900 aliases": (selecting(*[f"a{n}:__typename" for n in range(900)]), "ROOT_FIELD_LIMIT_EXCEEDED"),
    "900 aliases below": (
        selecting('batch(id:"x"){' + " ".join(f"a{n}:id" for n in range(900)) + "}"),
        "ALIAS_LIMIT_EXCEEDED",
    ),
    "nested to 150": ("{a" * 150 + "}" * 150, "DEPTH_LIMIT_EXCEEDED"),
    "nested to 5,000": ("{a" * 5_000, "GRAPHQL_PARSE_FAILED"),
    "a list nested to 5,000": ("{a(b:" + "[" * 5_000, "GRAPHQL_PARSE_FAILED"),
    "inline fragments nested to 150": ("{" + "...{" * 150 + "a" + "}" * 151, "DEPTH_LIMIT_EXCEEDED"),
    "20,000 empty lines": ("\n" * 20_000 + "{a}", "TOKEN_LIMIT_EXCEEDED"),
    "20,000 comments": ("#\r" * 20_000 + "{a}", "TOKEN_LIMIT_EXCEEDED"),
    "a long string of escapes": ('{a(b:"' + "\\n" * 24_000 + '"', "GRAPHQL_PARSE_FAILED"),
    "a long block string": ('{a(b:"""' + "\n" * 2_000 + "x" * 45_000 + '""")', "GRAPHQL_PARSE_FAILED"),
    "500 operations": (" ".join(f"query q{n}{{a}}" for n in range(500)), "GRAPHQL_VALIDATION_FAILED"),
    "300 fragments in a row": (
        " ".join(["{...f0}", *[f"fragment f{n} on Query{{...f{n + 1}}}" for n in range(300)]]),
        "DEPTH_LIMIT_EXCEEDED",
    ),
    "100 fragments side by side": (
        " ".join(
            ['{batch(id:"x"){', *[f"...f{n}" for n in range(100)], "}}"]
            + [f"fragment f{n} on Batch{{id orgId statusCode createdAt}}" for n in range(100)]
        ),
        "OVERLAP_LIMIT_EXCEEDED",
    ),
    "operations times fragments": (
        " ".join(
            [*[f"query q{n}($v:Int){{...f0}}" for n in range(120)]]
            + [f"fragment f{n} on Query{{...f{n + 1}}}" for n in range(90)]
            + ["fragment f90 on Query{__typename}"]
        ),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "unknown fields": (
        selecting('batch(id:"x"){' + " ".join(f"x{n}" for n in range(900)) + "}"),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "every child of every child": (
        "{batches(first:500){nodes{callbackDeliveries(first:500){attempts(first:500){id}}}}}",
        "COST_LIMIT_EXCEEDED",
    ),
}  # fmt: skip

MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "invalid UTF-8": b'{"query":"\xff\xfe"}',
    "UTF-16": '{"query":"{__typename}"}'.encode("utf-16"),
    "null": b"null",
    "a number": b"5",
    "a string": b'"x"',
    "a list": b"[5]",
    "a batch": b'[{"query":"{__typename}"}]',
    "100,000-deep JSON": b"[" * 100_000,
    "100,000-deep variables": b'{"query":"{__typename}","variables":{"a":' + b"[" * 100_000,
    "closed deep JSON": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "an integer of 5,000 digits": b'{"query":"{__typename}","variables":{"a":' + b"9" * 5_000 + b"}}",
    "NaN": b'{"query":"{__typename}","variables":{"a":NaN}}',
    "Infinity": b'{"query":"{__typename}","variables":{"a":-Infinity}}',
    "a lone surrogate": b'{"query":"{__typename}","variables":{"a":"\\ud800"}}',
    "no query": b"{}",
    "an empty query": b'{"query":""}',
    "query is a number": b'{"query":1}',
    "query is a list": b'{"query":["{__typename}"]}',
    "variables are a string": b'{"query":"{__typename}","variables":"{}"}',
    "variables are a list": b'{"query":"{__typename}","variables":[]}',
    "operationName is a number": b'{"query":"{__typename}","operationName":1}',
    "extensions are a string": b'{"query":"{__typename}","extensions":"x"}',
    "persistedQuery is a string": b'{"query":"{__typename}","extensions":{"persistedQuery":"x"}}',
    "persistedQuery without a hash": b'{"extensions":{"persistedQuery":{"version":1}}}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "HTML": b"<html>",
    "half of it": b'{"query":"{__type',
    "a NUL": b'{"query":"{__typename}\x00"}',
}


def body(document: str, **more: Any) -> bytes:
    """The body of a POST that asks for a document."""
    return json.dumps({"query": document, **more}).encode()
