"""JSON text that is read piece by piece, so that a file may be larger than memory.

A reader stands somewhere in a document and hands out the text of one value after the other. Each value must fit in
memory, the document need not.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

PIECE = 1 << 18
_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()
KINDS = {"[": "an array", "{": "an object", '"': "a text", "t": "true", "f": "false", "n": "null", "": "the end"}


class Malformed(Exception):
    """What is wrong, in which line, counted from 1, and in which field, where that is known."""

    def __init__(self, line: int, problem: str, field: str = "") -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.field = field


class JsonText:
    """A position in a JSON document that comes in pieces. Every method raises `Malformed` where the text is no JSON."""

    def __init__(self, pieces: Iterator[str], line: int = 1) -> None:
        self.line = line
        self._pieces = pieces
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space, or nothing at the end. `line` is then its line."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._advance(space.end() if space else self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read_on()

    def take(self, expected: str) -> str:
        """Step over one of the expected characters and return it."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(repr(character) for character in expected)
            raise Malformed(self.line, f"this is not JSON: expected {wanted}, found {_name(found)}")
        self._advance(self._at + 1)
        return found

    def end(self) -> None:
        """Make sure that nothing follows."""
        if found := self.peek():
            raise Malformed(self.line, f"this is not JSON: expected the end, found {_name(found)}")

    def elements(self) -> Iterator[int]:
        """Walk through an array: standing before each of its values, the value's index."""
        self._enter("[")
        if self.peek() == "]":
            self.take("]")
            return
        index = 0
        yield index
        while self.take(",]") == ",":
            index += 1
            yield index

    def members(self) -> Iterator[str]:
        """Walk through an object: standing before each of its values, the value's key."""
        self._enter("{")
        if self.peek() == "}":
            self.take("}")
            return
        yield self._key()
        while self.take(",}") == ",":
            yield self._key()

    def value(self) -> str:
        """Step over the next value and return its text."""
        self.peek()
        while True:
            try:
                _, end = _decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._may_be_cut(error):
                    self._advance(error.pos)
                    found = _name(self._text[error.pos : error.pos + 1])
                    raise Malformed(self.line, f"this is not JSON: {error.msg}, found {found}") from error
            except RecursionError as error:
                raise Malformed(self.line, "the JSON is nested too deeply") from error
            except ValueError as error:
                raise Malformed(self.line, "a number has too many digits") from error
            else:
                if self._ended or end + 4 < len(self._text):  # a number may go on: 1 | .5, 1e | 5, 1e+ | 5
                    start = self._at
                    self._advance(end)
                    return self._text[start:end]
            self._read_on()

    def _enter(self, opening: str) -> None:
        """Step into an array or an object; what is valid JSON of another kind is called by its kind."""
        found = self.peek()
        if found != opening:
            line = self.line
            if found not in {"", "[", "{"}:
                self.value()  # which refuses what is no JSON at all
            raise Malformed(line, f"expected {KINDS[opening]}, found {KINDS.get(found, 'a number')}")
        self.take(opening)

    def _key(self) -> str:
        if (found := self.peek()) != '"':
            raise Malformed(self.line, f"this is not JSON: expected a key in double quotes, found {_name(found)}")
        key = json.loads(self.value())
        self.take(":")
        return str(key)

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the text is only wrong because the rest of it is not there yet."""
        return error.msg.startswith("Unterminated string") or error.pos + len(r"\uXXXX\uXXXX") > len(self._text)

    def _read_on(self) -> None:
        """Double what is ahead, so that a long value is parsed a few times and not once a piece."""
        ahead = [self._text[self._at :]]
        missing = max(1, len(ahead[0]))
        while missing > 0 and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                ahead.append(piece)
                missing -= len(piece)
        self._text, self._at = "".join(ahead), 0

    def _advance(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to


class JsonFile:
    """A UTF-8 file of JSON, or of one JSON document a line. `progress` is told the bytes of each piece that is read."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._line = 1

    def document(self) -> JsonText:
        """The whole file as one document."""
        return JsonText(self._pieces(self._file.read(PIECE)))

    def lines(self) -> Iterator[JsonText]:
        """Each line as a document, to be read to its end before the next is asked for."""
        while first := self._file.readline(PIECE):
            yield JsonText(self._pieces(first, one_line=True), self._line)

    def _pieces(self, piece: bytes, *, one_line: bool = False) -> Iterator[str]:
        while piece:
            text = self._text(piece)
            # Without its end, so that a line that stops too early is refused in this line and not in the next.
            yield text.removesuffix("\n") if one_line else text
            if one_line and piece.endswith(b"\n"):
                return
            piece = self._file.readline(PIECE) if one_line else self._file.read(PIECE)
        yield self._text(b"", final=True)

    def _text(self, piece: bytes, *, final: bool = False) -> str:
        try:
            text = self._decode(piece, final)
        except UnicodeDecodeError as error:
            line = self._line + error.object.count(b"\n", 0, error.start)
            raise Malformed(line, f"this is not UTF-8: {error.reason}") from error
        self._line += piece.count(b"\n")
        self._progress(len(piece))
        return text


def _name(character: str) -> str:
    return repr(character) if character else "the end"
