"""JSON Web Tokens: which are believed, and what their claims say about the holder.

A token is checked against public keys only, with an algorithm that is on the allow-list and fits the key: there is no
setting for a shared secret, so that neither `none` nor an HMAC can ever pass.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import jwt
from jwt.types import Options
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from gateway.errors import OperatorError, Unauthorized
from gateway.http.signing_keys import Key, KeySet, fetch_keys
from gateway.settings import CredentialSettings
from gateway.viewer import Principal

logger = logging.getLogger(__name__)

REQUIRED = ["exp", "iss", "sub"]
# RFC 7519 wants text as `sub` and `jti`; issuers that take them from a database send numbers. The gateway does not read
# `jti`, and takes a whole number as `sub` for its digits.
TOLERATED: Options = {"verify_sub": False, "verify_jti": False}
SIGNED: Options = {"require": REQUIRED, "enforce_minimum_key_length": True, **TOLERATED}
UNSIGNED: Options = {
    "require": REQUIRED,
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    **TOLERATED,
}


def _digits(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _words(value: Any) -> Any:
    """Scopes, or None where the claim holds something else: other issuers have other things by its name."""
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if isinstance(value, str) or is_list else None


Scopes = Annotated[str | list[str] | None, BeforeValidator(_words)]


class _Membership(BaseModel):
    id: UUID
    role: str | None = None


class Claims(BaseModel):
    """What the gateway reads of a token."""

    sub: Annotated[str, BeforeValidator(_digits), Field(min_length=1, max_length=255)]
    exp: float
    scope: str | list[str] | None = None
    scopes: str | list[str] | None = None
    scp: Scopes = None
    permissions: Scopes = None
    email_verified: bool | None = None
    org_id: UUID | None = None
    organizations: list[_Membership] | None = None
    act: Any = None

    def granted(self) -> frozenset[str] | None:
        """The scopes that the token names, None where it names none.

        They stand in the first of `scopes`, `scope`, `scp` and `permissions` that is empty or holds one. Scopes read
        `resource:action`; `openid`, `email` and the like say nothing about what may be done here.
        """
        for claimed in (self.scopes, self.scope, self.scp, self.permissions):
            if claimed is None:
                continue
            names = claimed.split() if isinstance(claimed, str) else claimed
            named = frozenset(name for name in names if ":" in name)
            if named or not names:
                return named
        return None

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
    told: set[str] = field(default_factory=set)

    async def check(self, token: str) -> tuple[Principal, float]:
        """Who holds the token, and for how many seconds it is still good.

        Raises `Unauthorized`, and `KeysUnavailable` where only a key could tell, and there are none.
        """
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in self.keys.algorithms:
                raise jwt.InvalidAlgorithmError
            Claims.model_validate(self._decode(token, None))  # what is wrong with them needs no key to be seen
            keys = await self.keys.find(header.get("kid"), algorithm)
            if not keys:
                raise Unauthorized("The token is signed with an unknown key.")
            claims = Claims.model_validate(self._verified(token, keys))
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.") from None
        except (jwt.PyJWTError, ValueError, RecursionError) as refusal:
            self._tell(refusal)
            raise Unauthorized("The token is not valid.") from None
        return claims.principal(self.roles), claims.exp + self.leeway - time.time()

    def _verified(self, token: str, keys: Iterable[Key]) -> dict[str, Any]:
        """The claims of a token that one of the keys has signed."""
        refusal: jwt.PyJWTError = jwt.InvalidSignatureError()
        for key in keys:
            try:
                return self._decode(token, key)
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError) as another:
                refusal = another
        raise refusal

    def _decode(self, token: str, key: Key | None) -> dict[str, Any]:
        """The claims, which are checked; the signature is, where there is a key."""
        return jwt.decode(
            token,
            "" if key is None else key.public,
            algorithms=list(self.keys.algorithms if key is None else key.algorithms),
            issuer=self.issuer,
            audience=self.audience,
            leeway=self.leeway,
            options=UNSIGNED if key is None else SIGNED,
        )

    def _tell(self, refusal: Exception) -> None:
        """Log why a token is refused: once as a warning what may be a mistake in the settings or at the issuer."""
        reason = type(refusal).__name__
        if isinstance(refusal, jwt.MissingRequiredClaimError):
            reason += f": {refusal.claim}"
        elif isinstance(refusal, ValidationError):
            reason += ": " + ", ".join(sorted({str(error["loc"][0]) for error in refusal.errors() if error["loc"]}))
        if isinstance(refusal, jwt.DecodeError) or reason in self.told:
            logger.debug("a token is refused: %s", reason)
        else:
            self.told.add(reason)
            logger.warning("a token is refused: %s; others like it are told at DEBUG only", reason)


def tokens_of(settings: CredentialSettings, clock: Callable[[], float] = time.monotonic) -> Tokens | None:
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
        _refuse_odd(url)
        issuer = settings.jwt_issuer
        keys = KeySet(lambda: fetch_keys(url, issuer), settings.jwt_algorithms, clock)
    else:
        # A variable often cannot hold line ends: `\n` stands for one.
        read = file.read_bytes if file is not None else (pem or "").replace("\\n", "\n").encode
        keys = KeySet(read, settings.jwt_algorithms, clock)
        keys.load()
    return Tokens(
        keys, settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway_seconds, settings.jwt_role_scopes
    )


def _refuse_odd(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise OperatorError("GATEWAY_JWT_KEYS_URL must be an https or http address.")
    if "@" in parts.netloc:
        raise OperatorError("GATEWAY_JWT_KEYS_URL must not hold a user or a password: they would not be sent.")
