"""The keys that sign tokens: where they are read, and which of them may have signed a token."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway import __version__
from gateway.errors import KeysUnavailable, OperatorError

logger = logging.getLogger(__name__)

LIFETIME = 300.0  # seconds after which a key set is read again: a key that was withdrawn works that long
RETRY = KeysUnavailable.retry_after  # seconds between two readings, however many tokens name a key that is not there
SECONDS_TO_READ = 5.0  # seconds for one document
LARGEST_KEY_SET = 1 << 20  # bytes of a document
CHUNK = 1 << 16
SHOWN_CHARACTERS = 200  # characters of what somebody else wrote, in a log line
KEY_REQUEST_HEADERS = {
    "Accept": "application/json",
    "User-Agent": f"callback-gateway/{__version__}",
}  # some refuse Python's own
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHM_NAMES = {"Ed25519": "EdDSA"}  # RFC 9864 calls the algorithm of this curve by the curve's name
UNREADABLE = (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the algorithms that may be used with it."""

    kid: str | None
    public: Any
    algorithms: Collection[str]


class KeySet:
    """Public keys, read again when they are old or when a token names one that is not among them.

    Not PyJWT's `PyJWKClient`: that one blocks the event loop, gives the first key of an id whatever its algorithm, has
    no keys once they are old and cannot be read again, and then asks anew for each token. Here one reader reads in a
    thread while the others wait, the last keys stay, and nobody is asked more than once in `RETRY` seconds.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        algorithms: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.algorithms = frozenset(algorithms)
        self._read = read
        self._clock = clock
        self._keys: list[Key] = []
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()
        self._begun: asyncio.Task[None] | None = None
        self._complaint = ""

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever read, so that no token can be checked."""
        return not self._keys

    def load(self) -> None:
        """Read the keys now; `OperatorError` where that fails."""
        try:
            self._keys = parse_keys(self._read(), self.algorithms)
        except (OSError, ValueError) as failure:
            raise OperatorError(f"The keys that sign tokens cannot be read: {failure}.") from failure
        self._read_at = self._tried_at = self._clock()

    async def read(self) -> None:
        """Read the keys unless there are some. What fails is a line in the log, and tried again later."""
        if self.is_empty:
            await self._read_again()

    def begin_to_read(self) -> None:
        """Read the keys unless there are some, and let nobody wait for it."""
        if self.is_empty and (self._begun is None or self._begun.done()):
            self._begun = asyncio.create_task(self._read_again())

    async def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token with this `kid` and `alg`; `KeysUnavailable` while none was ever read.

        A token without `kid` must have been signed by the only key that fits its algorithm, and so must every token
        where the keys have no ids. Several keys of one id and algorithm are all given: each is to be tried.
        """
        found = self._fitting(kid, algorithm)
        old = self._clock() - self._read_at > LIFETIME
        if not found or (old and not self._reading.locked()):
            await self._read_again()
            found = self._fitting(kid, algorithm)
        if self.is_empty:
            raise KeysUnavailable
        return found

    def _fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not None and any(key.kid is not None for key in self._keys):
            return [key for key in fitting if key.kid == kid]
        return fitting if len(fitting) == 1 else []

    async def _read_again(self) -> None:
        async with self._reading:
            if self._clock() - self._tried_at < RETRY:
                return
            try:
                async with asyncio.timeout(2 * SECONDS_TO_READ):
                    text = await asyncio.to_thread(self._read)
                self._keys = parse_keys(text, self.algorithms)
                self._read_at = self._clock()
            except (OSError, ValueError) as failure:
                self._complain(str(failure) or type(failure).__name__)
            else:
                self._complain("")
            self._tried_at = self._clock()

    def _complain(self, reason: str) -> None:
        """Log what keeps the keys from being read, once as long as it is the same, and that it is over."""
        if reason == self._complaint:
            return
        meanwhile = "tokens are answered 503 until they can" if self.is_empty else "the last ones stay"
        if reason:
            logger.warning("the keys that sign tokens cannot be read, %s: %s", meanwhile, reason)
        else:
            logger.info("the keys that sign tokens can be read again")
        self._complaint = reason


def parse_keys(text: bytes, allowed: Collection[str]) -> list[Key]:
    """The usable keys of a PEM or of a JWKS document. `ValueError` where there are none."""
    is_pem = text.lstrip().startswith(b"-----BEGIN")
    found = [_read_pem(text)] if is_pem else [_read_jwk(jwk) for jwk in _jwks(text)]
    keys = [
        Key(key.kid, key.public, usable)
        for key in found
        if key is not None and (usable := frozenset(key.algorithms) & frozenset(allowed))
    ]
    if not keys:
        raise ValueError("no public key for an allowed algorithm")
    return keys


def _read_pem(text: bytes) -> Key:
    try:
        public = load_pem_public_key(text)
    except UnsupportedAlgorithm as failure:
        raise ValueError("a key of an unknown kind") from failure
    return Key(None, public, _algorithms_of(public))


def _jwks(text: bytes) -> list[dict[str, Any]]:
    document = _json_object(text)
    keys = document.get("keys")
    if keys is None and "jwks_uri" in document:
        raise ValueError("a discovery document: GATEWAY_JWT_KEYS_URL may be its address")
    return [jwk for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list) else []


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("neither PEM nor JSON") from None
    return document if isinstance(document, dict) else {}


def _read_jwk(jwk: dict[str, Any]) -> Key | None:
    """The key, None where it is unreadable or not for signatures.

    `use`, `key_ops` and `alg` say what it is for (RFC 7517, 4.2 to 4.4); null says nothing. `PyJWKSet` would look at
    `alg` alone, and drop a key whose `alg` it does not know.
    """
    kid, use, operations, algorithm = (jwk.get(name) for name in ("kid", "use", "key_ops", "alg"))
    if use not in (None, "sig") or not isinstance(kid, str | None):
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    try:
        public = jwt.PyJWK({name: value for name, value in jwk.items() if name != "alg"}).key
    except UNREADABLE:
        return None
    fitting = _algorithms_of(public)
    return Key(
        kid, public, fitting if algorithm is None else fitting & {ALGORITHM_NAMES.get(str(algorithm), str(algorithm))}
    )


def _algorithms_of(public: Any) -> set[str]:
    """What a public key can verify; nothing where it is private, symmetric or unknown."""
    if isinstance(public, RSAPublicKey):
        return {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    if isinstance(public, EllipticCurvePublicKey):
        return {CURVES[public.curve.name]} if public.curve.name in CURVES else set()
    return {"EdDSA"} if isinstance(public, Ed25519PublicKey) else set()


def fetch_keys(url: str, issuer: str) -> bytes:
    """The key set at an address, or the one that the discovery document there names.

    Such a document (OpenID Connect Discovery 1.0, RFC 8414) is an object with `issuer`, which must be the one given,
    and `jwks_uri`, which must be https where the address is. Whatever fails is an `OSError` or a `ValueError` whose
    text names the address.
    """
    text = _download(url)
    try:
        document = _json_object(text)
    except ValueError as failure:
        if text.lstrip().startswith(b"-----BEGIN"):
            return text
        raise ValueError(f"{_shown(url)}: {failure}") from None
    if "keys" in document or "jwks_uri" not in document:
        return text
    named, elsewhere = document.get("issuer"), document["jwks_uri"]
    if named != issuer:
        said = repr(named)[:SHOWN_CHARACTERS]
        raise ValueError(f"{_shown(url)} is the issuer {said}'s, while GATEWAY_JWT_ISSUER is {issuer!r}")
    secure = url.startswith("https://")
    if not isinstance(elsewhere, str) or not elsewhere.startswith("https://" if secure else ("https://", "http://")):
        raise ValueError(f"{_shown(url)} names no {'https' if secure else 'http'} address as `jwks_uri`")
    return _download(elsewhere)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """The request that follows."""
        if not newurl.startswith("https://" if req.type == "https" else ("https://", "http://")):
            raise HTTPError(req.full_url, code, "it redirects to another scheme", headers or Message(), fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


OPENER = build_opener(_Redirects)


def _download(url: str) -> bytes:
    until = time.monotonic() + SECONDS_TO_READ
    chunks: list[bytes] = []
    size = 0
    try:
        with OPENER.open(Request(url, headers=KEY_REQUEST_HEADERS), timeout=SECONDS_TO_READ) as answer:  # noqa: S310 - the scheme is checked
            while chunk := answer.read1(CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_KEY_SET:
                    raise ValueError(f"{_shown(url)}: more than {LARGEST_KEY_SET} bytes")
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
    except HTTPError as refusal:
        raise OSError(f"{_shown(url)} answers {refusal.code}: {str(refusal.reason)[:SHOWN_CHARACTERS]}") from None
    except (OSError, HTTPException) as failure:
        reason = failure.reason if isinstance(failure, URLError) else failure
        raise OSError(f"{_shown(url)}: {str(reason)[:SHOWN_CHARACTERS] or type(reason).__name__}") from None
    return b"".join(chunks)


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:SHOWN_CHARACTERS]
