"""A callback as a command: what a shell and curl really send when it is pasted.

Where the machine has no curl or no openssl, programs of `tests.support.stand_ins` are called instead.
"""

import hashlib
import hmac
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.reading.curl import LONGEST_ARGUMENT, as_curl
from tests.support.stand_ins import path_of_programs, path_of_stand_ins

SECRET = 'whsec_"it\'s" $(a) `b`'
HOSTILE = [
    "",
    "@/etc/hostname",
    "'; touch pwned; '",
    '{"a":"$(touch pwned) `touch pwned` $HOME \\n \\\\ %s !!"}',
    "--data-raw\n\n-x\n",
    "it's\\'\n\n",
    "\x03\ntouch pwned\n",
    "a\tb\r\nc\x1b[201~\x7f\x85é漢😀",
]
PATHS = ["/a?b={1,2}&c=[1-9]", "/../x/./y", "/'$(touch${IFS}pwned)'", "/-x", "/%00%zz", "/a?q=@/etc/hostname&x=`id`;ls"]


@dataclass
class Receiver:
    """An HTTP server that keeps what it is sent, and redirects to itself; `programs` is the PATH of who sends."""

    url: str = ""
    programs: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    seen = Receiver(programs=path_of_programs(tmp_path_factory.mktemp("programs")))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.path, seen.headers = self.path, {name.lower(): value for name, value in self.headers.items()}
            seen.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    seen.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()


def paste(receiver: Receiver, command: str | None, directory: Path, secret: str | None = SECRET) -> int:
    """The exit status of a shell that reads the command."""
    assert command is not None
    (directory / ".curlrc").write_text("location\n")
    environment = {"PATH": receiver.programs, "HOME": str(directory), "LC_ALL": "C.UTF-8"}
    environment |= {} if secret is None else {"SIGNING_SECRET": secret}
    shell = subprocess.run(
        ["/bin/sh"], input=command.encode(), cwd=directory, env=environment, capture_output=True, check=False
    )
    assert not (directory / "pwned").exists()
    return shell.returncode


def sends(receiver: Receiver, directory: Path, path: str, body: str, signed: bool) -> None:
    """Assert that pasting the command sends exactly this body to this path, once."""
    receiver.bodies.clear()
    (directory / "payload.json").write_bytes(body.encode())
    assert paste(receiver, as_curl(receiver.url + path, body, signed), directory) == 0
    assert receiver.bodies == [body.encode()]
    assert receiver.path == path
    assert receiver.headers["content-type"] == "application/json"
    signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest() if signed else None
    assert receiver.headers.get("runflow-signature") == signature


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("body", HOSTILE)
def test_pasting_sends_the_very_body_and_its_signature(
    receiver: Receiver, tmp_path: Path, body: str, signed: bool
) -> None:
    sends(receiver, tmp_path, "/hook", body, signed)


@pytest.mark.parametrize("path", PATHS)
def test_pasting_sends_to_the_very_path(receiver: Receiver, tmp_path: Path, path: str) -> None:
    sends(receiver, tmp_path, path, "{}", signed=False)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.text(st.characters(exclude_categories=["Cs"])), signed=st.booleans())
def test_pasting_sends_any_body(receiver: Receiver, tmp_path: Path, body: str, signed: bool) -> None:
    sends(receiver, tmp_path, "/hook", body, signed)


@pytest.mark.parametrize("signed", [True, False])
def test_long_body_is_sent_from_a_file(receiver: Receiver, tmp_path: Path, signed: bool) -> None:
    body = "é" * LONGEST_ARGUMENT
    command = as_curl(receiver.url, body, signed)
    assert command is not None
    assert "# Save the payloadBytes of this delivery as payload.json first" in command
    assert len(command) < 1000
    sends(receiver, tmp_path, "/hook", body, signed)


def test_nothing_is_sent_while_the_signing_secret_is_not_set(receiver: Receiver, tmp_path: Path) -> None:
    receiver.bodies.clear()
    for secret in (None, ""):
        assert paste(receiver, as_curl(receiver.url, "{}", signed=True), tmp_path, secret) != 0
    assert receiver.bodies == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "-o/tmp/x", "http://h/\ntouch pwned\n", "http://h/\x03\x00"])
def test_what_is_no_http_url_is_not_called(receiver: Receiver, tmp_path: Path, url: str) -> None:
    receiver.bodies.clear()
    command = as_curl(url, "{}", signed=False)
    assert command is not None
    assert command.replace("\n", "").isprintable()
    assert paste(receiver, command, tmp_path) != 0
    assert receiver.bodies == []


def test_programs_that_stand_in_send_the_same(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "programs").mkdir()
    monkeypatch.setattr(receiver, "programs", path_of_stand_ins(tmp_path / "programs"))
    for body in HOSTILE:
        sends(receiver, tmp_path, "/hook", body, signed=True)
    for path in PATHS:
        sends(receiver, tmp_path, path, "{}", signed=False)


def test_secrets_of_the_url_are_placeholders() -> None:
    assert as_curl("https://me:pa55word@example.com/hook?token=abc", "{}", signed=True) == (
        "# Replace [masked] in the URL by what belongs there.\n"
        "# Set SIGNING_SECRET to the secret that this callback is signed with.\n"
        "CALLBACK_BODY='{}'\n"
        'RUNFLOW_SIGNATURE=$(printf %s "$CALLBACK_BODY" |\n'
        "  openssl dgst -sha256 -hmac \"${SIGNING_SECRET:?is not set}\" -r | cut -d ' ' -f 1)\n"
        "curl --request POST \\\n"
        "  --include --max-time 30 --no-location --globoff --path-as-is --proto '=http,https' \\\n"
        "  --header 'Content-Type: application/json' \\\n"
        '  --header "Runflow-Signature: ${RUNFLOW_SIGNATURE:?is empty}" \\\n'
        '  --data-raw "$CALLBACK_BODY" \\\n'
        "  --url 'https://[masked]@example.com/hook?token=[masked]'"
    )


def test_no_url_or_no_body_is_no_command() -> None:
    assert as_curl(None, "{}", signed=True) is None
    assert as_curl("https://example.com", None, signed=True) is None
