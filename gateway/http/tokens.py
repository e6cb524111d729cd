"""JSON Web Tokens: which keys sign them, and what their claims say about the holder.

A token is checked against public keys only, with an algorithm that is on the allow-list and fits the key: there is no
setting for a shared secret, so that neither `none` nor an HMAC can ever pass.
"""

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, Field, ValidationError

from gateway.errors import InternalError, OperatorError, Unauthorized
from gateway.settings import Settings
from gateway.viewer import Principal

logger = logging.getLogger(__name__)

LIFETIME = 300.0  # seconds after which a key set is read again: a key that was withdrawn works that long
RETRY = 10.0  # seconds between two readings, however many tokens name a key that is not there
TIMEOUT = 5.0  # seconds for one reading
LARGEST = 1 << 20  # bytes of a key set
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the algorithms that may be used with it."""

    kid: str | None
    public: Any
    algorithms: Collection[str]


class KeySet:
    """Public keys by their `kid`, read again when they are old or when a token names one that is not among them."""

    def __init__(
        self,
        read: Callable[[], bytes],
        algorithms: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._algorithms = algorithms
        self._clock = clock
        self._keys: list[Key] = []
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    def load(self) -> None:
        """Read the keys now; `OperatorError` where that fails."""
        try:
            self._keys = parse_keys(self._read(), self._algorithms)
        except (OSError, ValueError) as failure:
            raise OperatorError(f"The keys that sign tokens cannot be read: {failure}.") from failure
        self._read_at = self._tried_at = self._clock()

    async def find(self, kid: str | None) -> Key | None:
        """The key with that id. A token without one must have been signed by the only key there is."""
        key = self._match(kid)
        old = self._clock() - self._read_at > LIFETIME
        if key is None or (old and not self._reading.locked()):
            await self._read_again()
            key = self._match(kid)
        if not self._keys:
            raise InternalError("The keys that sign tokens cannot be read.")
        return key

    def _match(self, kid: str | None) -> Key | None:
        if kid is None or (len(self._keys) == 1 and self._keys[0].kid is None):
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.kid == kid), None)

    async def _read_again(self) -> None:
        async with self._reading:
            if self._clock() - self._tried_at < RETRY:
                return
            try:
                async with asyncio.timeout(2 * TIMEOUT):
                    text = await asyncio.to_thread(self._read)
                self._keys = parse_keys(text, self._algorithms)
                self._read_at = self._clock()
            except (OSError, ValueError, HTTPException, TimeoutError) as failure:
                reason = str(failure) or type(failure).__name__
                logger.warning("the keys that sign tokens cannot be read, the last ones stay: %s", reason)
            self._tried_at = self._clock()


def parse_keys(text: bytes, allowed: Collection[str]) -> list[Key]:
    """The usable keys of a PEM or of a JWKS document. `ValueError` where there are none."""
    is_pem = text.lstrip().startswith(b"-----BEGIN")
    found = [(None, load_pem_public_key(text), None)] if is_pem else [_read_jwk(jwk) for jwk in _jwks(text)]
    keys = []
    for kid, public, algorithm in found:
        usable = _algorithms_of(public) & set(allowed)
        if algorithm is not None:
            usable &= {algorithm}
        if usable:
            keys.append(Key(kid, public, usable))
    if not keys:
        raise ValueError("no public key for an allowed algorithm")
    return keys


def _jwks(text: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("neither PEM nor JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    return [jwk for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list) else []


def _read_jwk(jwk: dict[str, Any]) -> tuple[str | None, Any, str | None]:
    """Its id, key and algorithm; no key where it is unreadable or not for signatures."""
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    if jwk.get("use", "sig") != "sig":
        return kid, None, None
    try:
        return kid, jwt.PyJWK(jwk).key, algorithm
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return kid, None, None


def _algorithms_of(public: Any) -> set[str]:
    """What a public key can verify; nothing where it is private, symmetric or unknown."""
    if isinstance(public, RSAPublicKey):
        return {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    if isinstance(public, EllipticCurvePublicKey):
        return {CURVES[public.curve.name]} if public.curve.name in CURVES else set()
    return {"EdDSA"} if isinstance(public, Ed25519PublicKey) else set()


class _Membership(BaseModel):
    id: UUID
    role: str | None = None


class Claims(BaseModel):
    """What the gateway reads of a token."""

    sub: str = Field(min_length=1, max_length=255)
    exp: float
    scope: str | list[str] | None = None
    scopes: str | list[str] | None = None
    email_verified: bool | None = None
    org_id: UUID | None = None
    organizations: list[_Membership] | None = None
    act: Any = None

    def granted(self) -> frozenset[str] | None:
        """The scopes that the token names, None where it names none.

        Scopes read `resource:action`; `openid`, `email` and the like say nothing about what may be done here.
        """
        claimed = self.scopes if self.scopes is not None else self.scope
        if claimed is None:
            return None
        names = claimed.split() if isinstance(claimed, str) else claimed
        named = frozenset(name for name in names if ":" in name)
        return None if names and not named else named

    def principal(self, roles: Mapping[str, Collection[str]]) -> Principal:
        """Who holds the token. Roles give scopes, and scopes that the token names narrow them."""
        granted = self.granted()
        memberships: dict[str, frozenset[str] | None] = {}
        if self.organizations is None and self.org_id is not None:
            memberships[str(self.org_id)] = granted or frozenset()
        for membership in self.organizations or ():
            memberships[str(membership.id)] = _scopes_of(membership.role, roles)
        return Principal(
            credential="jwt:" + self.sub.encode("unicode_escape").decode(),
            memberships=memberships,
            default_organization=str(self.org_id) if self.org_id else None,
            scopes=granted,
            email_verified=self.email_verified is not False,
            impersonated=self.act is not None,
        )


def _scopes_of(role: str | None, roles: Mapping[str, Collection[str]]) -> frozenset[str] | None:
    return frozenset(roles[role]) if role is not None and role in roles else None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Checks tokens of one issuer."""

    keys: KeySet
    issuer: str
    audience: str | None
    leeway: float
    roles: Mapping[str, Collection[str]]

    async def check(self, token: str) -> tuple[Principal, float]:
        """Who holds the token, and for how many seconds it is still good. Raises `Unauthorized`."""
        try:
            key = await self.keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise Unauthorized("The token is signed with an unknown key.")
            decoded = jwt.decode(
                token,
                key.public,
                algorithms=list(key.algorithms),
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway,
                options={"require": ["exp", "iss", "sub"], "enforce_minimum_key_length": True},
            )
            claims = Claims.model_validate(decoded)
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except (jwt.PyJWTError, ValidationError, ValueError, RecursionError) as refusal:
            logger.debug("a token is refused: %s", type(refusal).__name__)
            raise Unauthorized("The token is not valid.") from None
        return claims.principal(self.roles), claims.exp + self.leeway - time.time()


def tokens_of(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Tokens | None:
    """What checks tokens, as the settings describe it; None where they name no keys. `OperatorError` on a mistake."""
    url, file, pem = settings.jwt_keys_url, settings.jwt_keys_file, settings.jwt_public_key
    given = [source for source in (url, file, pem) if source is not None]
    if not given:
        return None
    if len(given) > 1:
        raise OperatorError("Set one of GATEWAY_JWT_KEYS_URL, GATEWAY_JWT_KEYS_FILE and GATEWAY_JWT_PUBLIC_KEY.")
    if settings.jwt_issuer is None:
        raise OperatorError("Set GATEWAY_JWT_ISSUER: whose tokens are accepted.")
    if url is not None:
        if not url.startswith(("https://", "http://")):
            raise OperatorError("GATEWAY_JWT_KEYS_URL must be an https or http address.")
        keys = KeySet(lambda: _download(url), settings.jwt_algorithms, clock)
    else:
        # A variable often cannot hold line ends: `\n` stands for one.
        read = file.read_bytes if file is not None else (pem or "").replace("\\n", "\n").encode
        keys = KeySet(read, settings.jwt_algorithms, clock)
        keys.load()
    return Tokens(
        keys, settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway_seconds, settings.jwt_role_scopes
    )


def _download(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        text: bytes = answer.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    return text
