"""Who may read: keys, tokens, organizations, and in which order requests are refused."""

import logging

import httpx
import pytest

from gateway.app import create_app
from gateway.caches import ExpiringCache
from gateway.database.engine import Database
from gateway.errors import (
    BadRequest,
    ClientError,
    EmailNotVerified,
    ImpersonationReadOnly,
    OrganizationMembershipRequired,
    PermissionDenied,
    RoleUnresolved,
    Unauthorized,
)
from gateway.http.credentials import Credentials
from gateway.settings import Settings
from gateway.viewer import READ, Principal, Viewer
from gateway.writing.api_keys import create_key, list_keys, revoke_key
from tests.support.asking import statements
from tests.support.issuer import AUDIENCE, ISSUER, Clock, Issuer
from tests.support.rows import OURS, THEIRS

WRITE = "batches:write"


async def test_key_stands_for_its_organization_and_its_scopes(database: Database) -> None:
    token = await create_key(database, OURS, "test", [READ, "runs:read"])
    (key,) = await list_keys(database)
    viewer = Viewer(OURS, frozenset({READ, "runs:read"}), key.id)
    credentials = Credentials(database)
    assert await credentials.authenticate(token, None) == viewer
    for spelled in (OURS, OURS.upper(), OURS.replace("-", ""), f"{{{OURS}}}", f"urn:uuid:{OURS}"):
        assert await credentials.authenticate(token, spelled) == viewer


@pytest.mark.parametrize(
    ("token", "organization", "refusal"),
    [
        (None, None, Unauthorized),
        ("", OURS, Unauthorized),
        ("unknown", "not a UUID", Unauthorized),
        ("a.b.c", None, Unauthorized),
        ("\udcff", None, Unauthorized),
        ("the-key", "not a UUID", BadRequest),
        ("the-key", "", BadRequest),
        ("the-key", THEIRS, OrganizationMembershipRequired),
    ],
)
async def test_request_is_refused(
    database: Database, token: str | None, organization: str | None, refusal: type[ClientError]
) -> None:
    await create_key(database, OURS, "test", [READ], "the-key")
    with pytest.raises(refusal):
        await Credentials(database).authenticate(token, organization)


async def test_key_without_the_scope_reads_nothing(database: Database) -> None:
    await create_key(database, OURS, "test", ["runs:read"], "the-key")
    viewer = await Credentials(database).authenticate("the-key", None)
    with pytest.raises(PermissionDenied):
        viewer.require(READ)


SEVERAL = {OURS: frozenset({READ}), THEIRS: None}


@pytest.mark.parametrize(
    ("principal", "organization", "outcome"),
    [
        (Principal("p", {}, None), None, OrganizationMembershipRequired),
        (Principal("p", {}, OURS), None, OrganizationMembershipRequired),
        (Principal("p", {OURS: frozenset()}, None), None, Viewer(OURS, frozenset(), "p")),
        (Principal("p", SEVERAL, None), None, BadRequest),
        (Principal("p", SEVERAL, None, email_verified=False), None, BadRequest),
        (Principal("p", SEVERAL, OURS), None, Viewer(OURS, frozenset({READ}), "p")),
        (Principal("p", SEVERAL, THEIRS), OURS, Viewer(OURS, frozenset({READ}), "p")),
        (Principal("p", SEVERAL, OURS), THEIRS, RoleUnresolved),
        (Principal("p", SEVERAL, OURS, email_verified=False), THEIRS, EmailNotVerified),
        (Principal("p", SEVERAL, OURS, scopes=frozenset()), None, Viewer(OURS, frozenset(), "p")),
        (Principal("p", SEVERAL, OURS, scopes=frozenset({READ, WRITE})), None, Viewer(OURS, frozenset({READ}), "p")),
        (Principal("p", SEVERAL, OURS, impersonated=True), None, Viewer(OURS, frozenset({READ}), "p", True)),
    ],
)
def test_organization_is_chosen(
    principal: Principal, organization: str | None, outcome: Viewer | type[ClientError]
) -> None:
    if isinstance(outcome, Viewer):
        assert principal.viewer(organization) == outcome
    else:
        with pytest.raises(outcome):
            principal.viewer(organization)


def test_who_acts_for_somebody_else_reads_but_does_not_write() -> None:
    viewer = Viewer(OURS, frozenset({READ, WRITE}), "jwt:support", impersonated=True)
    viewer.require(READ)
    with pytest.raises(ImpersonationReadOnly):
        viewer.require_write(WRITE)


def test_write_requires_its_scope() -> None:
    Viewer(OURS, frozenset({WRITE}), "key").require_write(WRITE)
    with pytest.raises(PermissionDenied):
        Viewer(OURS, frozenset({READ}), "key").require_write(WRITE)


async def test_token_and_key_are_told_apart_by_their_form(database: Database) -> None:
    issuer = Issuer()
    settings = Settings(jwt_public_key=issuer.pem, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    credentials = Credentials(database, settings)
    await create_key(database, OURS, "test", [READ], "the-key")
    token = issuer.token(org_id=OURS, scope=READ)
    assert (await credentials.authenticate(token, None)).credential == "jwt:ada"
    assert (await credentials.authenticate("the-key", None)).scopes == {READ}
    with pytest.raises(Unauthorized):
        await Credentials(database).authenticate(token, None)


async def test_revoked_key_is_refused_once_what_was_remembered_is_old(database: Database) -> None:
    clock = Clock()
    credentials = Credentials(database, clock=clock)
    await create_key(database, OURS, "test", [READ], "the-key")
    await credentials.authenticate("the-key", None)
    await revoke_key(database, (await list_keys(database))[0].id)
    clock.now += 14.9
    await credentials.authenticate("the-key", None)
    clock.now += 0.1
    with pytest.raises(Unauthorized):
        await credentials.authenticate("the-key", None)


async def test_credential_is_looked_up_once_a_while(database: Database) -> None:
    credentials = Credentials(database, clock=Clock())
    await create_key(database, OURS, "test", [READ], "the-key")
    with statements(database) as seen:
        for _ in range(3):
            await credentials.authenticate("the-key", None)
            with pytest.raises(Unauthorized):
                await credentials.authenticate("unknown", None)
    assert len([statement for statement in seen if "api_keys" in statement]) == 2


async def test_token_is_remembered_no_longer_than_it_is_good(database: Database) -> None:
    issuer, clock = Issuer(), Clock()
    settings = Settings(jwt_public_key=issuer.pem, jwt_issuer=ISSUER, jwt_leeway_seconds=0, jwt_audience=AUDIENCE)
    credentials = Credentials(database, settings, clock=clock)
    token = issuer.token(org_id=OURS, exp=issuer.claims()["iat"] + 10)
    await credentials.authenticate(token, None)
    credentials.tokens = None
    clock.now += 9
    await credentials.authenticate(token, None)
    clock.now += 2
    with pytest.raises(Unauthorized):
        await credentials.authenticate(token, None)


def test_oldest_make_room_and_old_ones_are_gone() -> None:
    clock = Clock()
    remembered: ExpiringCache[bytes, int] = ExpiringCache(2, clock)
    for number in (1, 2, 3):
        remembered.put(bytes([number]), number, seconds=10)
    assert [remembered.get(bytes([number])) for number in (1, 2, 3)] == [None, 2, 3]
    remembered.put(b"\x02", 20, seconds=5)
    remembered.put(b"\x04", 4, seconds=10)
    assert [remembered.get(bytes([number])) for number in (2, 3, 4)] == [20, None, 4]
    clock.now += 5
    assert [remembered.get(bytes([number])) for number in (2, 3, 4)] == [None, None, 4]


async def test_no_credential_is_logged_or_shown(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issuer = Issuer()
    settings = Settings(
        database_url=database.url.render_as_string(hide_password=False), jwt_public_key=issuer.pem, jwt_issuer=ISSUER
    )
    key, token = await create_key(database, OURS, "test", [READ]), issuer.token(aud=None, org_id=OURS, scope=READ)
    app = create_app(settings)
    shown = ""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        for credential in (key, token, f"{key}x", f"{token}x"):
            for path in (f"/v1/batches/{OURS}/callback", "/v1/batches/x/callback"):
                shown += (await client.get(path, headers={"Authorization": f"Bearer {credential}"})).text
    assert not any(secret in shown + caplog.text for secret in (key, *token.split(".")))
