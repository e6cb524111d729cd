"""The beginning of a large text, read without the rest of it.

In the names of columns that a statement is asked for, `response_body:512` stands for the first 512 bytes of
`response_body`; the length of the whole comes along as `response_body:length`.
"""

from codecs import getincrementaldecoder
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UTF8 = getincrementaldecoder("utf-8")
LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a text, whether it was cut there, and how many bytes the whole has."""

    text: str
    truncated: bool
    byte_length: int


def beginning(column: str, size: int) -> str:
    """The name under which the first `size` bytes of a column are asked for."""
    return f"{column}:{size}"


def parse(name: str) -> tuple[str, int] | None:
    """The column and the number of bytes that such a name stands for; None for a plain column's name."""
    column, separator, size = name.partition(":")
    return (column, int(size)) if separator else None


def preview(values: Mapping[str, Any], column: str, size: int) -> Preview | None:
    """The preview in a row's values, never ending inside a character; None where there is no text."""
    length: int | None = values[beginning_length(column)]
    if length is None:
        return None
    start: bytes = values[beginning(column, size)] or b""  # SQLite's substr of an empty body is null
    truncated = length > size
    return Preview(UTF8("replace").decode(start, final=not truncated), truncated, length)


def beginning_length(column: str) -> str:
    """The name under which the length of the whole comes."""
    return f"{column}:{LENGTH}"
