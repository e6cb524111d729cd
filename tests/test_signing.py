"""What is signed comes back as it was, for its purpose and in its time, and nothing else is believed."""

import base64

import pytest

from gateway.errors import BadToken
from gateway.signing import EXPIRES, Signer
from tests.support.issuer import Clock


def test_what_is_signed_is_read_again() -> None:
    clock = Clock()
    token = Signer("one secret", clock).sign("a", {"é": ["=", 1]}, 10)
    assert Signer("one secret", clock).read("a", token) == {"é": ["=", 1], EXPIRES: 1010}


def test_a_renewed_token_ends_with_the_first() -> None:
    clock = Clock()
    signer = Signer(None, clock)
    content = signer.read("a", signer.sign("a", {"left": 2}, 10))
    token = signer.renew("a", {**content, "left": 1})
    assert signer.read("a", token)["left"] == 1
    clock.now += 10
    with pytest.raises(BadToken, match="too old"):
        signer.read("a", token)


def test_nothing_else_is_believed() -> None:
    clock = Clock()
    signer = Signer("one secret", clock)
    token = signer.sign("a", {"organization": "ours"}, 10)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = base64.urlsafe_b64encode(raw.replace(b"ours", b"mine")).decode().rstrip("=")
    for purpose, other in (("b", token), ("a", forged), ("a", token[:20]), ("a", ""), ("a", "ü!"), ("a", token + "A")):
        with pytest.raises(BadToken):
            signer.read(purpose, other)
    for secret in (None, "another"):
        with pytest.raises(BadToken):
            Signer(secret, clock).read("a", token)
