"""Tokens: which are believed, and what they say about their holder."""

import base64
import hmac
import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import OperatorError, Unauthorized
from gateway.http.tokens import Claims, Tokens, tokens_of
from gateway.settings import Settings
from gateway.viewer import READ, Principal
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.rows import OURS, THEIRS

ROLES = {"reader": frozenset({READ, "runs:read"})}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def tokens(issuer: Issuer, clock: Callable[[], float] = time.monotonic, **given_settings: Any) -> Tokens:
    """What checks the issuer's tokens."""
    usual = {"jwt_public_key": issuer.pem, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_role_scopes": ROLES}
    made = tokens_of(Settings(**{**usual, **given_settings}), clock)
    assert made is not None
    return made


async def test_token_of_the_issuer_is_believed_until_it_expires(issuer: Issuer) -> None:
    principal, seconds = await tokens(issuer).check(issuer.token(org_id=OURS, scope=f"openid {READ}"))
    assert principal == Principal("jwt:ada", {OURS: frozenset({READ})}, OURS, frozenset({READ}))
    assert 620 < seconds <= 630


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": timedelta(seconds=-31)},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": timedelta(seconds=60)},
        {"iat": timedelta(seconds=60)},
        {"iss": "https://login.evil"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7.5},
        {"sub": True},
        {"sub": ["ada"]},
        {"org_id": "acme"},
        {"organizations": [{"id": "acme", "role": "reader"}]},
        {"organizations": {"id": OURS}},
        {"scope": 7},
        {"email_verified": "perhaps"},
    ],
    ids=str,
)
async def test_token_with_a_wrong_claim_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(issuer.token(**claims))


@pytest.mark.parametrize(
    "claims", [{"exp": timedelta(seconds=-20)}, {"nbf": timedelta(seconds=20)}, {"aud": ["a", AUDIENCE]}]
)
async def test_clocks_may_be_apart_and_a_token_may_have_several_audiences(
    issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert (await tokens(issuer).check(issuer.token(**claims)))[0].credential == "jwt:ada"


async def test_without_an_audience_only_tokens_without_one_are_believed(issuer: Issuer) -> None:
    no_audience = tokens(issuer, jwt_audience=None)
    assert (await no_audience.check(issuer.token(aud=None)))[0].credential == "jwt:ada"
    with pytest.raises(Unauthorized):
        await no_audience.check(issuer.token())


async def test_unsigned_token_is_refused(issuer: Issuer) -> None:
    for algorithm in ("none", "None", "NONE"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()
        _, claims, signature = issuer.token().split(".")
        for attached in ("", signature):
            with pytest.raises(Unauthorized):
                await tokens(issuer).check(f"{header}.{claims}.{attached}")


async def test_hmac_made_with_the_public_key_is_refused(issuer: Issuer) -> None:
    def encoded(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    signed = encoded(b'{"alg":"HS256"}') + b"." + encoded(json.dumps(issuer.claims()).encode())
    forged = signed + b"." + encoded(hmac.digest(issuer.pem.encode(), signed, "sha256"))
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(forged.decode())


async def test_algorithm_that_is_not_on_the_list_is_refused(issuer: Issuer) -> None:
    with pytest.raises(OperatorError, match="no public key for an allowed algorithm"):
        tokens(issuer, jwt_algorithms=("RS256",))
    for algorithm in ("HS256", "none"):
        with pytest.raises(ValueError, match="jwt_algorithms"):
            Settings(jwt_algorithms=(algorithm,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"alg": "ES256", "jku": "https://other.example/keys", "kid": "theirs"},
    ],
    ids=str,
)
async def test_what_a_token_says_of_itself_is_not_believed(issuer: Issuer, header: dict[str, Any]) -> None:
    stranger = Issuer()
    signed_by = stranger if "jku" in header else issuer
    token = jwt.encode(issuer.claims(), signed_by.keys[signed_by.kid], "ES256", {"kid": issuer.kid} | header)
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(token)


async def test_signature_of_another_key_is_refused(issuer: Issuer) -> None:
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(Issuer().token())


@given(st.text(max_size=30) | st.tuples(*[st.text(max_size=20)] * 3).map(".".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(token)


@pytest.mark.parametrize("part", [0, 1])
async def test_deeply_nested_json_is_refused(issuer: Issuer, part: int) -> None:
    parts = issuer.token().split(".")
    parts[part] = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    with pytest.raises(Unauthorized):
        await tokens(issuer).check(".".join(parts))


async def test_short_rsa_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(Issuer().claims(), key, "RS256")
    with pytest.raises(Unauthorized):
        await tokens(Issuer(), jwt_public_key=pem).check(token)


@pytest.mark.parametrize(
    ("claims", "principal"),
    [
        ({}, Principal("jwt:ada", {}, None)),
        ({"org_id": OURS}, Principal("jwt:ada", {OURS: frozenset()}, OURS)),
        (
            {"org_id": OURS.upper(), "scopes": [READ]},
            Principal("jwt:ada", {OURS: frozenset({READ})}, OURS, frozenset({READ})),
        ),
        ({"organizations": [], "org_id": OURS}, Principal("jwt:ada", {}, OURS)),
        (
            {"organizations": [{"id": OURS, "role": "reader"}, {"id": THEIRS, "role": "cook"}]},
            Principal("jwt:ada", {OURS: ROLES["reader"], THEIRS: None}, None),
        ),
        (
            {"organizations": [{"id": OURS}], "scope": "openid email"},
            Principal("jwt:ada", {OURS: None}, None),
        ),
        (
            {"organizations": [{"id": OURS, "role": "reader"}], "scope": "runs:read", "scopes": None},
            Principal("jwt:ada", {OURS: ROLES["reader"]}, None, frozenset({"runs:read"})),
        ),
        (
            {"organizations": [{"id": OURS, "role": "reader"}], "scopes": []},
            Principal("jwt:ada", {OURS: ROLES["reader"]}, None, frozenset()),
        ),
        ({"email_verified": False}, Principal("jwt:ada", {}, None, email_verified=False)),
        ({"email_verified": True}, Principal("jwt:ada", {}, None)),
        ({"act": {"sub": "support"}}, Principal("jwt:ada", {}, None, impersonated=True)),
        ({"sub": "a\nb"}, Principal("jwt:a\\nb", {}, None)),
        ({"sub": 7}, Principal("jwt:7", {}, None)),
        ({"sub": -(10**30)}, Principal(f"jwt:-{10**30}", {}, None)),
        *(
            ({"org_id": OURS, name: value}, Principal("jwt:ada", {OURS: frozenset({READ})}, OURS, frozenset({READ})))
            for name in ("scope", "scopes", "scp", "permissions")
            for value in (READ, f"openid {READ}", [READ], ["openid", READ])
        ),
        (
            {"org_id": OURS, "scope": "openid profile", "permissions": [READ]},
            Principal("jwt:ada", {OURS: frozenset({READ})}, OURS, frozenset({READ})),
        ),
        (
            {"org_id": OURS, "scope": "runs:read", "scp": [READ], "permissions": [READ]},
            Principal("jwt:ada", {OURS: frozenset({"runs:read"})}, OURS, frozenset({"runs:read"})),
        ),
        (
            {"organizations": [{"id": OURS, "role": "reader"}], "scope": "openid", "permissions": []},
            Principal("jwt:ada", {OURS: ROLES["reader"]}, None, frozenset()),
        ),
        *(
            ({"org_id": OURS, name: value}, Principal("jwt:ada", {OURS: frozenset()}, OURS))
            for name in ("scp", "permissions")
            for value in (7, {"read": True}, [{"rsname": "batches"}], ["openid", 7], "access_as_user")
        ),
    ],
    ids=str,
)
def test_claims_say_who_holds_a_token(issuer: Issuer, claims: dict[str, Any], principal: Principal) -> None:
    assert Claims.model_validate(issuer.claims(**claims)).principal(ROLES) == principal


async def test_keys_come_from_a_file_of_either_kind(issuer: Issuer, tmp_path: Path) -> None:
    for text in (issuer.pem.encode(), issuer.jwks):
        file = tmp_path / "keys"
        file.write_bytes(text)
        checks = tokens(issuer, jwt_public_key=None, jwt_keys_file=file)
        assert (await checks.check(issuer.token()))[0].credential == "jwt:ada"


async def test_public_key_may_have_its_line_ends_escaped(issuer: Issuer) -> None:
    checks = tokens(issuer, jwt_public_key=issuer.pem.replace("\n", "\\n"))
    assert (await checks.check(issuer.token()))[0].credential == "jwt:ada"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jwt_issuer": None}, "Set GATEWAY_JWT_ISSUER: whose tokens are accepted."),
        ({"jwt_public_key": "nonsense"}, "The keys that sign tokens cannot be read: neither PEM nor JSON."),
        (
            {"jwt_public_key": None, "jwt_keys_url": "file:///keys"},
            "GATEWAY_JWT_KEYS_URL must be an https or http address.",
        ),
        (
            {"jwt_keys_url": "https://login.example"},
            "Set one of GATEWAY_JWT_KEYS_URL, GATEWAY_JWT_KEYS_FILE and GATEWAY_JWT_PUBLIC_KEY.",
        ),
    ],
)
def test_mistake_in_the_settings_is_one_line(issuer: Issuer, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError) as refused:
        tokens(issuer, **settings)
    assert refused.value.message == message


def test_private_key_in_the_settings_is_refused_and_not_shown(issuer: Issuer) -> None:
    private = issuer.keys[issuer.kid].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(OperatorError) as refused:
        tokens(issuer, jwt_public_key=private)
    assert private.splitlines()[1] not in refused.value.message


def test_without_keys_there_are_no_tokens() -> None:
    assert tokens_of(Settings()) is None


async def test_refusal_does_not_show_the_token(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = issuer.token(aud="another-service")
    with pytest.raises(Unauthorized) as refused:
        await tokens(issuer).check(token)
    assert refused.value.message == "The token is not valid."
    assert not any(part in caplog.text for part in token.split("."))


async def test_ids_that_are_numbers_are_taken_for_their_digits(issuer: Issuer) -> None:
    assert (await tokens(issuer).check(issuer.token(sub=7, jti=12)))[0].credential == "jwt:7"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "another-service"}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError: aud"),
        ({"iss": "https://login.evil"}, "InvalidIssuerError"),
        ({"sub": None}, "MissingRequiredClaimError: sub"),
        ({"sub": True, "org_id": "acme"}, "ValidationError: org_id, sub"),
        ({"organizations": [{"id": "a"}, {"id": "b"}]}, "ValidationError: organizations"),
        ({"iat": timedelta(seconds=60)}, "ImmatureSignatureError"),
    ],
    ids=str,
)
async def test_what_may_be_a_mistake_in_the_settings_is_a_warning_once(
    issuer: Issuer, claims: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    checks = tokens(issuer)
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await checks.check(issuer.token(**claims))
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name.startswith("gateway")]
    assert said == [
        ("WARNING", f"a token is refused: {reason}; others like it are told at DEBUG only"),
        *[("DEBUG", f"a token is refused: {reason}")] * 2,
    ]


async def test_what_anybody_may_send_is_no_warning(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    checks = tokens(issuer)
    for token in ("a.b.c", Issuer().token(), issuer.token(exp=timedelta(seconds=-31))):
        with pytest.raises(Unauthorized):
            await checks.check(token)
    assert not caplog.records
