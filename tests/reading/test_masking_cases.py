"""What public reports and real payloads showed: secrets that must not be read, and words that must."""

import pytest

from gateway.reading.masking import MASK, mask_host, mask_json, mask_text, mask_url
from gateway.reading.masking.openings import MOST_OPENINGS
from gateway.reading.masking.values import MOST_IN_URLS

SECRET = "hunter2Xk29"
UUID = "123e4567-e89b-12d3-a456-426614174000"

# Each with `hunter2Xk29` for the secret: XML and YAML by name, cells, arguments, commands, SQL, addresses, sentences.
SECRETS = [
    '<add key="HookSecret" value="hunter2Xk29" />',
    "secret: |\n  hunter2Xk29\nurl: x",
    "Authorization: Bearer\n hunter2Xk29",
    '<tr><td class="e">DB_PASSWORD </td><td class="v">hunter2Xk29 </td></tr>',
    '<td>HTTP_X_HOOK_SECRET</td><td class="code"><pre>&#x27;hunter2Xk29&#x27;</pre></td>',
    "PDO->__construct('mysql:host=10.0...', 'app', 'hunter2Xk29', Array)",
    "curl -u app:hunter2Xk29 https://a.example/x",
    "--password hunter2Xk29",
    "tool --token hunter2Xk29 x",
    "mysqldump -phunter2Xk29",
    "mysqldump -u app -phunter2Xk29 db",
    "app:hunter2Xk29@tcp(10.0.0.1:3306)/app",
    "jdbc:oracle:thin:app/hunter2Xk29@h",
    "the password is hunter2Xk29",
    'token "hunter2Xk29" is not valid',
    "Kennwort: hunter2Xk29",
    "пароль: hunter2Xk29",
    "<b>Password</b>: hunter2Xk29",
    '<property name="db.password" value="hunter2Xk29"/>',
    '<entry key="password">hunter2Xk29</entry>',
    '<string name="api_key">hunter2Xk29</string>',
    '<setting value="hunter2Xk29" name="Password"/>',
    "<key>API_KEY</key>\n<string>hunter2Xk29</string>",
    "- name: DB_PASSWORD\n  value: hunter2Xk29\n- name: A\n  value: b",
    "api_key:\n  hunter2Xk29\nb: c",
    "passwords:\n  - hunter2Xk29\n  - hunter2Xk29\nb: c",
    "password: >-\n  hunter2Xk29\n",
    "secret: !vault |\n  hunter2Xk29\nx: 1",
    "Cookie: a=b;\n sid=hunter2Xk29\nDate: x",
    "DB_PASSWORD => hunter2Xk29 => hunter2Xk29",
    "| DB_PASSWORD | hunter2Xk29 |",
    "DB_PASSWORD\thunter2Xk29",
    "DB_PASSWORD    hunter2Xk29",
    "<dt>Password</dt><dd>hunter2Xk29</dd>",
    "<credentials><user>a</user><value>hunter2Xk29</value></credentials>",
    "mysqli_connect('h', 'app', 'hunter2Xk29')",
    "HTTPBasicAuth('app', 'hunter2Xk29')",
    "IDENTIFIED BY 'hunter2Xk29'",
    "insert into users (name, password) values ('a', 'hunter2Xk29'), ('b', 'hunter2Xk29')",
    "sshpass -p hunter2Xk29 ssh a@b",
    "redis-cli -h x -a hunter2Xk29 ping",
    "docker login -u app -p hunter2Xk29 reg",
    "sqlplus app/hunter2Xk29@db",
    "ldapsearch -D cn=a -w hunter2Xk29 x",
    "API key hunter2Xk29 not found",
    "your token hunter2Xk29 is invalid",
    '<meta name="csrf-token" content="hunter2Xk29">',
    '{"value":"hunter2Xk29","name":"X-Api-Key"}',
    '{"name":"DB_PASSWORD","val":"hunter2Xk29"}',
    "Mot de passe: hunter2Xk29",
    "contraseña: hunter2Xk29",
    "<label>Token</label>: <code>hunter2Xk29</code>",
    "{'auth': ('a', 'hunter2Xk29')}",
    "Password:hunter2Xk29",
    "password=hunter2Xk29",
    "x-api-key: hunter2Xk29",
    "redis://:hunter2Xk29@h:6379/0",
    "DSN: app:hunter2Xk29@10.0.0.1/db",
    '<input type="password" value="hunter2Xk29">',
    'Authorization: Digest username="x",\n response="hunter2Xk29"',
    "token (hunter2Xk29)",
    "Passwort lautet hunter2Xk29",
    "smbclient //h/s -U app%hunter2Xk29",
    "-Password hunter2Xk29 -x",
    "set password for a = 'hunter2Xk29'",
    "AccountKey=hunter2Xk29;",
    "<Password>hunter2Xk29</Password>",
    '"password" : "hunter2Xk29"',
    "SECRET_KEY_BASE hunter2Xk29",
    "session hunter2Xk29 expired",
    "auth: hunter2Xk29",
    "aws_secret_access_key = hunter2Xk29",
]
# What explains a failure stays as it is.
SHOWN = [
    "KeyError: 'output'",
    "<Error><Key>a/b.json</Key></Error>",
    "Unexpected token: '<'",
    "token: expired at 10:00",
    '{"password":["The password field is required."]}',
    '{"token":"expired"}',
    "Unexpected token < in JSON at position 0",
    "Unexpected token 'export'",
    'duplicate key value violates unique constraint "users_pkey"',
    "Key (id)=(42) already exists.",
    "Missing key: output",
    "<Error><Message>The specified key does not exist.</Message><Key>uploads/2024/report.pdf</Key></Error>",
    "password: must be at least 8 characters",
    "password is required",
    "TokenExpiredError: jwt expired",
    "session: not found",
    "invalid token: expected 'x'",
    "token_type: bearer",
    '{"token_type":"bearer","expires_in":3600}',
    '{"error":"invalid_token","error_description":"The access token expired"}',
    "primary key: id",
    "Cookie: rejected",
    "Signature: mismatch",
    "signature verification failed",
    "API key is missing",
    "invalid api key",
    'field "password" is required',
    "<td>Password</td><td>Email</td>",
    "<th>Token</th><th>Name</th>",
    "password is hunter",
    "cache key: users:42",
    'secrets "foo" not found',
    "Password must contain at least one digit",
    "curl: (60) SSL certificate problem",
    "mysql server has gone away",
    'KeyError: "status"',
    "foreign_key: batch_id",
    "no such key: batch-42",
    "npm ERR! code E401",
    "actions/checkout@v4",
    "user@example.com",
    "mailto:me@example.com",
    "image:tag@sha256:abc",
    "routingKey=orders.created",
    "partition_key=eu",
    "ssh-rsa key",
    "Unknown key 'foo' in config",
    "public key: id_rsa.pub",
    "auth_method: oauth2",
    "pass: 12, fail: 3",
    "sessionTimeout=30",
    "TypeError: Cannot read properties of undefined (reading 'token')",
    "jwt malformed",
    "x: KeyError('output')",
    "Tokens: 512",
    "prompt_tokens: 12, completion_tokens: 3",
    "password: required",
    "auth: failed",
    "Bad credentials",
    "Authentication failed: password expired",
]
URLS = [
    (f"https://open.feishu.cn/open-apis/bot/v2/hook/{UUID}", f"https://open.feishu.cn/open-apis/bot/v2/hook/{MASK}"),
    (f"https://n8n.example.com/webhook/{UUID}", f"https://n8n.example.com/webhook/{MASK}"),
    (f"https://webhook.site/{UUID}", f"https://webhook.site/{MASK}"),
    (
        f"https://api.cloudflare.com/client/v4/pages/webhooks/deploy_hooks/{UUID}",
        f"https://api.cloudflare.com/client/v4/pages/webhooks/deploy_hooks/{MASK}",
    ),
    ("https://acme.bitrix24.com/rest/1/k3v9wq7xz2mbt5rp/im.notify", f"https://acme.bitrix24.com/rest/1/{MASK}"),
    ("https://smee.io/Qx7LpT2vWmZ9kRb", f"https://smee.io/{MASK}"),
    (
        "https://api.vercel.com/v1/integrations/deploy/prj_a/Qx7LpT2vWm",
        f"https://api.vercel.com/v1/integrations/deploy/{MASK}",
    ),
    ("https://eo2k8jxq4mzr7wt.m.pipedream.net/", f"https://{MASK}.m.pipedream.net/"),
    *(
        (f"https://a.example/x?{name}={SECRET}&b=2", f"https://a.example/x?{name}={MASK}&b=2")
        for name in ("pw", "ticket", "passwort", "access", "hash", "unknown")
    ),
    (f"https://a.example/#/hooks/{SECRET}", f"https://a.example/#/hooks/{MASK}"),
    ("https://hook.eu1.make.com/abcdefghijklmnop", f"https://hook.eu1.make.com/{MASK}"),
    (f"https://chat.example/hooks/{UUID}/x", f"https://chat.example/hooks/{MASK}/x"),
    ("https://maker.ifttt.com/trigger/a/with/key/bcdefghijk", f"https://maker.ifttt.com/trigger/a/with/key/{MASK}"),
    (
        "https://a.example/x?next=https%3A%2F%2Fhooks.slack.com%2Fservices%2FT0%2FB0%2Fabc",
        f"https://a.example/x?next={MASK}",
    ),
]
PLAIN_URLS = [
    "https://a.example/webhooks/batches?region=eu-west-1&v=2&lang=en&page=3&sort=-created_at&size=1024px",
    f"https://a.example/batches/{UUID}/callback",
    "https://api.customer.example/v1/callbacks/batch-42",
    "https://a.example/hooks/v2/runs/42",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_read(text: str) -> None:
    masked = mask_text(text)
    assert SECRET not in masked
    assert MASK in masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize("token", ["rnd_9X3kQp7VbT2hYRzNcMfWj4Dg", "patQ7wE9rT2yU4iO8." + "0123456789abcdef" * 4])
def test_a_token_of_a_known_shape_is_not_read(token: str) -> None:
    assert mask_text(f"401: {token} is not valid") == f"401: {MASK} is not valid"


@pytest.mark.parametrize("text", SHOWN)
def test_what_explains_a_failure_is_read(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(("url", "masked"), URLS)
def test_secret_of_a_url_is_masked_where_it_stands(url: str, masked: str) -> None:
    assert mask_url(url) == masked
    assert mask_text(f"POST {url} failed") == f"POST {masked} failed"


@pytest.mark.parametrize("url", PLAIN_URLS)
def test_url_without_a_secret_is_read(url: str) -> None:
    assert mask_url(url) == url


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('<add key="HookSecret" value="hunter2Xk29" />', '<add key="HookSecret" value="[masked]" />'),
        ("secret: |\n  hunter2Xk29\nurl: x", "secret: |\n  [masked]\nurl: x"),
        ("Authorization: Bearer\n hunter2Xk29", "Authorization: Bearer\n [masked]"),
        ("mysqldump -phunter2Xk29 db", "mysqldump -p[masked] db"),
        ("the password is hunter2Xk29.", "the password is [masked]."),
        (
            "insert into u (id, password) values (1, 'a'), (2, 'b')",
            "insert into u (id, password) values (1, '[masked]'), (2, '[masked]')",
        ),
        ("<b>Password</b>: hunter2Xk29", "<b>Password</b>: [masked]"),
        ("a " * 3 + "key=a1 " * 3000, "a " * 3 + "key=[masked] " * MOST_OPENINGS + "[masked]"),
    ],
)
def test_only_the_secret_is_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_many_urls_with_parameters_end_in_the_mask_and_many_plain_ones_do_not() -> None:
    url = "https://a.example/x?page=2&" + "a=b&" * 20 + "c=hunter2Xk29 "
    shown = MOST_IN_URLS // len(url.removeprefix("https:").rstrip()) + 1
    assert mask_text(url * 1000) == url.replace("hunter2Xk29", MASK) * shown + "https" + MASK
    plain = "https://a.example/batches/42/callback-of-ours.html " * (MOST_OPENINGS - 1)
    assert mask_text(plain) == plain


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("x //acme.bitrix24.com/y", None),
        ("https://acme.bitrix24.com/rest/1/secretword/im.notify x", f"https://acme.bitrix24.com/rest/1/{MASK} x"),
        ("see https://a.example/hooks/bcdfghj x", f"see https://a.example/hooks/{MASK} x"),
        ("see https://a.example/hook/word/42 x", None),
        ("at /srv/hooks/bcdfghj x", f"at /srv/hooks/{MASK} x"),
        ("https://a.example/12345-a-b-c-d-e-f x", f"https://a.example/{MASK} x"),
    ],
)
def test_plain_urls_are_told_from_those_that_hide_words(text: str, masked: str | None) -> None:
    assert mask_text(text) == (masked or text)


def test_host_loses_the_label_that_is_a_secret() -> None:
    assert mask_host("eo2k8jxq4mzr7wt.m.pipedream.net:8443") == "[masked].m.pipedream.net:8443"
    assert mask_host("hooks.customer.example") == "hooks.customer.example"
    assert mask_host(None) is None


def test_json_is_masked_by_the_names_in_it() -> None:
    value = {
        "links": ["https://me:pw@a.example/x", {"self": "https://a.example/x?X-Amz-Signature=abc"}],
        "api_key": {"id": 1},
        "headers": [{"name": "X-Api-Key", "value": "abc"}],
        "max_tokens": 5,
        "token": None,
        "password": "is required",
    }
    assert mask_json(value) == {
        "links": ["https://[masked]@a.example/x", {"self": "https://a.example/x?X-Amz-Signature=[masked]"}],
        "api_key": "[masked]",
        "headers": [{"name": "X-Api-Key", "value": "[masked]"}],
        "max_tokens": 5,
        "token": None,
        "password": "is required",
    }
