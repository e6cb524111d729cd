"""Base64url without padding (RFC 4648, section 5), as cursors and tokens are written: `WzEs` for `[1,`."""

import base64


def to_base64url(raw: bytes) -> str:
    """Bytes as text."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    """The bytes of a text; `ValueError` where it is no base64url."""
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)
