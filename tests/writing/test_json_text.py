"""JSON that comes in pieces."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.writing.json_text import JsonFile, JsonText, Malformed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def pieces(text: str, size: int) -> JsonText:
    return JsonText(iter([text[start : start + size] for start in range(0, len(text), size)]))


def read_array(text: JsonText) -> list[Any]:
    values = [json.loads(text.value()) for _ in text.elements()]
    text.end()
    return values


@given(st.lists(VALUES), st.integers(1, 20), st.sampled_from([None, 1]))
def test_elements_do_not_depend_on_where_the_pieces_end(values: list[Any], size: int, indent: int | None) -> None:
    assert read_array(pieces(json.dumps(values, indent=indent), size)) == values


@given(st.dictionaries(st.text(), VALUES), st.integers(1, 20))
def test_members_do_not_depend_on_where_the_pieces_end(value: dict[str, Any], size: int) -> None:
    text = pieces(json.dumps(value), size)
    assert {key: json.loads(text.value()) for key in text.members()} == value


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("document", "line"),
    [
        ("", 1),
        ("{}", 1),
        ("[\n1,\n2", 3),
        ("[1,\n\n2 3]", 3),
        ('[\n{"a": 1,\n"b" 2}]', 3),
        ('[\n"open', 2),
        ("[tru]", 1),
        ("[1]\n]", 2),
        ("[1,]", 1),
    ],
)
def test_wrong_json_is_refused_in_its_line(document: str, line: int, size: int) -> None:
    with pytest.raises(Malformed) as refused:
        read_array(pieces(document, size))
    assert refused.value.line == line


def test_a_mistake_is_found_without_reading_the_rest() -> None:
    read: list[str] = []

    def endless() -> Any:
        while True:
            read.append('{"a" 1}, ' * 10)
            yield read[-1]

    text = JsonText(endless())
    with pytest.raises(Malformed):
        text.value()
    assert len(read) < 5


def test_lines_are_counted_and_skip_a_byte_order_mark() -> None:
    told: list[int] = []
    file = JsonFile(io.BytesIO(b'\xef\xbb\xbf{"a":1}\r\n\n{"b":2}'), told.append)
    lines = [(text.line, [json.loads(text.value()) for _ in text.members()]) for text in file.lines() if text.peek()]
    assert lines == [(1, [1]), (3, [2])]
    assert sum(told) == 20


@pytest.mark.parametrize("cut", [b'{"a": 1', b'{"a": 1,', b'{"a": [', b'{"a'])
def test_a_line_that_stops_too_early_is_refused_as_this_line(cut: bytes) -> None:
    file = JsonFile(io.BytesIO(b'{"a": 0}\n' + cut + b'\n{"a": 2}\n'), lambda _: None)
    with pytest.raises(Malformed) as refused:
        [[text.value() for _ in text.members()] for text in file.lines()]
    assert refused.value.line == 2


def test_bytes_that_are_not_utf_8_are_refused_in_their_line() -> None:
    text = JsonFile(io.BytesIO(b'[\n"ok",\n"\xff"]'), lambda _: None).document()
    with pytest.raises(Malformed, match="not UTF-8") as refused:
        read_array(text)
    assert refused.value.line == 3


@pytest.mark.parametrize("value", ["[" * 100_000, "[" + "9" * 5000 + "]"])
def test_extreme_values_are_refused(value: str) -> None:
    with pytest.raises(Malformed):
        pieces(value, 1000).value()
