"""Where a value ends, and what stands in its place: quoted, in brackets, or bare; the text may be cut anywhere."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from gateway.reading.masking.names import MASK
from gateway.reading.masking.openings import Kind, Opening, places

# A part of a text and what stands there instead.
Replacement = tuple[int, int, str]
Handler = Callable[[str, int, int], Iterable[Replacement]]

# A quote: bare, escaped by JSON in JSON, an HTML entity, or percent-encoded.
QUOTE = r"""(?:\\*+["'`]|&quot;|&\#3[49];|&\#x2[27];|%2[27])"""
# The start of a quoted value; Python's b'…' too.
OPENING = re.compile(rf"[bBrRuU]{{0,2}}({QUOTE})", re.VERBOSE)
# What matters within brackets: brackets, and quotes with the backslashes before them.
BRACKET = re.compile(r"""[\[{(\]})]|\\++["']?|["']""")
QUOTE_MARKS = {quote: re.compile(rf"\\++{quote}?|{quote}") for quote in "\"'`"}
# An authorization scheme before its credentials, which is shown.
SCHEMES = r"(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate|NTLM|OAuth|HMAC|AWS4-HMAC-SHA256)"
SCHEME = re.compile(rf"{SCHEMES}(?:\s|%20|\+)++(?=\S)", re.IGNORECASE)
MOST_IN_URLS = 20_000  # characters of URLs in one text that take more than a look; what follows them is masked whole
MOST_MARKS = 3_000  # quotes and brackets in one value; a value with more is masked up to the end of the text
PUNCTUATION = ").,;:!?}"  # what a sentence may add to a value, three of them at most


def replaced(text: str, handlers: Mapping[Kind, Handler]) -> str:
    """The text with what the handlers of the places in it put there, from left to right; what is done is not looked at
    again.
    """
    found = places(text)
    return text if not found else _replaced(text, found, handlers)


def _replaced(text: str, found: Iterable[Opening], handlers: Mapping[Kind, Handler]) -> str:
    parts: list[str] = []
    done = in_urls = 0
    for start, end, kind in found:
        if end <= done or (start < done and kind is not Kind.NAME):
            continue
        if kind is Kind.REST or in_urls > MOST_IN_URLS:
            parts += text[done:start], MASK
            done = len(text)
            break
        handler = handlers.get(kind)
        if handler is None:
            continue
        for begin, finish, instead in handler(text, start, end):
            if begin >= done:
                if kind is Kind.URL or kind is Kind.PATH:
                    in_urls += finish - begin
                parts += text[done:begin], instead
                done = finish
    return "".join([*parts, text[done:]]) if parts else text


def unpunctuated(value: str) -> str:
    """A value without the punctuation of the sentence that it ends."""
    if not value or value[-1] not in PUNCTUATION:
        return value
    return value[:-3] + value[-3:].rstrip(PUNCTUATION)


def masked_value(value: str) -> str:
    """The mask for a value, after the scheme of an authorization; nothing for nothing."""
    scheme = SCHEME.match(value)
    return (scheme[0] if scheme else "") + MASK if value.strip() else value


def closing(text: str, quote: str, start: int) -> tuple[int, int]:
    """Where the closing quote of a string begins and ends; the end of the text where there is none."""
    if quote[-1] not in QUOTE_MARKS:
        end = text.find(quote, start)
        return (len(text), len(text)) if end < 0 else (end, end + len(quote))
    escapes = len(quote) - 1
    for mark in islice(QUOTE_MARKS[quote[-1]].finditer(text, start), MOST_MARKS):
        before = len(mark[0]) - 1
        if not mark[0].endswith(quote[-1]):
            continue
        if before < escapes:  # the string around this one ends
            return mark.start(), mark.start()
        # Each level of JSON in JSON doubles the backslashes: those of an escaped quote, or of backslashes in the value.
        if before % (2 * escapes + 2) == escapes:
            return mark.end() - len(quote), mark.end()
    return len(text), len(text)


def after_brackets(text: str, start: int) -> int:
    """Where the array or object that begins here has ended; the end of the text where it has not."""
    depth = 0
    at = start
    marks = 0
    while (mark := BRACKET.search(text, at)) and marks < MOST_MARKS:
        at, marks = mark.end(), marks + 1
        if mark[0] in "[{(":
            depth += 1
        elif mark[0] in "]})":
            depth -= 1
            if depth == 0:
                return at
        elif mark[0][-1] != "\\":
            _, at = closing(text, mark[0], at)
    return len(text)
