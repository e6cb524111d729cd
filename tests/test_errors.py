"""The tree of errors in the docstring is that of the classes, codes and statuses included."""

import re
from collections.abc import Iterator

from gateway import errors
from gateway.errors import ClientError, GatewayError, LimitExceeded, OperatorError, RequestFailed

BRANCHES = {GatewayError, RequestFailed, ClientError, LimitExceeded, OperatorError}


def _below(kind: type[GatewayError], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    told = f"{kind.status} {kind.code}" if issubclass(kind, RequestFailed) and kind not in BRANCHES else ""
    yield depth, kind.__name__, told
    for below in kind.__subclasses__():
        yield from _below(below, depth + 1)


def _drawn() -> Iterator[tuple[int, str, str]]:
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.fullmatch(r"    ([│├└─ ]*)([A-Z]\w+)(?: +(.*))?", line)
        if drawn is not None:
            told = re.fullmatch(r"(\d{3})  ([A-Z_]+)", drawn[3] or "")
            yield len(drawn[1]) // 4, drawn[2], f"{told[1]} {told[2]}" if told else ""


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert sorted(_drawn()) == sorted(_below(GatewayError))


def test_what_commands_fail_with_has_no_status() -> None:
    assert not hasattr(OperatorError("no"), "status")
