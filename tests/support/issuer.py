"""An identity provider for tests: it signs tokens and publishes its keys over HTTP."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

ISSUER = "https://login.example"
AUDIENCE = "callback-gateway"


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Signs with one P-256 key at a time; `jwks` is what it publishes, and `asked` how often it was asked for anything.

    `others` are documents at other paths, `redirects` lead from a path elsewhere, `status` is what each answer has, and
    `agents` are the names of those that asked.
    """

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.published: bytes | None = None
        self.asked = 0
        self.others: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.status = 200
        self.agents: list[str | None] = []
        self.rotate("first")

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on; the old ones stay published."""
        self.kid = kid
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())

    @property
    def pem(self) -> str:
        """The current public key."""
        public = self.keys[self.kid].public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def jwks(self) -> bytes:
        """The published document: all public keys, unless `published` says otherwise."""
        keys = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": "ES256"}
            for kid, key in self.keys.items()
        ]
        return json.dumps({"keys": keys}).encode() if self.published is None else self.published

    def claims(self, **others: Any) -> dict[str, Any]:
        """What a good token says, and what is given: None leaves a claim out, a time span is so long from now."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 600}
        return {
            name: now + value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in {**usual, **others}.items()
            if value is not None
        }

    def token(self, **claims: Any) -> str:
        """A signed token."""
        return jwt.encode(self.claims(**claims), self.keys[self.kid], "ES256", {"kid": self.kid})

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Publish the keys meanwhile; where."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.agents.append(self.headers["User-Agent"])
                if self.path in issuer.redirects:
                    self.send_response(302)
                    self.send_header("Location", issuer.redirects[self.path])
                    self.end_headers()
                    return
                self.send_response(issuer.status)
                self.end_headers()
                self.wfile.write(issuer.others.get(self.path, issuer.jwks))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
