"""Values by the column: what a GraphQL leaf type makes of many values at once, each of them checked.

A column is checked as a whole, by the set of its values' types, which costs a few nanoseconds a value. Whatever is not
plainly what the schema says raises `Unplannable`: what a resolver would make of it is then up to the ordinary executor.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from types import NoneType
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType
from msgspec import Raw
from msgspec.json import Encoder

from gateway.schema.scalars import format_time

Values = Sequence[Any]
Write = Callable[[Values], Values]
Check = Callable[[Values], None]

JSON_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))  # as every answer is written

ENCODER = Encoder()

tzinfo_of = attrgetter("tzinfo")


class Unplannable(Exception):
    """Something that a plan was not made for."""


def writer(type_: GraphQLLeafType, nullable: bool) -> Write:
    """The function that turns values of a leaf type into JSON values; `Unplannable` for a type without one."""
    if isinstance(type_, GraphQLEnumType):
        names: dict[Any, str] = {}

        def write_names(values: Values) -> Values:
            for value in set(values) - names.keys():
                names[value] = type_.serialize(value)
            return [names[value] for value in values]

        return _among_nulls(write_names) if nullable else write_names
    if type_.name == "JSON":
        return _among_nulls(_json) if nullable else _json
    if type_.name not in KINDS:
        raise Unplannable(type_.name)
    return checked(KINDS[type_.name], nullable, WRITERS.get(type_.name), CHECKS.get(type_.name))


def checked(kind: type, nullable: bool, write: Write | None = None, check: Check | None = None) -> Write:
    """What lets values of exactly one type pass, nulls where they may be, and writes them; `check` sees no nulls."""
    kinds = {kind, NoneType} if nullable else {kind}

    def write_checked(values: Values) -> Values:
        found = set(map(type, values))
        if not found <= kinds:
            raise Unplannable(found)
        if check is not None and kind in found:
            check(values if NoneType not in found else [value for value in values if value is not None])
        if write is None:
            return values
        return write(values) if NoneType not in found else _among_nulls(write)(values)

    return write_checked


def _among_nulls(write: Write) -> Write:
    """The same, with nulls left where they are."""

    def write_some(values: Values) -> Values:
        written = iter(write([value for value in values if value is not None]))
        return [None if value is None else next(written) for value in values]

    return write_some


def _between(smallest: int, largest: int) -> Check:
    """Of whole numbers."""

    def check_numbers(values: Values) -> None:
        if not (smallest <= min(values) and max(values) <= largest):
            raise Unplannable("a number beyond its type")

    return check_numbers


def _floats(values: Values) -> Values:
    return [Raw(json.dumps(value, allow_nan=False).encode()) for value in values]


def _times(values: Values) -> Values:
    return values if are_utc(values) else list(map(format_time, values))


def are_utc(times: Values) -> bool:
    """Whether JSON's writer makes of the times what `format_time` does."""
    return set(map(tzinfo_of, times)) <= {UTC}


def _json(values: Values) -> Values:
    if None in values:
        raise Unplannable("null")
    return [value if type(value) is Raw else Raw(JSON_WRITER.encode(value).encode()) for value in values]


KINDS: dict[str, type] = {
    "ID": str,
    "String": str,
    "Int": int,
    "Long": int,
    "Float": float,
    "Boolean": bool,
    "DateTime": datetime,
}
CHECKS: dict[str, Check] = {"Int": _between(-(2**31), 2**31 - 1), "Long": _between(-(2**63), 2**63 - 1)}
WRITERS: dict[str, Write] = {"Float": _floats, "DateTime": _times}
