"""Texts: response bodies, error messages, whatever a receiver says; they may have been cut anywhere.

Fail-closed: what cannot be told from a secret is masked, and a text that ends within a secret hides what is left of it.
Masking is linear in the length of the text and changes nothing that is masked already. Bare digests and ids in a text
stay readable: they are what one looks for in a log.
"""

import re
from collections.abc import Iterator
from typing import Any

from gateway.reading.masking.named import named
from gateway.reading.masking.names import MASK, explains, is_credential, looks_secret
from gateway.reading.masking.openings import Kind
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
BEARER = re.compile(rf"(?i:bearer)(?:\s|%20|\+)++(?i:{PROSE})([^\s\"'`<>,;\\]++)")
BASIC = re.compile(rf"(?i:basic)(?:\s|%20|\+)++(?i:{PROSE})(?=[a-z]*+[A-Z0-9+/=])([\w+/-]{{4,}}=*+)")
LETTERS = re.compile(r"[\w.+-]*+")
TAIL = re.compile(r"[\w+/=~-]*+(?:[.:|][\w+/=~-]+)*+")
ISSUED = re.compile(r"(?=[a-z_-]{0,40}[A-Z0-9])[\w+/=-]{4,}(?:\.[\w-]+)*+")
LEADING = re.compile(r"[A-Za-z0-9]")
# What follows the `@` behind `user:password`.
HOST = re.compile(
    r"(?:tcp|udp|unix|cloudsql)?\(|(?:[\w-]+(?:\.[\w-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]|/)|localhost\b|[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
)
ADDRESSES = frozenset({"mailto", "email", "mail", "from", "to", "cc", "bcc", "contact", "sip", "acct", "xmpp", "by"})

# Commands, and the argument of theirs that is a password.
COMMANDS = tuple(
    re.compile(pattern, re.IGNORECASE if "identified" in pattern or "set pass" in pattern else 0)
    for pattern in (
        r"\s(?:-u|-U|-a|--user|--proxy-user|--auth|--user-password)[\s=]+[\"']?[^\s:\"'/%]{0,64}[:%](?!//|[0-9]+(?:\s|\Z))(?P<secret>[^\s\"']+)",
        r"(?:mysql|mariadb)\w*\b[^\r\n|;]{0,300}?\s-p(?P<secret>[^\s-][^\s]*)",
        r"(?:sshpass|mongo\w*|rdesktop|(?:docker|podman|helm registry) login)\b[^\r\n|;]{0,300}?\s(?:-p ?|--password[ =])(?P<secret>[^\s-][^\s]*)",
        r"redis-cli\b[^\r\n|;]{0,300}?\s-a (?P<secret>[^\s-][^\s]*)",
        r"ldap[a-z]+ [^\r\n|;]{0,300}?\s?-w ?(?P<secret>[^\s-][^\s]*)",
        r"(?:sqlcmd|bcp|ipmitool|unzip)\b[^\r\n|;]{0,300}?\s-P ?(?P<secret>[^\s-][^\s]*)",
        r"snmp[a-z]+ [^\r\n|;]{0,300}?-[AXc] (?P<secret>[^\s-][^\s]*)",
        r"xfreerdp\b[^\r\n|;]{0,300}?\s/p:(?P<secret>[^\s]+)",
        r"smbclient\b[^\r\n|;]{0,300}?\s-U ?[\"']?[^\s%]{1,64}%(?P<secret>[^\s\"']+)",
        r"(?:sqlplus\s+(?:-\w+\s+)*|:thin:|:oci:)[\"']?[\w.$#]{1,64}/(?P<secret>[^\s@]+)",
        r"set password for\s+\S{1,80}\s*=\s*(?:password\()?[\"'](?P<secret>[^\s\"']+)",
        r"identified\s+(?:with\s+[\"'`]?\w+[\"'`]?\s+)?(?:by|as)\s+(?:password\s+)?[\"']?(?P<secret>[^\s\"';,)]+)",
    )
)
INSERT = re.compile(r"insert into\s+[\w.`\"\[\]]{1,130}\s*\((?P<columns>[^()]{1,2000})\)\s*values\s*", re.IGNORECASE)
CELL = re.compile(
    r"""\s*+(?:[bnNE]?'(?P<text>(?:[^'\\]|''|\\.)*+)(?:'|\Z)|"(?P<other>(?:[^"\\]|\\.)*+)(?:"|\Z)|(?P<bare>[^,()'"\s][^,()'"]*+)?)(?P<end>[^,()]*+(?:,|\)|\Z))"""
)
# Functions, and which of their arguments is a password, from 0.
THIRD = re.compile(r"(?i)(?:__construct|connect|connection|pdo|mysqli|_login|_bind|_auth_password|imap_open)\($")
SECOND = re.compile(r"(?i)(?:login|auth|authenticate|oci_connect|credentials|ftp_login)\($")
ARGUMENT = re.compile(
    r"""\s*+(?:\w{0,12}\s*=\s*)?(?:(?P<quote>["'])(?P<text>(?:(?!(?P=quote))[^\\]|\\.)*+)(?:(?P=quote)|\Z)|(?P<bare>[^,()"']*+(?:\([^()]{0,200}\))?+))\s*+(?P<end>[,)]|\Z)"""
)


def mask_text(text: str) -> str:
    """The text with the credentials in it masked; it may have been cut anywhere."""
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
    last = TAIL.match(text, end).end()  # type: ignore[union-attr]
    yield start, last, MASK


def _issued(text: str, start: int, end: int) -> Iterator[Replacement]:
    if found := ISSUED.match(text, end):
        yield start, found.end(), MASK


def _private_key(text: str, start: int, _end: int) -> Iterator[Replacement]:
    if found := PRIVATE_KEY.match(text, start):
        yield start, found.end(), MASK


def _scheme(text: str, start: int, _end: int) -> Iterator[Replacement]:
    if found := BEARER.match(text, start) or BASIC.match(text, start):
        yield *found.span(1), MASK


def _userinfo(text: str, start: int, end: int) -> Iterator[Replacement]:
    user = LETTERS.match(text[max(0, start - 64) : start][::-1])[0][::-1].lower()  # type: ignore[index]
    password = text[start + 1 : end - 1]
    if not user or user in ADDRESSES or password.startswith(MASK):
        return
    if HOST.match(text, end) or looks_secret(password):
        yield start + 1, end - 1, MASK


def _command(text: str, start: int, _end: int) -> Iterator[Replacement]:
    if found := INSERT.match(text, start):
        yield from _inserted(text, found)
        return
    for command in COMMANDS:
        if found := command.match(text, start):
            secret = found["secret"]
            if not explains(secret) or found.end("secret") == len(text):
                yield *found.span("secret"), MASK
            return


def _inserted(text: str, found: re.Match[str]) -> Iterator[Replacement]:
    """The values of an INSERT in the columns of credentials."""
    columns = [is_credential(column.strip(" \t\r\n`\"[]'")) for column in found["columns"].split(",")]
    at = found.end()
    while text.startswith("(", at):
        at += 1
        for hides in columns:
            cell = CELL.match(text, at)
            if cell is None:
                return
            at = cell.end()
            part = next((part for part in ("text", "other", "bare") if cell[part]), None)
            if hides and part is not None and cell[part].strip().lower() != "null":
                yield *cell.span(part), MASK
            if not cell["end"].endswith(","):
                break
        following = re.compile(r"\s*,\s*").match(text, at)
        at = following.end() if following else at


def _call(text: str, start: int, end: int) -> Iterator[Replacement]:
    """The password among a function's arguments."""
    name = text[start:end]
    index = (
        2
        if THIRD.search(name) and not re.search(r"(?i)oci_connect\($", name)
        else 1
        if SECOND.search(name) or "asic" in name
        else 0
    )
    arguments: list[re.Match[str]] = []
    at = end
    while len(arguments) <= index and (argument := ARGUMENT.match(text, at)):
        arguments.append(argument)
        at = argument.end()
        if argument["end"] != ",":
            break
    if index == 1 and len(arguments) == 1 and name.lower().endswith("auth("):
        index = 0
    if len(arguments) <= index:
        return
    found: Any = arguments[index]
    if found["text"]:
        yield *found.span("text"), MASK


HANDLERS: dict[Kind, Handler] = {
    Kind.NAME: named,
    Kind.TOKEN: _token,
    Kind.ISSUER: _issued,
    Kind.URL: located,
    Kind.PATH: located,
    Kind.PRIVATE_KEY: _private_key,
    Kind.SCHEME: _scheme,
    Kind.COMMAND: _command,
    Kind.CALL: _call,
    Kind.USERINFO: _userinfo,
}
