"""From the headers of a request to a viewer."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Annotated
from uuid import UUID

from fastapi import Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from gateway.caches import ExpiringCache
from gateway.database.engine import Database
from gateway.deadline import Deadline, deadline_of
from gateway.errors import BadRequest, ClientError, Unauthorized
from gateway.http.tokens import tokens_of
from gateway.observability.record import exchange
from gateway.settings import CredentialSettings
from gateway.viewer import READ, Principal, Viewer
from gateway.writing.api_keys import ApiKey, find_key, is_any_key
from gateway.writing.last_used import LastUsed

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
OrganizationHeader = Annotated[str | None, Header(alias="X-Organization-Id", title="X-Organization-Id")]

CACHED = 10_000  # credentials that a process remembers, and as many that it has refused
CREDENTIAL_DEFAULTS = CredentialSettings()
LOOK_UPS = 4  # at a time, so that unknown keys never take all connections
NO_KEY = "jwt"  # what operators see of a token, which names a person
BEARER = b"Bearer "
ONE_AUTHORIZATION = "Send one `Authorization` header: which of several counts, no two readers agree on."
ORGANIZATION_ID = TypeAdapter(UUID)


class Credentials:
    """Checks API keys, which live in the database, and tokens, which somebody else signs.

    A checked key is remembered for `credential_cache_seconds`, so that a revoked one works no longer than that.
    """

    def __init__(
        self,
        database: Database,
        settings: CredentialSettings = CREDENTIAL_DEFAULTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.has_keys = True  # where there are none, only tokens are looked at
        self._looking_up = asyncio.Semaphore(LOOK_UPS)
        self.tokens = tokens_of(settings, clock)
        self.last_used = LastUsed(database)
        self._cache_seconds = settings.credential_cache_seconds
        self._known: ExpiringCache[bytes, Principal] = ExpiringCache(CACHED, clock)
        self._refused: ExpiringCache[bytes, bool] = ExpiringCache(CACHED, clock)

    async def open(self) -> None:
        """Read the keys that sign tokens. Where that fails it is a line in the log, and tried again later."""
        if self.tokens is not None:
            await self.tokens.keys.read()

    def lack_token_keys(self) -> bool:
        """Whether the keys that sign tokens were never read. They are read anew then, which nobody waits for here."""
        if self.tokens is None or not self.tokens.keys.is_empty:
            return False
        self.tokens.keys.begin_to_read()
        return True

    async def let_keys_in(self) -> bool:
        """Whether there is an API key that may be used."""
        return self.has_keys and await is_any_key(self.database)

    async def require_viewer(
        self, request: Request, bearer: Bearer, _organization: OrganizationHeader = None
    ) -> Viewer:
        """The viewer behind a request, who may read batches; a FastAPI dependency.

        Raises `Unauthorized`, `BadRequest` and the forbidden ones, in this order and before any other parameter is
        looked at.
        """
        if len(request.headers.getlist("authorization")) > 1:
            raise Unauthorized(ONE_AUTHORIZATION)
        token, organization = bearer.credentials if bearer else None, organization_of(request.headers)
        viewer = await self.authenticate(token, organization, deadline_of(request.scope))
        viewer.require(READ)
        return viewer

    def cached_viewer(self, headers: Iterable[tuple[bytes, bytes]]) -> Viewer | None:
        """The viewer behind a request's raw headers who may read batches, where the credential was checked a moment
        ago and nothing about it is out of the ordinary; else None."""
        authorization = b""
        for name, value in headers:
            if name == b"authorization" and not authorization:
                authorization = value
            elif name in {b"authorization", b"x-organization-id"}:
                return None
        if not authorization.startswith(BEARER):
            return None
        principal = self._known.get(hashlib.sha256(authorization[len(BEARER) :]).digest())
        if principal is None:
            return None
        try:
            viewer = self._viewer(principal, None)
            viewer.require(READ)
        except ClientError:
            return None
        return viewer

    async def authenticate(
        self, token: str | None, organization: str | None, deadline: Deadline | None = None
    ) -> Viewer:
        """The viewer that a bearer token stands for, in the organization asked for or else the credential's own.

        Looking a key up ends at the deadline, in `DeadlineExceeded`.
        """
        if not token:
            raise Unauthorized
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        principal = self._known.get(digest)
        if principal is None:
            principal = await self._check(token, digest, deadline or Deadline(None))
        return self._viewer(principal, organization)

    def _viewer(self, principal: Principal, organization: str | None) -> Viewer:
        exchange.get().key = principal.key_id or NO_KEY
        if principal.key_id is not None:
            self.last_used.mark(principal.key_id)
        return principal.viewer(None if organization is None else _organization_id(organization))

    async def _look_up(self, token: str) -> ApiKey | None:
        async with self._looking_up:
            return await find_key(self.database, token)

    async def _check(self, token: str, digest: bytes, deadline: Deadline) -> Principal:
        if self.tokens is not None and token.count(".") == 2:
            principal, seconds = await self.tokens.check(token)
            self._known.put(digest, principal, min(seconds, self._cache_seconds))
            return principal
        if not self.has_keys or self._refused.get(digest):
            raise Unauthorized("The credential is not known.")
        key = await deadline.run(self._look_up(token))
        if key is None:
            self._refused.put(digest, True, self._cache_seconds)
            raise Unauthorized("The credential is not known.")
        principal = Principal(key.id, {key.organization_id: key.scopes}, key.organization_id, key_id=key.id)
        self._known.put(digest, principal, self._cache_seconds)
        return principal


def token_of(authorization: str | None) -> str:
    """The bearer token of a header; empty where there is none."""
    scheme, token = get_authorization_scheme_param(authorization)
    return token if scheme.lower() == "bearer" else ""


def organization_of(headers: Headers) -> str | None:
    """The organization asked for. Several are one value with commas in it, as for any header, which is no UUID."""
    named = headers.getlist("x-organization-id")
    return ", ".join(named) if named else None


def _organization_id(text: str) -> str:
    try:
        return str(ORGANIZATION_ID.validate_python(text))
    except ValidationError:
        raise BadRequest("X-Organization-Id must be a UUID.") from None
