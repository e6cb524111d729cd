"""Values by the column: what a GraphQL leaf type makes of many values at once, each of them checked.

A column is checked as a whole, by the set of its values' types, which costs a few nanoseconds a value. Whatever is not
plainly what the schema says raises `Odd`: what a resolver would make of it is then up to the ordinary executor.
"""

import json
from array import array
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

JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))  # as every answer is written

ENCODER = Encoder()

zone_of = attrgetter("tzinfo")


class Odd(Exception):
    """Something that a plan was not made for."""


def writer(type_: GraphQLLeafType, nullable: bool) -> Write:
    """What turns values of a leaf type into ones that are written as JSON; `Odd` for a type that has no writer."""
    if isinstance(type_, GraphQLEnumType):
        names: dict[Any, str] = {}

        def write_names(values: Values) -> Values:
            for value in set(values) - names.keys():
                names[value] = type_.serialize(value)
            return [names[value] for value in values]

        return _among_nulls(write_names) if nullable else write_names
    kind, write = WRITERS.get(type_.name, (None, None))
    if kind is None:
        raise Odd(type_.name)
    if type_.name == "JSON":
        return _among_nulls(_json) if nullable else _json
    return checked(kind, nullable, write)


def checked(kind: type, nullable: bool, write: Write | None = None) -> Write:
    """What lets values of exactly one type pass, nulls where they may be, and writes them."""
    kinds = {kind, NoneType} if nullable else {kind}

    def write_checked(values: Values) -> Values:
        found = set(map(type, values))
        if not found <= kinds:
            raise Odd(found)
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


def _ints(values: Values) -> Values:
    array("i", values)  # which holds numbers of 32 bits, as GraphQL's Int does
    return values


def _longs(values: Values) -> Values:
    array("q", values)
    return values


def _floats(values: Values) -> Values:
    return [Raw(json.dumps(value, allow_nan=False).encode()) for value in values]


def _times(values: Values) -> Values:
    return values if are_utc(values) else list(map(format_time, values))


def are_utc(times: Values) -> bool:
    """Whether JSON's writer makes of the times what `format_time` does."""
    return set(map(zone_of, times)) <= {UTC}


def _json(values: Values) -> Values:
    if None in values:
        raise Odd("null")
    return [value if type(value) is Raw else Raw(JSON.encode(value).encode()) for value in values]


WRITERS: dict[str, tuple[type, Write | None]] = {
    "ID": (str, None),
    "String": (str, None),
    "Int": (int, _ints),
    "Long": (int, _longs),
    "Float": (float, _floats),
    "Boolean": (bool, None),
    "DateTime": (datetime, _times),
    "JSON": (object, _json),
}
