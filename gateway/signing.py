"""What the gateway gives to a client and believes when it comes back: signed, for one purpose, for a while."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.base64url import from_base64url, to_base64url
from gateway.errors import BadToken

SIGNATURE_BYTES = 16  # of 32: nobody can try 2^128 of them in the minutes for which a token is good
EXPIRES = "exp"


class Signer:
    """Signs JSON objects, and reads them back; without a `secret` of its operator's by one that it makes.

    A token is base64url of the signature and the object. It can be read by everybody, and made by nobody else.
    """

    def __init__(self, secret: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._key = hashlib.sha256((secret or secrets.token_hex(32)).encode()).digest()
        self._clock = clock

    def sign(self, purpose: str, content: Mapping[str, Any], seconds: float) -> str:
        """A token that is good for one purpose, from now for so many seconds."""
        return self.renew(purpose, {**content, EXPIRES: self.expiry(seconds)})

    def expiry(self, seconds: float) -> float:
        """When a token ends that is good for so many seconds from now, as its content says it."""
        return round(self._clock() + seconds, 3)

    def renew(self, purpose: str, content: Mapping[str, Any]) -> str:
        """A token of content that says itself when it ends, such as that of a token which it takes the place of."""
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return to_base64url(self._signature(purpose, body) + body)

    def read(self, purpose: str, token: str) -> dict[str, Any]:
        """The content of a token; `BadToken` for one that was not given for this purpose, or is too old."""
        try:
            raw = from_base64url(token)
        except ValueError:
            raise BadToken("This is not a token of this gateway: pass one as it came.") from None
        signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(purpose, body)):
            raise BadToken("This is not a token of this gateway, or it is for something else: pass one as it came.")
        content: dict[str, Any] = json.loads(body)
        if content[EXPIRES] <= self._clock():
            raise BadToken("The token is too old: ask for a new one.")
        return content

    def _signature(self, purpose: str, body: bytes) -> bytes:
        return hmac.new(self._key, purpose.encode() + b"\0" + body, hashlib.sha256).digest()[:SIGNATURE_BYTES]
