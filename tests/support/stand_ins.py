"""Programs that stand in for `curl` and `openssl` where a machine lacks them: they know what `asCurl` asks of both.

So a bare machine still proves what a shell makes of the command, word by word; what curl makes of the words is proved
where curl is.
"""

import os
import shutil
import sys
from pathlib import Path

# It refuses what the real one would take another way: without these options it would change the path, or follow.
CURL = """\
import os, sys
from http.client import HTTPConnection

EXPECTED = {"--include", "--no-location", "--globoff", "--path-as-is"}
flags, values, headers = set(), {}, {}
words = iter(sys.argv[1:])
for word in words:
    if word in EXPECTED:
        flags.add(word)
    elif word == "--header":
        name, _, value = next(words).partition(": ")
        headers[name] = os.fsencode(value)
    elif word in {"--request", "--max-time", "--proto", "--data-raw", "--data-binary", "--url"}:
        values[word] = next(words)
    else:
        sys.exit(f"unknown: {word}")
if flags != EXPECTED or values.pop("--proto") != "=http,https":
    sys.exit("some option is lacking")
scheme, _, rest = values.pop("--url").partition("://")
if scheme != "http":
    sys.exit("no such protocol here")
if "--data-binary" in values:
    with open(values.pop("--data-binary").removeprefix("@"), "rb") as file:
        body = file.read()
else:
    body = os.fsencode(values.pop("--data-raw"))
host, slash, path = rest.partition("/")
connection = HTTPConnection(host, timeout=float(values.pop("--max-time")))
connection.request(values.pop("--request"), slash + path or "/", body, headers)
print(connection.getresponse().status)
"""
OPENSSL = """\
import hashlib, hmac, os, sys

words, secret = [*sys.argv[1:4], *sys.argv[5:]], os.fsencode(sys.argv[4])
if words != ["dgst", "-sha256", "-hmac", "-r"]:
    sys.exit(f"unknown: {words}")
print(hmac.new(secret, sys.stdin.buffer.read(), hashlib.sha256).hexdigest(), "*stdin")
"""


def path_of_programs(folder: Path) -> str:
    """A PATH on which both are: the machine's, or one that begins with a folder where these are put."""
    if shutil.which("curl") and shutil.which("openssl"):
        return os.environ["PATH"]
    return path_of_stand_ins(folder)


def path_of_stand_ins(folder: Path) -> str:
    """A PATH on which these come first, put into this folder."""
    for name, text in (("curl", CURL), ("openssl", OPENSSL)):
        (folder / f"{name}.py").write_text(text)
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{folder}/{name}.py" "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
