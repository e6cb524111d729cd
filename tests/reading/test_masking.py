"""Secrets in URLs and texts never survive masking; everything else does."""

import hashlib
import json
import time
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.reading.masking import MASK, mask_text, mask_url
from gateway.reading.masking.names import explains

SLACK = "https://hooks.slack.com/services/T012AB3CD/B01234ABC/XXXXXXXXXXXXXXXXXXXXXXXX"
UUID = "123e4567-e89b-12d3-a456-426614174000"
SHA1 = "3f786850e387550fdab836ed7e6dc881de23001b"

# Each with a secret at {}, which nothing but its place gives away.
URLS = [
    "https://{}@example.com/hook",
    "https://user:{}@example.com/hook",
    "https://example.com/hook?token={}",
    "https://example.com/hook?a=1&client_secret={}&b=2",
    "https://example.com/hook?a=1;API-KEY={};b=2",
    "https://example.com/hook?%74oken={}",
    "https://example.com/hook?user%5Bpassword%5D={}",
    "https://example.com/hook?accessToken={}#top",
    "https://example.com/hook?X-Amz-Signature={}",
    "https://example.com/hook#/done?id_token={}&state=1",
    "https://example.com/hook;jsessionid={}?a=1",
    "https://example.azurewebsites.net/api/hook?code={}",
    "https://example.com/hook?next=https%3A%2F%2Fother.example%2F%3Fsig%3D{}",
    "https://example.com/hook?form=%257B%2522password%2522%253A%2522{}%2522%257D",
    "https://hooks.slack.com/services/T012AB3CD/B01234ABC/{}",
    "https://discord.com/api/webhooks/123456789012345678/{}",
    "https://api.telegram.org/bot123456:{}/sendMessage",
    "https://example.com:{}@/",
    "https://example.com/a b?{}",
    "https://user:a/{}@example.com/",
    "//user:{}@example.com/hook",
    "user:{}@example.com/hook",
    "/hook?token={}",
]
TEXTS = [
    "Authorization: Bearer {}",
    "> Proxy-Authorization: Basic {}\r\n> Host: example.com",
    "the header Authorization: Custom a {} is wrong",
    "authorization={}",
    "WWW: x\nCookie: theme=dark; sid={}\nDate: now",
    "Set-Cookie: sid={}; Path=/; HttpOnly",
    'curl -H "X-Api-Key: {}" https://example.com',
    '{{"error": "Authorization: Digest username=\\"me\\", response=\\"{}\\"", "id": 1}}',
    '{{"password": "{}", "id": 1}}',
    "{{'token': '{}', 'id': 1}}",
    "{{b'x-api-key': b'{}', b'id': b'1'}}",
    '{{"body": "{{\\"token\\":\\"{}\\",\\"id\\":1}}"}}',
    '{{"body": "{{\\"body\\":\\"{{\\\\\\"token\\\\\\":\\\\\\"{}\\\\\\"}}\\"}}"}}',
    '{{"\\u0074oken": "{}"}}',
    '{{"api key" : ["a", "{}"], "id": 1}}',
    '{{"credentials": {{"user": "}}", "values": [{{"x": "{}"}}]}}, "id": 1}}',
    '[{{"name": "X-Api-Key", "value": "{}"}}, {{"key": "x-api-key", "value": "{}"}}]',
    '{{"headers": [["accept", "*/*"], ["x-api-key", "{}"]]}}',
    "[(b'host', b'example.com'), (b'cookie', b'{}')]",
    "<input type='hidden' name='csrf_token' value='{}'>",
    "<ns:password type='text'>{}</ns:password>",
    "&quot;token&quot;: &quot;{}&quot;",
    "payload=%7B%22token%22%3A%22{}%22%7D",
    "grant_type=password&password={}&scope=all",
    'client_secret = "{}" # comment',
    "DATABASE_PASSWORD={}\nHOST=db",
    "Server=db;Password={};Timeout=3",
    "log line\\nx-api-key: {}\\nnext line",
    "log line\\ncookie: a=b; c={}\\nnext line",
    "Key (reset_token)=({}) already exists.",
    "auth=('me', '{}')",
    "password=(a){}, id=1",
    "\nX-Api-Key: [a] {}",
    "options => [password => '{}']",
    "x\npassword: a passphrase of words and {}\nx",
    "token := {}",
    "cannot reach postgres://me:{}@db:5432/app.",
    "see <https://example.com/hook?token={}>, then (https://me:{}@example.com).",
    "https:\\/\\/example.com\\/hook?a=1\\u0026key={}",
    '{{"url": "https://example.com/hook?a=1\\u0026code={}"}}',
    "Max retries exceeded with url: /hook?signature={} (Caused by",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE{}\n-----END RSA PRIVATE KEY-----",
    '{{"pem": "-----BEGIN PRIVATE KEY-----\\nMIIE-{}-\\n-----END PRIVATE KEY-----"}}',
    "got eyJhbGciOiJIUzI1NiJ9.{}.{} instead",
    "key sk_live_A1b2{} of stripe",
    "\\nghp_A1b2{}",
    "Bearer A1{}",
]
HARMLESS = [
    "",
    "The batch failed: 3 of 10 items, see batch.failed.",
    f'commit {SHA1}, etag W/"{SHA1}", request {UUID}, sha256:{hashlib.sha256(b"").hexdigest()}',
    '{"code": "NOT_FOUND", "author": "me", "keyboard": "qwerty", "monkey": 1, "tokenizer": "bpe", "design": "new"}',
    '{"max_tokens": 512, "password": null, "token": "", "auth": false, "keys": 3}',
    'WWW-Authenticate: Bearer realm="api", error="invalid_token"',
    "Bearer token is missing. Basic auth is required. Basic plan exceeded, use basic settings.",
    "at Auth::UserError (/usr/lib/node_modules/hook/index.js:10:3)",
    "https://example.com/my-callback-handler-v2-production-eu/GetBatchCallbackDeliveries?page=2&sort=-created_at#top",
    f"https://example.com/batches/{UUID}/callback?batch={UUID}&at=2026-05-06T10:00:00Z",
    "connect ECONNREFUSED 10.0.0.1:443; [::1]:8080; http://[::1]:8080/hook",
    '<html><head><title>502 Bad Gateway</title></head><body class="key">nginx</body></html>',
    '{"detail":[{"loc":["body","password"],"msg":"field required"}]}',
    "a=1&b=2; c: d, e=>f (g) [h] {i} \\n \\\\ \\u0026 %22 &quot; ''' \"\"\"",
]

mask_text("")  # makes the automaton, which takes longer than hypothesis allows one example

plain = st.text("abcXYZ0123456789", min_size=12, max_size=24)


def traces(secret: str, shown: str) -> list[str]:
    """The parts of a secret that can still be read, six characters or more."""
    return [part for at in range(len(secret) - 5) if (part := secret[at : at + 6]) in shown]


def assert_hidden_wherever_cut(text: str, secret: str) -> None:
    assume(not traces(secret, text.replace(secret, "")))
    for end in range(len(text) + 1):
        assert not traces(secret, mask_text(text[:end])), text[:end]


@given(secret=plain, url=st.sampled_from(URLS))
def test_secret_in_a_url_is_masked(secret: str, url: str) -> None:
    masked = mask_url(url.format(secret))
    assert MASK in masked
    assert not traces(secret, masked)
    assert mask_url(masked) == masked


@given(secret=plain, text=st.sampled_from(TEXTS), before=st.sampled_from(["", "x ", '{"a": "b", "c": ', "\n"]))
def test_secret_in_a_text_is_masked_wherever_it_is_cut(secret: str, text: str, before: str) -> None:
    assert_hidden_wherever_cut(before + text.format(*[secret] * text.count("{}")), secret)


@given(secret=plain, url=st.sampled_from([url for url in URLS if url.startswith("https://") and " " not in url]))
def test_secret_in_a_url_in_a_text_is_masked_wherever_it_is_cut(secret: str, url: str) -> None:
    assume(not secret.isdecimal())
    assert_hidden_wherever_cut(f"POST {url.format('0a' + secret)}", "0a" + secret)


@given(secret=st.text(min_size=6, max_size=20), levels=st.integers(1, 4))
def test_json_string_is_masked_as_a_whole_at_every_level_of_json_in_json(secret: str, levels: int) -> None:
    assume(not explains(secret))
    text: object = {"password": secret, "id": "seen"}
    for _ in range(levels):
        text = json.dumps(text)
    assert isinstance(text, str)
    shown: object = mask_text(text)
    for _ in range(levels):
        assert isinstance(shown, str)
        shown = json.loads(shown)
    assert shown == {"password": MASK if secret.strip() else secret, "id": "seen"}


@given(
    st.binary(min_size=1, max_size=30), st.sampled_from(["Authorization: Basic {}", '{{"authorization":"basic {}"}}'])
)
def test_basic_credentials_are_masked(credentials: bytes, text: str) -> None:
    encoded = b64encode(b"user:" + credentials).decode()
    assert_hidden_wherever_cut(text.format(encoded), encoded)


@given(
    st.integers(), st.sampled_from(["https://example.com/hooks/{}", "https://example.com/?{}", "https://h/?a={}&b=1"])
)
def test_random_part_of_a_url_is_masked_whatever_its_name(seed: int, url: str) -> None:
    digest = hashlib.sha256(str(seed).encode()).digest()
    for secret in (digest.hex(), urlsafe_b64encode(digest).decode().rstrip("="), digest.hex()[:32].upper()):
        assert mask_url(url.format(secret)) == url.format(MASK)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_unchanged(text: str) -> None:
    assert mask_text(text) == text


@given(st.text(st.characters(categories=["L", "Zs"])))
def test_prose_is_unchanged(text: str) -> None:
    assume("bearer" not in text.lower() and "basic" not in text.lower() and "eyJ" not in text)
    assert mask_text(text) == text


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://me:pw@example.com:8443/a?b=1&token=x#c", "https://[masked]@example.com:8443/a?b=1&token=[masked]#c"),
        ("https://example.com/a?b=1;sig=x;c=%20&&=&d", "https://example.com/a?b=1;sig=[masked];c=%20&&=&d"),
        ("https://example.com/?token=&key", "https://example.com/?token=&key"),
        ("https://example.com/?keyboard=1&userApiKey=2", "https://example.com/?keyboard=1&userApiKey=[masked]"),
        (SLACK, "https://hooks.slack.com/services/[masked]"),
        (f"https://example.com/{UUID}/x", f"https://example.com/{UUID}/x"),
        ("localhost:8000/hook", "localhost:8000/hook"),
        ("https://example.com/a b", "https://example.com/[masked]"),
        ("https://example.com\\@evil.example/", "https://example.com/[masked]"),
        ("https://[::1/hook", "https://[masked]"),
        ("https://example.com:port/hook", "https://[masked]"),
        ("no url at all", "[masked]"),
        ("", ""),
    ],
)
def test_url_keeps_what_is_no_secret(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc", "Authorization: Bearer [masked]"),
        ('{"pin": 1234, "a": 1}', '{"pin": "[masked]", "a": 1}'),
        ('{"keys": ["a", "b"], "a": 1}', '{"keys": "[masked]", "a": 1}'),
        ('{"auth": {"user": "a"', '{"auth": "[masked]"'),
        (r'{"a": "{\"pin\":12,\"b\":[]}"}', r'{"a": "{\"pin\":\"[masked]\",\"b\":[]}"}'),
        ("(see https://a.example/?token=b).", "(see https://a.example/?token=[masked])."),
        (r'{"a": "{\"pin\": \"12"}', r'{"a": "{\"pin\": \"[masked]"}'),
        ("auth=('me', 'b'), timeout=3", "auth=[masked], timeout=3"),
        ("Set-Cookie: a=b; Path=/\r\nDate: x", "Set-Cookie: [masked]\r\nDate: x"),
        ('{"key": "X-Api-Key", "value": "b"}', '{"key": "X-Api-Key", "value": "[masked]"}'),
        ("POST https://example.com/hooks/aB3xY9zQ failed", "POST https://example.com/hooks/[masked] failed"),
        ("POST https://example.com/users/aB3xY9zQ failed", "POST https://example.com/users/aB3xY9zQ failed"),
        ("POST https://example.com/users/aB3xY9zQ", "POST https://example.com/users/[masked]"),
    ],
)
def test_text_stays_readable_around_the_mask(text: str, masked: str) -> None:
    assert mask_text(text) == masked


PIECES = [
    *("token", "Authorization", "cookie", "key", "value", "pin", "Bearer ", "basic ", "eyJabc", "ghp_A1b2", "https://"),
    *("-----BEGIN PRIVATE KEY-----", "-----END ", "[masked]", "null", "12", "x", "u0026", "%74", "%22", "&quot;"),
    *"\"'`\\/:=,;&?#@[]{}()<>. \n\r%+-_é",
]
hostile = st.lists(st.sampled_from(PIECES)).map("".join)


@given(st.text() | hostile)
def test_masking_again_changes_nothing(text: str) -> None:
    assert mask_text(mask_text(text)) == mask_text(text)
    assert mask_url(mask_url(text)) == mask_url(text)


UNITS = [
    *(
        '"token":',
        '"token":"',
        "token=",
        "=",
        " ",
        '"',
        "\\",
        '\\"',
        "token=\\",
        "[",
        '"key":[',
        "a",
        "aA",
        "a.",
        "-",
        "/",
    ),
    *("https://", "https://a/?x=", "http%3A%2F%2F", "%25", "eyJ", "npm_", "gw_", "-----BEGIN PRIVATE KEY-----", "<a "),
    *(
        "<key>",
        "Bearer ",
        "cookie: ",
        "a:@",
        "&;",
        "/;",
        "\\u0026",
        "token='",
        'authorization:=\\"',
        "key(=(",
        "basic ",
    ),
]


@pytest.mark.parametrize("unit", UNITS)
def test_masking_takes_time_in_proportion(unit: str) -> None:
    for beginning in ("", "https://a/?", 'token="'):
        short, long = (beginning + unit * (length // len(unit)) for length in (10_000, 160_000))
        # In proportion it is 16 times as long, by the square 256 times.
        assert _spent(long) < 64 * max(min(_spent(short) for _ in range(3)), 0.001)


def _spent(text: str) -> float:
    began = time.process_time()
    mask_text(text)
    mask_url(text)
    return time.process_time() - began
