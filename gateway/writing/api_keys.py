"""API keys: random tokens, shown once when they are made and stored as their SHA-256."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.database.engine import Database
from gateway.database.tables import api_keys
from gateway.database.types import AnyRow
from gateway.errors import OperatorError
from gateway.viewer import READ
from gateway.writing.organizations import add_organization

SCOPE = re.compile(r"[a-z_]+:[a-z_]+")
PREFIX = "gw_"  # by which secret scanners know a key that has leaked; never checked here


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that may be used: whose it is and what it allows."""

    id: str
    organization_id: str
    name: str
    scopes: frozenset[str]


async def create_key(
    database: Database,
    organization_id: str,
    name: str,
    scopes: Iterable[str],
    token: str | None = None,
    *,
    shown: Callable[[str], None] | None = None,
) -> str:
    """Make a key and return its token, which cannot be had again.

    It is `shown` before it is stored for good: where that fails, there is no key that nobody has seen.
    `organization_id` is a canonical UUID, created where it is unseen. A `token` is only given for demonstrations; one
    that is taken raises `OperatorError`, as do an empty name and scopes that do not read `resource:action`.
    """
    scopes = sorted(set(scopes))
    if not name.strip():
        raise OperatorError("A key needs a name.")
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise OperatorError(f"{scope!r} is no scope such as {READ}.")
    token = token or PREFIX + secrets.token_urlsafe(32)
    row = {
        "id": str(uuid4()),
        "org_id": organization_id,
        "name": name,
        "key_hash": _hash(token),
        "scopes": scopes,
        "created_at": datetime.now(UTC),
    }
    try:
        async with database.transaction() as connection:
            await add_organization(connection, organization_id)
            await connection.execute(insert(api_keys), row)
            if shown is not None:
                shown(token)
    except IntegrityError as taken:
        raise OperatorError("A key with this token exists already.") from taken
    return token


async def list_keys(database: Database, organization_id: str | None = None) -> Sequence[AnyRow]:
    """The keys of one organization, or of all: every column but the hash, oldest first."""
    columns = [column for column in api_keys.c if column is not api_keys.c.key_hash]
    keys = select(*columns).order_by(api_keys.c.org_id, api_keys.c.created_at, api_keys.c.id)
    return await database.fetch(keys if organization_id is None else keys.where(api_keys.c.org_id == organization_id))


async def revoke_key(database: Database, key_id: str) -> None:
    """Make a key useless from now on. An unknown id raises `OperatorError`; a revoked key keeps its first time."""
    revoked = (
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, datetime.now(UTC), type_=api_keys.c.revoked_at.type))
    )
    async with database.transaction() as connection:
        if (await connection.execute(revoked)).rowcount == 0:
            raise OperatorError(f"There is no key {key_id}.")


async def find_key(database: Database, token: str) -> ApiKey | None:
    """The key with this token, or None where it is unknown or revoked."""
    columns = (api_keys.c.id, api_keys.c.org_id, api_keys.c.name, api_keys.c.scopes)
    statement = select(*columns).where(api_keys.c.key_hash == _hash(token), api_keys.c.revoked_at.is_(None))
    for row in await database.fetch(statement, newest=True):  # a key that was just made, or just revoked
        return ApiKey(row.id, row.org_id, row.name, frozenset(row.scopes))
    return None


async def is_any_key(database: Database) -> bool:
    """Whether there is a key that was not revoked."""
    statement = select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)).limit(1)
    return bool(await database.fetch(statement, newest=True))


def _hash(token: str) -> bytes:
    """A random token of 32 bytes cannot be guessed, so that no slow or salted hash is needed."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
