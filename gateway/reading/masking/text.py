"""Texts: response bodies, error messages, whatever a receiver says; they may have been cut anywhere.

Fail-closed: what cannot be told from a secret is masked, and a text that ends within a secret hides what is left of it.
Masking is linear in the length of the text and changes nothing that is masked already. Bare digests and ids in a text
stay readable: they are what one looks for in a log.
"""

import re
from collections.abc import Iterator

from gateway.reading.masking.commands import called, commanded
from gateway.reading.masking.named import named
from gateway.reading.masking.names import MASK, looks_secret
from gateway.reading.masking.openings import Kind, in_which
from gateway.reading.masking.remembered import TextMask
from gateway.reading.masking.urls import located
from gateway.reading.masking.values import Handler, Replacement, replaced

# A private key, up to its end or that of the text.
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----END))*+(?:-----END[A-Z0-9 ]*+-{0,5})?"
)
# `Bearer …` and `Basic …` without a header's name, unless a sentence or a challenge goes on.
PROSE = (
    r"(?!(?:access|and|auth|authentication|authorization|credentials?|format|header|info|is|not|or|plan|scheme|tier"
    r"|tokens?|was)(?=[.,:;!?)]*(?:\s|\Z|[\"'<]))|(?:realm|scope|charset|error\w*|resource\w*)=)"
)
BEARER_IN_PROSE = re.compile(rf"(?i:bearer)(?:\s|%20|\+)++(?i:{PROSE})([^\s\"'`<>,;\\]++)")
BASIC = re.compile(rf"(?i:basic)(?:\s|%20|\+)++(?i:{PROSE})(?=[a-z]*+[A-Z0-9+/=])([\w+/-]{{4,}}=*+)")
LETTERS = re.compile(r"[\w.+-]*+")
TAIL = re.compile(r"[\w+/=~-]*+(?:[.:|][\w+/=~-]+)*+")
ISSUED = re.compile(r"(?=[a-z_-]{0,40}[A-Z0-9])[\w+/=-]{4,}(?:\.[\w-]+)*+")
LEADING = re.compile(r"[A-Za-z0-9]")
# What follows the `@` behind `user:password`.
HOST_IN_TEXT = re.compile(
    r"(?:tcp|udp|unix|cloudsql)?\(|(?:[\w-]+(?:\.[\w-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]|/)|localhost\b|[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
)
ADDRESSES = frozenset({"mailto", "email", "mail", "from", "to", "cc", "bcc", "contact", "sip", "acct", "xmpp", "by"})


def _mask_text(text: str) -> str:
    return replaced(text, HANDLERS)


def _token(text: str, start: int, end: int) -> Iterator[Replacement]:
    before = text[start - 1 : start]
    if (
        before
        and LEADING.match(before)
        and not (before in "nrt" and text[start - 2 : start - 1] == "\\")
        and not text.startswith("eyJ", start)
    ):
        return
    end -= text[end - 1] == "\0"
    last = TAIL.match(text, end).end()  # type: ignore[union-attr]
    yield start, last, MASK


def _issued(text: str, start: int, end: int) -> Iterator[Replacement]:
    if found := ISSUED.match(text, end):
        yield start, found.end(), MASK


def _private_key(text: str, start: int, _end: int) -> Iterator[Replacement]:
    if found := PRIVATE_KEY.match(text, start):
        yield start, found.end(), MASK


def _scheme(text: str, start: int, _end: int) -> Iterator[Replacement]:
    if found := BEARER_IN_PROSE.match(text, start) or BASIC.match(text, start):
        yield *found.span(1), MASK


def _userinfo(text: str, start: int, end: int) -> Iterator[Replacement]:
    user = LETTERS.match(text[max(0, start - 64) : start][::-1])[0][::-1].lower()  # type: ignore[index]
    password = text[start + 1 : end - 1]
    if not user or user in ADDRESSES or password.startswith(MASK):
        return
    if HOST_IN_TEXT.match(text, end) or looks_secret(password):
        yield start + 1, end - 1, MASK


HANDLERS: dict[Kind, Handler] = {
    Kind.NAME: named,
    Kind.TOKEN: _token,
    Kind.ISSUER: _issued,
    Kind.URL: located,
    Kind.PATH: located,
    Kind.PRIVATE_KEY: _private_key,
    Kind.SCHEME: _scheme,
    Kind.COMMAND: commanded,
    Kind.CALL: called,
    Kind.USERINFO: _userinfo,
}

# The text with the credentials in it masked; it may have been cut anywhere.
mask_text = TextMask(_mask_text, in_which)
