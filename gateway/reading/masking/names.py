"""Which names are a credential's, and which values beside them only say what is wrong with it."""

import re
from functools import lru_cache
from urllib.parse import unquote

MASK = "[masked]"

# A name is a credential's when one of its words is: words end at -_. and camelCase, so `stripeKey` but not `monkey`.
WORDS = (
    *("assertion", "auth", "authorization", "bearer", "cookie", "cred", "credential", "hmac", "jwt", "key", "otp"),
    *("pass", "passcode", "passe", "pin", "psw", "pw", "pwd", "sas", "session", "sid", "sig", "totp", "verifier"),
    *("mdp", "haslo", "parola", "senha", "sifre", "clave", "wachtwoord"),
)
# These also count at the end of a longer word, as in `authtoken`.
ENDINGS = (
    *("accesskey", "apikey", "authkey", "privatekey", "secretkey", "sharedkey", "signingkey", "passphrase", "passwd"),
    *("password", "pswd", "secret", "sessionid", "signature", "token"),
    *("passwort", "kennwort", "motdepasse", "contrasena", "losenord", "salasana", "adgangskode", "geheimnis"),
)
FOREIGN = (
    "пароль",
    "пароля",
    "contraseña",
    "lösenord",
    "hasło",
    "şifre",
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "비밀번호",
)
CREDENTIAL = re.compile(rf"(?:{'|'.join(WORDS)}|.*(?:{'|'.join(ENDINGS)})|{'|'.join(FOREIGN)})s?")
# A URL's parameters of these names, too: an OAuth code, the key of an Azure function, tickets of single sign-on;
# elsewhere they say something.
URL_NAMES = frozenset({"code", "ticket", "access", "hash", "sign", "k"})
# A name that ends so tells something about a credential that is none: `token_type`, `KeyError`, `password_policy`.
ABOUT = frozenset(
    [
        "age",
        "alg",
        "algorithm",
        "algorithms",
        "at",
        "by",
        "count",
        "endpoint",
        "enabled",
        "error",
        "errors",
        "exception",
        "expired",
        "expires",
        "expiration",
        "expiry",
        "field",
        "fields",
        "file",
        "format",
        "hint",
        "invalid",
        "issuer",
        "length",
        "limit",
        "max",
        "method",
        "methods",
        "min",
        "missing",
        "name",
        "names",
        "path",
        "policy",
        "required",
        "scope",
        "scopes",
        "size",
        "status",
        "supported",
        "timeout",
        "ttl",
        "type",
        "types",
        "uri",
        "url",
        "usage",
        "used",
        "valid",
        "version",
        "versions",
        "warning",
        "failure",
        "failed",
        "attempts",
        "headers",
        "prompt",
        "provider",
        "realm",
        "rotation",
        "strength",
    ]
)
# A key that finds something and opens nothing: `primary_key`, `routingKey`.
LOOKUP = frozenset(
    [
        "primary",
        "foreign",
        "partition",
        "sort",
        "public",
        "idempotency",
        "cache",
        "routing",
        "object",
        "unique",
        "composite",
        "row",
        "range",
        "dedup",
        "group",
        "index",
        "natural",
        "surrogate",
        "lookup",
        "map",
        "translation",
        "message",
        "issue",
        "project",
        "metric",
        "label",
        "tag",
        "bucket",
        "storage",
        "file",
        "shortcut",
        "hot",
        "arrow",
        "registry",
        "config",
        "sorting",
        "grouping",
        "i18n",
    ]
)
STRONG = re.compile(rf"(?i:.*(?:pass(?!$|key$)|pwd|pw$|psw|secret|{'|'.join(ENDINGS[15:])}|{'|'.join(FOREIGN)}).*)")

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z][^\W\d_]*|[^\W\d_]{2,}")
# A character that JSON escaped in a name: `\u0026token`, of which the name is `u0026token`.
UNICODE_ESCAPE = re.compile(r"u00([0-9a-fA-F]{2})")
COUNTS = re.compile(r".*(?:token|key|session|cookie)s", re.IGNORECASE)  # `max_tokens: 512` is a number of them
CONSTANTS = frozenset({"", "null", "true", "false", "none", "undefined", "nil", "n/a", "yes", "no"})
HEADER_WORDS = frozenset({"authorization", "cookie"})  # their values have spaces and go on to the end of the line

# What begins a sentence about a credential, and what holds one together.
EXPLAINING = frozenset(
    [
        "absent",
        "already",
        "and",
        "are",
        "at",
        "blank",
        "but",
        "can",
        "cannot",
        "can't",
        "closed",
        "contains",
        "could",
        "denied",
        "did",
        "disabled",
        "does",
        "doesn't",
        "empty",
        "ended",
        "error",
        "exceeded",
        "exceeds",
        "expected",
        "expires",
        "expired",
        "failed",
        "failure",
        "field",
        "forbidden",
        "format",
        "found",
        "from",
        "has",
        "have",
        "hidden",
        "illegal",
        "in",
        "inactive",
        "incorrect",
        "invalid",
        "is",
        "isn't",
        "issued",
        "kann",
        "lacks",
        "length",
        "locked",
        "malformed",
        "may",
        "mismatch",
        "mismatched",
        "missing",
        "must",
        "never",
        "no",
        "non",
        "not",
        "ok",
        "opened",
        "or",
        "out",
        "parameter",
        "provided",
        "quota",
        "redacted",
        "refused",
        "reject",
        "rejected",
        "required",
        "requires",
        "revoked",
        "reused",
        "seems",
        "should",
        "signature",
        "started",
        "supplied",
        "too",
        "type",
        "unauthorized",
        "unexpected",
        "unknown",
        "unset",
        "unspecified",
        "unsupported",
        "untrusted",
        "valid",
        "verification",
        "was",
        "weak",
        "were",
        "will",
        "wrong",
        "ungültig",
        "abgelaufen",
        "falsch",
        "fehlt",
        "ist",
        "war",
        "manquant",
        "invalide",
        "incorrecto",
        "requerido",
    ]
)
SAYING = frozenset(
    [
        "is",
        "was",
        "are",
        "were",
        "must",
        "should",
        "cannot",
        "can't",
        "may",
        "has",
        "have",
        "does",
        "doesn't",
        "required",
        "invalid",
        "expired",
        "missing",
        "blank",
        "empty",
        "incorrect",
        "mismatch",
        "unsupported",
        "denied",
        "found",
        "least",
        "most",
        "characters",
        "valid",
    ]
)
OPENING_WORDS = frozenset({"the", "this", "your", "that", "its", "any", "an", "each", "either", "ensure", "please"})
BEGINNINGS = EXPLAINING | SAYING | OPENING_WORDS
PLAIN = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?",
    re.IGNORECASE,
)
ORDINARY = re.compile(
    r"v?\d+(?:[.,:/-]\d+)*[a-z%]{0,3}|(?:sha|md|hs|rs|es|ps|oauth|utf|base|http|http/|tls|ipv|aes|e|step|line|item|user)"
    r"-?\d+(?:\.\d+)*|[\w/.-]+\.[a-z]{1,4}(?::\d+)*|U\+[0-9A-F]+|0x[0-9a-f]{1,4}",
    re.IGNORECASE,
)
# A path, a dotted name, a number among words: what a key finds.
PLACE = re.compile(r"(?:[^\W\d]+|\d+)(?:[/._:-]+(?:[^\W\d]+|\d+))+")
LETTER = re.compile(r"\w")
SHORT = 200  # characters of a value that may be a sentence
EDGES = " \t\r\n\"'`.,;:!?()[]{}<>\\"


@lru_cache(maxsize=8192)
def is_credential(name: str, in_url: bool = False) -> bool:
    """Whether what this name has beside it is a credential."""
    name = UNICODE_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), decoded(name)).strip(".-")
    if in_url and name.lower() in URL_NAMES:
        return True
    if not name.isascii() and any(word in name.lower() for word in FOREIGN):
        return True
    words = [word.lower() for word in WORD.findall(name)]
    found = [at for at, word in enumerate(words) if CREDENTIAL.fullmatch(word)]
    if not found or (len(words) > 1 and words[-1] in ABOUT):
        return False
    last = found[-1]
    only_lookup = words[last].removesuffix("s") == "key" and last > 0 and words[last - 1] in LOOKUP
    return not (only_lookup and len(found) == 1)


@lru_cache(maxsize=8192)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case."""
    return tuple(word.lower() for word in WORD.findall(name))


@lru_cache(maxsize=8192)
def is_strong(name: str) -> bool:
    """Whether nothing but a credential has such a name: `password`, `X-Api-Key`; but `key`, `token` and `session`."""
    return len(words_of(name)) > 1 or STRONG.fullmatch(name) is not None


def decoded(text: str) -> str:
    """Without percent-encoding, even where it was applied three times."""
    return unquote(unquote(unquote(text))) if "%" in text else text


def explains(value: str) -> bool:
    """Whether a value says what is wrong with a credential instead of being one: `expired at 10:00`, `'<'`."""
    if len(value) > SHORT or MASK in value:
        return False
    if LETTER.search(value) is None:
        return 0 < len(value.strip(EDGES[:6] + " ")) <= 3
    parts = value.split()
    first = next((bare for word in parts if (bare := word.strip(EDGES))), "").lower()
    if first not in BEGINNINGS:  # as most values do, in a third of the time
        return False
    words = [bare for word in parts if (bare := word.strip(EDGES))]
    says = first in EXPLAINING or (len(words) >= 3 and any(word.lower() in SAYING for word in words))
    return says and not any(looks_secret(word) for word in words)


def looks_secret(word: str) -> bool:
    """Whether a word in a sentence is no word: six letters and digits or more, mixed."""
    word = word.strip(EDGES)
    if len(word) < 6 or word.startswith(MASK[1:-1]):
        return False
    mixed = any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    return mixed and ORDINARY.fullmatch(word) is None and PLAIN.fullmatch(word) is None


def finds(value: str) -> bool:
    """Whether a value under the bare name `key` says where something is: `a/b.json`, `user:42`."""
    return PLACE.fullmatch(PLAIN.sub("0", value.strip())) is not None
