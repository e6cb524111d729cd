"""The keys that sign tokens: where they come from, what each is for, and what holds while they are away.

Which key may check a token is said by `kid`, `kty`, `alg`, `use` and `key_ops`, each of which may be absent, null,
malformed, or the same for several keys.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from gateway import __version__
from gateway.app import create_app
from gateway.database.engine import Database
from gateway.errors import KeysUnavailable, OperatorError, Unauthorized
from gateway.http import signing_keys
from gateway.http.signing_keys import LIFETIME, RETRY, KeySet, fetch_keys, parse_keys
from gateway.http.tokens import Tokens, tokens_of
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key, list_keys, revoke_key
from tests.support import edge
from tests.support.issuer import AUDIENCE, ISSUER, Clock, Issuer
from tests.support.rows import OURS

ALLOWED = ("ES256", "RS256", "EdDSA")
EVERY = (*ALLOWED, "PS256")
RSA_KEY = rsa.generate_private_key(65537, 2048)
ANOTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return edge.furnished(sqlite_template, tmp_path)


def tokens(issuer: Issuer, clock: Callable[[], float] = time.monotonic, **given_settings: Any) -> Tokens:
    """What checks the issuer's tokens."""
    usual = {"jwt_public_key": issuer.pem, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    made = tokens_of(Settings(**{**usual, **given_settings}), clock)
    assert made is not None
    return made


def jwk(key: Any, algorithm: Any, **others: Any) -> dict[str, Any]:
    return {**algorithm.to_jwk(key, as_dict=True), **others}


def test_only_public_keys_that_may_sign_with_an_allowed_algorithm_are_used() -> None:
    ed, rsa_, p384 = (
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
    )
    document = {
        "keys": [
            jwk(ed.public_key(), OKPAlgorithm, kid="ed"),
            jwk(rsa_.public_key(), RSAAlgorithm, kid="rsa"),
            jwk(rsa_.public_key(), RSAAlgorithm, kid="pinned to another", alg="PS256"),
            jwk(rsa_.public_key(), RSAAlgorithm, kid="for encryption", use="enc"),
            jwk(rsa_, RSAAlgorithm, kid="private"),
            jwk(p384.public_key(), ECAlgorithm, kid="not allowed"),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": 7},
            {"kty": "new", "kid": "unknown"},
            "no key",
        ]
    }
    keys = parse_keys(json.dumps(document).encode(), ALLOWED)
    assert [(key.kid, key.algorithms) for key in keys] == [("ed", {"EdDSA"}), ("rsa", {"RS256"})]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 100_000, b"[]", b'{"keys":7}', b'{"keys":[]}', b"-----BEGIN PUBLIC KEY-----\n"], ids=len
)
def test_document_without_a_usable_key_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_keys(text, ALLOWED)


async def test_new_key_is_fetched_when_a_token_names_it_but_not_for_each_such_token() -> None:
    issuer, clock = Issuer(), Clock()
    with issuer.listening() as url:
        checks = tokens(issuer, clock, jwt_public_key=None, jwt_keys_url=url)
        await checks.check(issuer.token())
        issuer.rotate("second")
        for _ in range(5):
            with pytest.raises(Unauthorized):
                await checks.check(issuer.token())
        clock.now += RETRY
        await asyncio.gather(*(checks.check(issuer.token()) for _ in range(5)))
    assert issuer.asked == 2


async def test_withdrawn_key_is_forgotten_after_a_while() -> None:
    issuer, clock = Issuer(), Clock()
    with issuer.listening() as url:
        checks = tokens(issuer, clock, jwt_public_key=None, jwt_keys_url=url)
        withdrawn = issuer.token()
        await checks.check(withdrawn)
        issuer.rotate("second")
        del issuer.keys["first"]
        clock.now += LIFETIME
        assert (await checks.check(withdrawn))[0].credential == "jwt:ada"
        clock.now += 1
        with pytest.raises(Unauthorized):
            await checks.check(withdrawn)


@pytest.mark.parametrize("published", [b"<html>", b"{}", b" " * (2 << 20)], ids=len)
async def test_last_keys_stay_while_none_can_be_fetched(published: bytes, caplog: pytest.LogCaptureFixture) -> None:
    issuer, clock = Issuer(), Clock()
    with issuer.listening() as url:
        checks = tokens(issuer, clock, jwt_public_key=None, jwt_keys_url=url)
        await checks.check(issuer.token())
        issuer.published = published
        clock.now += LIFETIME + 1
        for _ in range(2):
            assert (await checks.check(issuer.token()))[0].credential == "jwt:ada"
    assert issuer.asked == 2
    assert len(caplog.records) == 1


async def test_nobody_is_told_a_credential_is_wrong_while_no_key_was_ever_fetched(issuer: Issuer) -> None:
    with issuer.listening() as url:
        pass
    checks = tokens(issuer, jwt_public_key=None, jwt_keys_url=url)
    with pytest.raises(KeysUnavailable):
        await checks.check(issuer.token())


async def test_key_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "SECONDS_TO_READ", 0.01)
    released = Event()
    keys = KeySet(lambda: b"{}" if released.wait(10) else b"", ALLOWED)
    with pytest.raises(KeysUnavailable):
        await keys.find("first", "ES256")
    released.set()


async def test_token_without_key_id_is_believed_where_there_is_one_key(issuer: Issuer) -> None:
    token = jwt.encode(issuer.claims(), issuer.keys["first"], "ES256")
    keys = KeySet(lambda: issuer.jwks, ALLOWED)
    checks = Tokens(keys, ISSUER, AUDIENCE, 0, {})
    assert (await checks.check(token))[0].credential == "jwt:ada"
    issuer_of_two = Issuer()
    issuer_of_two.rotate("second")
    keys = KeySet(lambda: issuer_of_two.jwks, ALLOWED)
    with pytest.raises(Unauthorized):
        await Tokens(keys, ISSUER, AUDIENCE, 0, {}).check(token)


def published(*keys: dict[str, Any]) -> Tokens:
    """What checks tokens by a set of these keys."""
    document = json.dumps({"keys": list(keys)}).encode()
    return Tokens(KeySet(lambda: document, EVERY), ISSUER, AUDIENCE, 0, {})


def signed(key: Any, algorithm: str, kid: str | None = "k") -> str:
    """A token for a day: those of the tables below are signed when the tests are collected, and read much later."""
    claims = Issuer().claims(exp=timedelta(days=1))
    return jwt.encode(claims, key, algorithm, None if kid is None else {"kid": kid})


def rsa_jwk(key: rsa.RSAPrivateKey = RSA_KEY, **others: Any) -> dict[str, Any]:
    return jwk(key.public_key(), RSAAlgorithm, **{"kid": "k", **others})


def ec_jwk(**others: Any) -> dict[str, Any]:
    return jwk(EC_KEY.public_key(), ECAlgorithm, **{"kid": "k", **others})


def ed_jwk(**others: Any) -> dict[str, Any]:
    return jwk(ED_KEY.public_key(), OKPAlgorithm, **{"kid": "k", **others})


KEYS_AND_TOKENS = {
    "two kinds of one id, the other first": ([rsa_jwk(), ec_jwk()], signed(EC_KEY, "ES256")),
    "two kinds of one id, this first": ([rsa_jwk(), ec_jwk()], signed(RSA_KEY, "RS256")),
    "three kinds of one id": ([rsa_jwk(), ec_jwk(), ed_jwk()], signed(ED_KEY, "EdDSA")),
    "one RSA key under two algorithms, the second": (
        [rsa_jwk(alg="RS256"), rsa_jwk(alg="PS256")],
        signed(RSA_KEY, "PS256"),
    ),
    "one RSA key under two algorithms, the first": (
        [rsa_jwk(alg="RS256"), rsa_jwk(alg="PS256")],
        signed(RSA_KEY, "RS256"),
    ),
    "two RSA keys of one id, the second": ([rsa_jwk(ANOTHER_RSA_KEY), rsa_jwk()], signed(RSA_KEY, "RS256")),
    "no algorithm: whatever the key can": ([rsa_jwk()], signed(RSA_KEY, "PS256")),
    "algorithm null": ([rsa_jwk(alg=None)], signed(RSA_KEY, "RS256")),
    "use null": ([ec_jwk(use=None)], signed(EC_KEY, "ES256")),
    "use sig": ([ec_jwk(use="sig")], signed(EC_KEY, "ES256")),
    "key_ops null": ([ec_jwk(key_ops=None)], signed(EC_KEY, "ES256")),
    "key_ops with verify": ([ec_jwk(key_ops=["verify"])], signed(EC_KEY, "ES256")),
    "algorithm by its new name": ([ed_jwk(alg="Ed25519")], signed(ED_KEY, "EdDSA")),
    "id null, and a token with one": ([ec_jwk(kid=None)], signed(EC_KEY, "ES256")),
    "no ids, chosen by the kind": (
        [rsa_jwk(kid=None), ec_jwk(kid=None)],
        signed(EC_KEY, "ES256"),
    ),
    "no id in the token, chosen by the kind": ([rsa_jwk(), ec_jwk()], signed(EC_KEY, "ES256", None)),
    "beside a key for encryption of the same id": (
        [rsa_jwk(ANOTHER_RSA_KEY, use="enc"), rsa_jwk(use="sig")],
        signed(RSA_KEY, "RS256"),
    ),
}


@pytest.mark.parametrize("name", KEYS_AND_TOKENS)
async def test_the_key_that_fits_is_found(name: str) -> None:
    keys, token = KEYS_AND_TOKENS[name]
    assert (await published(*keys).check(token))[0].credential == "jwt:ada"


SPARE = ec_jwk(kid="spare")
KEYS_THAT_DO_NOT_FIT = {
    "key_ops encrypt": ([rsa_jwk(key_ops=["encrypt"]), SPARE], signed(RSA_KEY, "RS256")),
    "key_ops sign": ([rsa_jwk(key_ops=["sign"]), SPARE], signed(RSA_KEY, "RS256")),
    "key_ops empty": ([rsa_jwk(key_ops=[]), SPARE], signed(RSA_KEY, "RS256")),
    "key_ops no list": ([rsa_jwk(key_ops="verify"), SPARE], signed(RSA_KEY, "RS256")),
    "use enc": ([rsa_jwk(use="enc"), SPARE], signed(RSA_KEY, "RS256")),
    "use empty": ([rsa_jwk(use=""), SPARE], signed(RSA_KEY, "RS256")),
    "use a list": ([rsa_jwk(use=["sig"]), SPARE], signed(RSA_KEY, "RS256")),
    "algorithm of encryption": ([rsa_jwk(alg="RSA-OAEP"), SPARE], signed(RSA_KEY, "RS256")),
    "another algorithm": ([rsa_jwk(alg="PS256"), SPARE], signed(RSA_KEY, "RS256")),
    "algorithm of another kind": ([rsa_jwk(alg="ES256"), SPARE], signed(RSA_KEY, "RS256")),
    "algorithm no text": ([rsa_jwk(alg=["RS256"]), SPARE], signed(RSA_KEY, "RS256")),
    "another id": ([rsa_jwk(kid="other"), SPARE], signed(RSA_KEY, "RS256")),
    "id a number": ([rsa_jwk(kid=7), SPARE], signed(RSA_KEY, "RS256", "7")),
    "no id, beside a key that has one": ([rsa_jwk(kid=None), SPARE], signed(RSA_KEY, "RS256")),
    "no id in the token, and two that fit": ([rsa_jwk(), rsa_jwk(ANOTHER_RSA_KEY)], signed(RSA_KEY, "RS256", None)),
    "an algorithm that is not allowed": ([rsa_jwk(), SPARE], signed(RSA_KEY, "RS512")),
    "signed by another of the id": ([rsa_jwk(), rsa_jwk(RSA_KEY, alg="PS256")], signed(ANOTHER_RSA_KEY, "PS256")),
}


@pytest.mark.parametrize("name", KEYS_THAT_DO_NOT_FIT)
async def test_a_key_that_is_for_something_else_checks_nothing(name: str) -> None:
    keys, token = KEYS_THAT_DO_NOT_FIT[name]
    with pytest.raises(Unauthorized):
        await published(*keys).check(token)


ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=8), max_size=2)


@given(
    st.sampled_from(["kid", "kty", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "d", "k"]),
    ODD,
    st.sampled_from([rsa_jwk(), ec_jwk(), ed_jwk()]),
)
def test_no_odd_member_of_a_key_breaks_the_set(name: str, value: Any, key: dict[str, Any]) -> None:
    keys = parse_keys(json.dumps({"keys": [{**key, name: value}, SPARE]}).encode(), EVERY)
    assert "spare" in {key.kid for key in keys}


def written(*parts: dict[str, Any]) -> str:
    """A token that nobody has signed."""
    return ".".join([*(base64url_encode(json.dumps(part).encode()).decode() for part in parts), "c2lnbmVk"])


WHAT_NEEDS_NO_KEY: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=timedelta(seconds=-31)),
    "not yet": lambda issuer: issuer.token(nbf=timedelta(seconds=60)),
    "foreign issuer": lambda issuer: issuer.token(iss="https://login.evil"),
    "foreign audience": lambda issuer: issuer.token(aud="another-service"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "no subject": lambda issuer: issuer.token(sub=None),
    "no end": lambda issuer: issuer.token(exp=None),
    "odd organization": lambda issuer: issuer.token(org_id="acme"),
    "HS256": lambda issuer: jwt.encode(issuer.claims(), "x" * 32, "HS256"),
    "none": lambda issuer: written({"alg": "none"}, issuer.claims()),
    "not allowed": lambda issuer: jwt.encode(issuer.claims(), RSA_KEY, "RS512"),
    "id a number": lambda issuer: written({"alg": "ES256", "kid": 7}, issuer.claims()),
    "algorithm a list": lambda issuer: written({"alg": ["ES256"]}, issuer.claims()),
    "malformed": lambda _: "a.b.c",
    "encrypted": lambda issuer: issuer.token() + ".d.e",
    "no claims": lambda _: jwt.PyJWS().encode(b"[]", EC_KEY, "ES256"),
}


@pytest.mark.parametrize("what", WHAT_NEEDS_NO_KEY)
async def test_what_needs_no_key_is_refused_also_while_there_are_none(issuer: Issuer, what: str) -> None:
    with issuer.listening() as url:
        pass
    checks = tokens(issuer, jwt_public_key=None, jwt_keys_url=url)
    with pytest.raises(Unauthorized):
        await checks.check(WHAT_NEEDS_NO_KEY[what](issuer))
    with pytest.raises(KeysUnavailable):
        await checks.check(issuer.token())


@pytest.mark.parametrize("path", ["/graphql", f"/v1/batches/{edge.BATCH}/callback"])
@pytest.mark.parametrize("profile", ["production", "development"])
async def test_an_outage_is_503_on_both_faces_and_over_when_the_keys_are_there(
    url: str, path: str, profile: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "RETRY", 0)
    issuer = Issuer()
    issuer.status = 403
    of_issuer = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    accept = {"Accept": "application/json"}
    token = {**accept, "Authorization": f"Bearer {issuer.token(org_id=OURS, scope=READ)}"}
    expired = {**accept, "Authorization": f"Bearer {issuer.token(exp=timedelta(seconds=-31))}"}
    key = {**accept, "Authorization": f"Bearer {edge.KEY}"}
    address = f"{path}?query=%7B__typename%7D" if path == "/graphql" else path
    with issuer.listening() as keys_url:
        async with edge.gateway(url, profile, None, **of_issuer, jwt_keys_url=keys_url) as client:
            for _ in range(3):
                answer = await client.get(address, headers=token)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
                body = answer.json()
                if path == "/graphql":
                    assert body["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfter": 10}
                else:
                    message = "The keys that sign tokens cannot be read just now."
                    assert body == {"code": "UNAVAILABLE", "message": message, "errors": None}
                assert (await client.get(address, headers=expired)).status_code == 401
                assert (await client.get(address, headers=key)).status_code == 200
            (record,) = of_keys(caplog)
            assert (record.levelname, record.exc_info, record.getMessage()) == (
                "WARNING",
                None,
                "the keys that sign tokens cannot be read, tokens are answered 503 until they can: "
                f"{keys_url} answers 403: Forbidden",
            )
            issuer.status = 200
            assert (await client.get(address, headers=token)).status_code == 200


def of_keys(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == signing_keys.__name__]


async def until_ready(client: httpx.AsyncClient) -> None:
    """Ask until everything is there: the probe itself has the keys read, and does not wait for them."""
    while True:
        answer = await client.get("/readyz")
        if answer.json() == {"status": "ready"}:
            return
        assert answer.status_code == 503
        await asyncio.sleep(0)


async def test_readiness_tells_of_keys_that_were_never_read(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signing_keys, "RETRY", 0)
    issuer = Issuer()
    issuer.status = 500
    url = database.url.render_as_string(hide_password=False)
    with issuer.listening() as keys_url:
        settings = Settings(database_url=url, jwt_keys_url=keys_url, jwt_issuer=ISSUER)
        app = create_app(settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
        ):
            assert len(of_keys(caplog)) == 1  # when it starts, before anybody asks
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {"status": "unavailable", "reason": "TOKEN_KEYS_UNAVAILABLE"}
            await create_key(database, OURS, "test", [READ])
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()) == (
                200,
                {"status": "ready", "lacking": "TOKEN_KEYS_UNAVAILABLE"},
            )
            await revoke_key(database, (await list_keys(database))[0].id)
            assert (await client.get("/readyz")).status_code == 503
            issuer.status = 200
            await until_ready(client)
            issuer.status = 500
            assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_many_tokens_ask_once_for_keys_that_are_away(issuer: Issuer) -> None:
    away = Issuer()
    away.status = 500
    with away.listening() as url:
        checks = tokens(issuer, jwt_public_key=None, jwt_keys_url=url)
        outcomes = await asyncio.gather(*(checks.check(issuer.token()) for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {KeysUnavailable}
    assert away.asked == 1


async def test_who_asks_for_keys_says_who_it_is() -> None:
    issuer = Issuer()
    with issuer.listening() as url:
        await tokens(issuer, jwt_public_key=None, jwt_keys_url=url).check(issuer.token())
    assert issuer.agents == [f"callback-gateway/{__version__}"]


@pytest.mark.parametrize("path", [DISCOVERY, "/realms/acme/.well-known/oauth-authorization-server"])
async def test_a_discovery_document_leads_to_the_keys(path: str) -> None:
    issuer = Issuer()
    with issuer.listening() as url:
        issuer.others[path] = json.dumps({"issuer": ISSUER, "jwks_uri": url, "scopes_supported": ["openid"]}).encode()
        checks = tokens(issuer, jwt_public_key=None, jwt_keys_url=url.replace("/jwks.json", path))
        assert (await checks.check(issuer.token()))[0].credential == "jwt:ada"
    assert issuer.asked == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            {"issuer": "https://login.other", "jwks_uri": "URL"},
            "/.well-known/openid-configuration is the issuer 'https://login.other''s, while GATEWAY_JWT_ISSUER is "
            "'https://login.example'",
        ),
        ({"issuer": ISSUER + "/", "jwks_uri": "URL"}, "is the issuer 'https://login.example/''s"),
        ({"jwks_uri": "URL"}, "is the issuer None's"),
        ({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}, "names no http address as `jwks_uri`"),
        ({"issuer": ISSUER, "jwks_uri": None}, "names no http address as `jwks_uri`"),
        ({"issuer": ISSUER, "jwks_uri": ["URL"]}, "names no http address as `jwks_uri`"),
        ({"issuer": ISSUER, "jwks_uri": "SELF"}, "a discovery document"),
        ({"issuer": ISSUER}, "no public key for an allowed algorithm"),
        ({"error": "not found"}, "no public key for an allowed algorithm"),
        ([], "no public key for an allowed algorithm"),
        ("<html>", "neither PEM nor JSON"),
    ],
    ids=str,
)
async def test_a_discovery_document_that_cannot_be_followed_says_why(
    document: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    with issuer.listening() as url:
        here = url.replace("/jwks.json", DISCOVERY)
        text = document if isinstance(document, str) else json.dumps(document)
        issuer.others[DISCOVERY] = text.replace("URL", url).replace("SELF", here).encode()
        with pytest.raises(KeysUnavailable):
            await tokens(issuer, jwt_public_key=None, jwt_keys_url=here).check(issuer.token())
    (record,) = of_keys(caplog)
    assert reason in record.getMessage()


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/keys", "data:application/json,{}"])
def test_a_redirect_does_not_leave_http(to: str) -> None:
    issuer = Issuer()
    issuer.redirects["/jwks.json"] = to
    with issuer.listening() as url, pytest.raises(OSError, match=r"/jwks\.json answers 302"):
        fetch_keys(url, ISSUER)


def test_a_redirect_is_followed() -> None:
    issuer = Issuer()
    issuer.redirects["/old"] = "/jwks.json"
    with issuer.listening() as url:
        assert fetch_keys(url.replace("/jwks.json", "/old"), ISSUER) == issuer.jwks


@pytest.mark.parametrize(
    "url", ["https:///keys", "https://", "http://[::1/keys", "http://login.example:port/keys", "login.example/keys"]
)
def test_an_address_that_is_none_is_refused(issuer: Issuer, url: str) -> None:
    with pytest.raises(OperatorError, match="must be an https or http address"):
        tokens(issuer, jwt_public_key=None, jwt_keys_url=url)


def test_an_address_with_a_password_is_refused_and_not_shown(issuer: Issuer) -> None:
    with pytest.raises(OperatorError, match="must not hold a user or a password") as refused:
        tokens(issuer, jwt_public_key=None, jwt_keys_url="https://me:hunter2Xk29@login.example/keys")
    assert "hunter2" not in refused.value.message


async def test_what_may_be_secret_in_an_address_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    issuer.status = 500
    with issuer.listening() as url, pytest.raises(KeysUnavailable):
        await tokens(issuer, jwt_public_key=None, jwt_keys_url=f"{url}?code=hunter2Xk29").check(issuer.token())
    assert f"{url} answers 500" in caplog.text
    assert "hunter2" not in caplog.text


async def test_an_outage_that_goes_on_is_one_line_and_a_new_reason_another(caplog: pytest.LogCaptureFixture) -> None:
    issuer, clock = Issuer(), Clock()
    with issuer.listening() as url:
        checks = tokens(issuer, clock, jwt_public_key=None, jwt_keys_url=url)
        await checks.check(issuer.token())
        for status in (500, 500, 502, 502, 502):
            issuer.status = status
            clock.now += LIFETIME + 1
            assert (await checks.check(issuer.token()))[0].credential == "jwt:ada"
    reasons = [record.getMessage().rpartition(" answers ")[2] for record in of_keys(caplog)]
    assert reasons == ["500: Internal Server Error", "502: Bad Gateway"]
    assert "the last ones stay" in caplog.text
