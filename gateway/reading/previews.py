"""The beginning of a large text, read without the rest of it."""

from codecs import getincrementaldecoder
from dataclasses import dataclass, replace

UTF8 = getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class PreviewedText:
    """The beginning of a text, whether it was cut there, and how many bytes the whole has."""

    text: str
    truncated: bool
    byte_length: int

    def showing(self, text: str) -> "PreviewedText":
        """The same with another text, in which secrets are masked."""
        return replace(self, text=text)


@dataclass(frozen=True, slots=True)
class Preview:
    """The first `size` bytes of a column, wanted instead of all of it.

    A statement returns two columns for it: the bytes under `label`, such as `response_body:512`, and the length of the
    whole under `length_label`, such as `response_body:length`.
    """

    column: str
    size: int

    @property
    def label(self) -> str:
        """The name under which a statement returns the first bytes."""
        return f"{self.column}:{self.size}"

    @property
    def length_label(self) -> str:
        """The name under which a statement returns the length of the whole, in bytes."""
        return f"{self.column}:length"

    def text(self, start: bytes | None, length: int | None) -> PreviewedText | None:
        """The text in the first bytes, never ending inside a character; None where there is no text at all."""
        if length is None:
            return None
        truncated = length > self.size
        # SQLite's substr of an empty body is null.
        return PreviewedText(UTF8("replace").decode(start or b"", final=not truncated), truncated, length)


Wanted = str | Preview  # what a statement reads of a row: a column by its name, or the beginning of one
