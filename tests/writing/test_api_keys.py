"""Keys are shown once, found by their token and useless once revoked."""

import pytest
from sqlalchemy import func, select

from gateway.database.engine import Database
from gateway.database.tables import api_keys, organizations
from gateway.errors import OperatorError
from gateway.writing.api_keys import ApiKey, create_key, find_key, list_keys, revoke_key
from tests.support.rows import OURS, THEIRS, identifier


async def test_a_new_key_is_found_by_its_token(database: Database) -> None:
    token = await create_key(database, OURS, "ci", ["batches:read", "batches:read", "cost:read"])
    found = await find_key(database, token)
    assert found is not None
    assert found == ApiKey(found.id, OURS, "ci", frozenset({"batches:read", "cost:read"}))


async def test_a_token_is_random_marked_and_never_stored(database: Database) -> None:
    tokens = {await create_key(database, OURS, "ci", ["batches:read"]) for _ in range(3)}
    assert len(tokens) == 3
    assert all(token.startswith("gw_") and len(token) == 46 for token in tokens)
    stored = repr(await database.fetch(select(api_keys)))
    assert not any(token in stored or token[3:] in stored for token in tokens)


async def test_an_unseen_organization_is_created_once(database: Database) -> None:
    for _ in range(2):
        await create_key(database, OURS, "ci", ["batches:read"])
    assert (await database.fetch(select(func.count()).select_from(organizations)))[0][0] == 1


@pytest.mark.parametrize("token", ["", "gw_unknown", "\ud800"])
async def test_an_unknown_token_finds_nothing(database: Database, token: str) -> None:
    await create_key(database, OURS, "ci", ["batches:read"])
    assert await find_key(database, token) is None


async def test_a_taken_token_is_refused(database: Database) -> None:
    await create_key(database, OURS, "demo", ["batches:read"], token="demo")
    with pytest.raises(OperatorError, match="exists already"):
        await create_key(database, THEIRS, "demo", ["batches:read"], token="demo")
    assert [key.org_id for key in await list_keys(database)] == [OURS]


async def test_keys_are_listed_by_organization_without_their_hash(database: Database) -> None:
    for organization, name in ((THEIRS, "b"), (OURS, "a"), (OURS, "c")):
        await create_key(database, organization, name, ["batches:read"])
    assert [key.name for key in await list_keys(database)] == ["a", "c", "b"]
    (theirs,) = await list_keys(database, THEIRS)
    assert theirs.name == "b"
    assert "key_hash" not in theirs._mapping


async def test_a_revoked_key_is_not_found_and_keeps_its_first_time(database: Database) -> None:
    token = await create_key(database, OURS, "ci", ["batches:read"])
    (key,) = await list_keys(database)
    await revoke_key(database, key.id)
    (revoked,) = await list_keys(database)
    await revoke_key(database, key.id)
    assert await find_key(database, token) is None
    assert revoked.revoked_at is not None
    assert (await list_keys(database))[0].revoked_at == revoked.revoked_at


async def test_revoking_an_unknown_key_is_refused(database: Database) -> None:
    with pytest.raises(OperatorError, match="There is no key"):
        await revoke_key(database, identifier(1, 1))
