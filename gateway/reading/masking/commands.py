"""Passwords that no name gives away but the place among the arguments: of commands, of functions in a stack trace, of
statements in SQL.
"""

import re
from collections.abc import Iterator

from gateway.reading.masking.names import MASK, explains, is_credential
from gateway.reading.masking.values import Replacement

LINE = r"[^\r\n|;]{0,300}?"
WORD = r"(?P<secret>[^\s-][^\s]*)"
# From where a command or an option of one begins: data.
COMMANDS = tuple(
    map(
        re.compile,
        (
            r"\s(?:-u|-U|-a|--user|--proxy-user|--auth|--user-password)[\s=]+[\"']?"
            r"[^\s:\"'/%]{0,64}[:%](?!//|[0-9]+(?:\s|\Z))(?P<secret>[^\s\"']+)",
            rf"(?:mysql|mariadb)\w*\b{LINE}\s-p{WORD}",
            rf"(?:sshpass|mongo\w*|rdesktop|(?:docker|podman|helm registry) login)\b{LINE}\s-p ?{WORD}",
            rf"redis-cli\b{LINE}\s-a {WORD}",
            rf"ldap[a-z]+ {LINE}-w ?{WORD}",
            rf"(?:sqlcmd|bcp|ipmitool|unzip)\b{LINE}\s-P ?{WORD}",
            rf"snmp[a-z]+ {LINE}-[AXc] {WORD}",
            rf"xfreerdp\b{LINE}\s/p:{WORD}",
            rf"smbclient\b{LINE}\s-U ?[\"']?[^\s%]{{1,64}}%{WORD}",
            r"(?:sqlplus\s+(?:-\w+\s+)*|:thin:|:oci:)[\"']?[\w.$#]{1,64}/(?P<secret>[^\s@]+)",
            r"(?i:set password for)\s+\S{1,80}\s*=\s*(?i:password\()?[\"'](?P<secret>[^\s\"']+)",
            r"(?i:identified)\s+(?i:with\s+[\"'`]?\w+[\"'`]?\s+)?(?i:by|as)\s+(?i:password\s+)?[\"']?"
            r"(?P<secret>[^\s\"';,)]+)",
        ),
    )
)
INSERT = re.compile(
    r"(?i:insert into)\s+[\w.`\"\[\]]{1,130}\s*\((?P<columns>[^()]{1,2000})\)\s*(?i:values)\s*",
)
CELL = re.compile(
    r"""
    \s*+
    (?:
        [bnNE]?'(?P<text>(?:[^'\\]|''|\\.)*+)(?:'|\Z)
        |"(?P<other>(?:[^"\\]|\\.)*+)(?:"|\Z)
        |(?P<bare>[^,()'"\s][^,()'"]*+)?
    )
    (?P<end>[^,()]*+(?:,|\)|\Z))
    """,
    re.VERBOSE | re.DOTALL,
)
BETWEEN_ROWS = re.compile(r"\s*+,?\s*+")
# Functions, and which of their arguments is a password, from 0; the first that fits counts: data.
FUNCTIONS = tuple(
    (re.compile(rf"(?:{names})\(\Z", re.IGNORECASE), index)
    for names, index in (
        ("_login|_bind|_auth_password|imap_open", 2),
        ("setpassword|password_hash|password_verify", 0),
        ("basicauth|oci_connect|login|auth|authenticate|setcredentials", 1),
        ("__construct|connect|connection|pdo|mysqli", 2),
    )
)
ARGUMENT = re.compile(
    r"""
    \s*+(?:\w{0,12}\s*=\s*)?
    (?:
        (?P<quote>["'])(?P<text>(?:(?!(?P=quote))[^\\]|\\.)*+)(?:(?P=quote)|\Z)
        |(?P<bare>[^,()"']*+(?:\([^()]{0,200}\))?+)
    )
    \s*+(?P<end>[,)]|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)


def commanded(text: str, start: int, _end: int) -> Iterator[Replacement]:
    """Mask the password of a command, or of a statement in SQL."""
    if found := INSERT.match(text, start):
        yield from _inserted(text, found)
        return
    for command in COMMANDS:
        if found := command.match(text, start):
            if not explains(found["secret"]) or found.end("secret") == len(text):
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
        at = BETWEEN_ROWS.match(text, at).end()  # type: ignore[union-attr]


def called(text: str, start: int, end: int) -> Iterator[Replacement]:
    """Mask the password among a function's arguments."""
    name = text[start:end]
    index = next((index for function, index in FUNCTIONS if function.search(name)), 2)
    arguments: list[re.Match[str]] = []
    at = end
    while len(arguments) <= index and (argument := ARGUMENT.match(text, at)):
        arguments.append(argument)
        at = argument.end()
        if argument["end"] != ",":
            break
    if name.lower().endswith("auth(") and len(arguments) == 1:  # Redis: a password alone
        index = 0
    if len(arguments) > index and arguments[index]["text"]:
        yield *arguments[index].span("text"), MASK
