r"""Secrets in stored URLs and texts, replaced by a visible mask when they are read.

Fail-closed: what cannot be told from a secret is masked, and a text that ends within a secret hides what is left of it.
Masking is linear in the length of the text and changes nothing that is masked already. Bare digests and ids in a text
stay readable (they are what one looks for in a log); within a URL a long random part is a secret whatever its name.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

MASK = "[masked]"
REMEMBERED = 10_000  # URLs, of at most
LONGEST_REMEMBERED = 300  # characters

# A name is a credential's when one of its words is: words end at -_. and camelCase, so `stripeKey` but not `monkey`.
WORDS = (
    *("assertion", "auth", "authorization", "bearer", "cookie", "cred", "credential", "hmac", "jwt", "key", "otp"),
    *("pass", "passcode", "pin", "pwd", "session", "sid", "sig", "verifier"),
)
# These also count at the end of a longer word, as in `authtoken`.
ENDINGS = (
    *("accesskey", "apikey", "authkey", "privatekey", "secretkey", "sharedkey", "signingkey", "passphrase", "passwd"),
    *("password", "secret", "sessionid", "signature", "token"),
)
CREDENTIAL = re.compile(rf"(?:{'|'.join(WORDS)}|.*(?:{'|'.join(ENDINGS)}))s?")
URL_NAMES = frozenset({"code"})  # an OAuth code, the key of an Azure function; elsewhere an error's code
HEADER_WORDS = frozenset({"authorization", "cookie"})  # their values have spaces and go on to the end of the line
COUNTS = re.compile(r".*(?:token|key|session|cookie)s", re.IGNORECASE)  # `max_tokens: 512` is a number of them
CONSTANTS = frozenset({"", "null", "true", "false", "none", "undefined"})

# Without any of these in it, in lower case, a text names no credential.
HINT = re.compile("|".join([*WORDS, *ENDINGS, *URL_NAMES, "%", "u00"]))
# The words of a name.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A character that JSON escaped in a name: `\u0026token`, of which the name is `u0026token`.
UNICODE_ESCAPE = re.compile(r"u00([0-9a-fA-F]{2})")
# A quote: bare, escaped by JSON in JSON, an HTML entity, or percent-encoded.
QUOTE = r"""(?:\\*+["'`]|&quot;|&\#3[49];|&\#x2[27];|%2[27])"""
# A name and what separates it from its value: `name=`, `name: `, `"name": `, `\"name\":`, `user[name]=`, `name=>`,
# `name%3D`, and the pairs `"name", "value": `, `"name" value=` and `("name", `. A name without one is skipped whole.
NAMED = re.compile(
    rf"""
    (?P<line>^[ \t<>*]*+)?
    (?P<first>(?<=[\[(]["'])|(?<=[\[(][b\\]["']))?
    (?P<escape>(?<=\\)[nrt])?
    (?P<name>(?:[\w.-]|%(?!2[0267]|3[AaDd])[0-9A-Fa-f]{{2}})++)
    (?P<separator>
        (?:[\])]|%5[Dd])?
        (?:(?P<quote>{QUOTE})(?:\s*+,?\s*+{QUOTE}?value{QUOTE}?)?)?
        (?:(?:\s|%20)*+(?:=>|=&gt;|={{1,3}}|:(?!:)=?|%3[AaDd])|(?(first)(?(quote)\s*+,|(?!))|(?!)))
        (?(quote)(?:\s|%20)*+|(?:[ \t]|%20)*+)
    )?
    """,
    re.VERBOSE | re.MULTILINE,
)
# What follows `"key": ` when that is a label whose value comes next: `{"key": "X-Api-Key", "value": …}`.
LABEL = re.compile(rf"{QUOTE}([\w.-]++){QUOTE}\s*+,\s*+{QUOTE}value{QUOTE}", re.VERBOSE | re.IGNORECASE)
# The start of a quoted value; Python's b'…' too.
OPENING = re.compile(rf"[bBrRuU]{{0,2}}({QUOTE})", re.VERBOSE)
# What matters within brackets: brackets, and quotes with the backslashes before them.
BRACKET = re.compile(r"""[\[{(\]})]|\\++["']?|["']""")
# An authorization scheme before its credentials, which is shown.
SCHEME = re.compile(
    r"(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate|NTLM|OAuth|HMAC|AWS4-HMAC-SHA256)(?:\s|%20|\+)++(?=\S)",
    re.IGNORECASE,
)
# Values without quotes: to the end of a header's line; of a header quoted in a sentence or a JSON string; in JSON;
# anywhere else, to a space or a separator.
LINE_VALUE = re.compile(r"[^\r\n]++")
HEADER_VALUE = re.compile(
    r"""(?:=\\*+"(?![\s,;}\])]|\Z)[^"\r\n]*+"?|[^\r\n"'`<\\]|\\++(?!["'`nr]))++""",
)
JSON_VALUE = re.compile(rf"""(?:{SCHEME.pattern})?[^\s,}}\])&<>"'`\\]++""", re.IGNORECASE)
OTHER_VALUE = re.compile(rf"""(?:{SCHEME.pattern})?(?:[^\s&;<>"'`\\]|\\++(?!["'`]))++""", re.IGNORECASE)

# What a sentence may add to a value.
PUNCTUATION = re.compile(r"[).,;:!?}]{1,3}\Z")

# `<password>…`, up to the next tag.
ELEMENT = re.compile(r"(<(?:[\w-]++:)?([\w.-]++)(?:\s[^<>]*+)?>(?:<!\[CDATA\[)?)([^<]++)")
# A private key, up to its end or that of the text.
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----END))*+(?:-----END[A-Z0-9 ]*+-{0,5})?"
)
# `Bearer …` and `Basic …` without a header's name, unless a sentence or a challenge goes on.
PROSE = (
    r"(?!(?:access|and|auth|authentication|authorization|credentials?|format|header|info|is|not|or|plan|scheme|tier"
    r"|tokens?|was)(?=[.,:;!?)]*(?:\s|\Z|[\"'<]))|(?:realm|scope|charset|error\w*|resource\w*)=)"
)
BEARER = re.compile(rf"([Bb](?i:earer)(?:\s|%20|\+)++)(?i:{PROSE})[^\s\"'`<>,;\\]++")
BASIC = re.compile(rf"([Bb](?i:asic)(?:\s|%20|\+)++)(?i:{PROSE})(?=[a-z]*+[A-Z0-9+/=])[\w+/-]{{4,}}=*+")
# Secrets known by their form: a JSON Web Token or what is left of it, and tokens that begin as their issuer's do.
TOKEN = re.compile(
    r"eyJ[\w-]{3,}(?:\.[\w-]*)*"
    r"|(?:[rs]k_(?:live|test)_|whsec_|gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|AIza|ya29\.|SG\.|dop_v1_"
    r"|shp(?:at|ca|pa|ss)_|npm_|pypi-|hf_|sk-(?:ant|proj|svcacct)-|gw_)"
    r"(?=[a-z_-]{0,40}[A-Z0-9])[\w+/=-]{4,}(?:\.[\w-]+)*"
    r"|sk-[A-Za-z0-9]{20,}|A[KS]IA[A-Z0-9]{12,}"
)

# In a text: what follows a URL's scheme, slashes escaped or not, or a path that stands by itself.
LOCATION = re.compile(
    r"""(?:(?P<url>(?<=:)\\*+/\\*+/)|(?<![\w/.\\<:>+-])\\*+/)(?:[^\s"'`<>\\]|\\++(?=/)|\\++u0026)*+""",
)
URL_START = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*+:)?(?=//)")
PARTS = re.compile(r"(\\*/\\*/)([^/?#\\\s]*+)(.*)", re.DOTALL)
AUTHORITY = re.compile(r"(.*@)?([\w.~%-]*|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?")
# Where a text ends, this may be a user without the `@` after it.
PERHAPS_USER = re.compile(r"(?!localhost)[\w~%-]{6,}")
# Incoming webhooks, whose paths are secrets.
WEBHOOK = re.compile(
    r"(\\*/\\*/(?:hooks\.slack\.com\\*/(?:services|triggers|workflows)|hooks\.zapier\.com\\*/hooks"
    r"|(?:[\w-]+\.)?discord(?:app)?\.com\\*/api(?:\\*/v[0-9]+)?\\*/webhooks|[\w.-]+\.webhook\.office\.com"
    r"|api\.telegram\.org)\\*/)[^?#]+",
    re.IGNORECASE,
)
# Where parsers of URLs disagree.
AMBIGUOUS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\]")
PATH_AND_PARAMETERS = re.compile(r"([^?#]*+)(.*)", re.DOTALL)
SEGMENT = re.compile(r"(\\*/|;)")
PARAMETER = re.compile(r"([?#&]|\\+u0026|;(?=[^&;=]*=))")
# UUIDs and times are no secrets.
PLAIN = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]+)?)?",
    re.IGNORECASE,
)
RUN = re.compile(r"[A-Za-z0-9_~+-]+")
ALL_KINDS = re.compile(r"(?=.*[A-Z])(?=.*[a-z]).*[0-9]")
MIXED = re.compile(r"(?=.*[A-Za-z]).*[A-Z0-9]")
SYLLABLE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def mask_url(url: str) -> str:
    """The URL with its credentials masked: userinfo, parameters with a credential's name, and random parts.

    Everything else stays byte for byte. Where parsers would disagree, all after the authority is masked, or all of it.
    What was made of a short URL is remembered, since most callbacks go to few of them.
    """
    return _remembered(url) if len(url) <= LONGEST_REMEMBERED else _mask_url(url)


def _mask_url(url: str) -> str:
    start = URL_START.match(url)
    if start is None:
        return MASK if AMBIGUOUS.search(url) else _mask_location("//" + url)[2:]
    location = url[start.end() :]
    if AMBIGUOUS.search(location):
        slashes, authority, _ = _parts(location)
        location = f"{slashes}{authority}/{MASK}"
    return start[0] + _mask_location(location)


_remembered = lru_cache(maxsize=REMEMBERED)(_mask_url)


def mask_text(text: str) -> str:
    """The text with the credentials in it masked; it may have been cut anywhere."""
    text = PRIVATE_KEY.sub(MASK, text)
    text = LOCATION.sub(_mask_located, text)
    text = ELEMENT.sub(_mask_element, text)
    text = _mask_named(text)
    text = BEARER.sub(rf"\1{MASK}", text)
    text = BASIC.sub(rf"\1{MASK}", text)
    return TOKEN.sub(MASK, text)


def _names_credential(name: str, in_url: bool = False) -> bool:
    name = UNICODE_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), _decoded(name))
    if in_url and name.lower() in URL_NAMES:
        return True
    return any(CREDENTIAL.fullmatch(word.lower()) for word in WORD.findall(name))


def _decoded(text: str) -> str:
    """Without percent-encoding, even where it was applied three times."""
    return unquote(unquote(unquote(text))) if "%" in text else text


def _mask_named(text: str, in_url: bool = False) -> str:
    """Mask the values of credentials that are given by name."""
    if HINT.search(text.lower()) is None:
        return text
    parts: list[str] = []
    done = at = 0
    while found := NAMED.search(text, at):
        at = found.end()
        if found["separator"] is None:
            continue
        name, escape = found["name"], found["escape"]
        if not (_names_credential(name, in_url) or (escape and _names_credential(escape + name, in_url))):
            continue
        if name.lower() == "key" and (label := LABEL.match(text, at)) and _names_credential(label[1]):
            continue
        end, replacement = _masked_value(text, found)
        parts += text[done:at], replacement
        done = at = end
    return "".join([*parts, text[done:]])


def _masked_value(text: str, found: re.Match[str]) -> tuple[int, str]:
    """Where the value after a credential's name ends, and what is to stand there instead."""
    start = end = found.end()
    quote = found["quote"] or ""
    if opening := OPENING.match(text, start):
        end, after = _closing(text, opening[1], opening.end())
        return after, opening[0] + _masked(text[opening.end() : end]) + text[end:after]
    if text.startswith(("[", "{", "("), start) and not text.startswith(MASK, start):
        end = _after_brackets(text, start)
    bare = _bare_value(found).match(text, end)
    value = text[start:end] + (PUNCTUATION.sub("", bare[0]) if bare else "")
    constant = value.strip(" \t.,;)]}").lower()
    if constant in CONSTANTS or (constant.isdecimal() and COUNTS.fullmatch(found["name"])):
        return start + len(value), value
    return start + len(value), quote + _masked(value) + quote


def _bare_value(found: re.Match[str]) -> re.Pattern[str]:
    if found["quote"]:
        return JSON_VALUE
    if found["line"] is not None and ":" in found["separator"]:
        return LINE_VALUE
    words = {word.lower().removesuffix("s") for word in WORD.findall(found["name"])}
    return HEADER_VALUE if words & HEADER_WORDS else OTHER_VALUE


def _masked(value: str) -> str:
    """The mask for a value, after the scheme of an authorization; nothing for nothing."""
    scheme = SCHEME.match(value)
    return (scheme[0] if scheme else "") + MASK if value.strip() else value


def _closing(text: str, quote: str, start: int) -> tuple[int, int]:
    """Where the closing quote of a string begins and ends; the end of the text where there is none."""
    if quote[-1] not in "\"'`":
        end = text.find(quote, start)
        return (len(text), len(text)) if end < 0 else (end, end + len(quote))
    escapes = len(quote) - 1
    for mark in re.compile(rf"\\++{quote[-1]}?|{quote[-1]}").finditer(text, start):
        before = len(mark[0]) - 1
        if not mark[0].endswith(quote[-1]):
            continue
        if before < escapes:  # the string around this one ends
            return mark.start(), mark.start()
        # Each level of JSON in JSON doubles the backslashes: those of an escaped quote, or of backslashes in the value.
        if before % (2 * escapes + 2) == escapes:
            return mark.end() - len(quote), mark.end()
    return len(text), len(text)


def _after_brackets(text: str, start: int) -> int:
    """Where the array or object that begins here has ended; the end of the text where it has not."""
    depth = 0
    at = start
    while mark := BRACKET.search(text, at):
        at = mark.end()
        if mark[0] in "[{(":
            depth += 1
        elif mark[0] in "]})":
            depth -= 1
            if depth == 0:
                return at
        elif mark[0][-1] != "\\":
            _, at = _closing(text, mark[0], at)
    return len(text)


def _mask_element(found: re.Match[str]) -> str:
    tag, name, content = found.groups()
    return tag + _masked(content) if _names_credential(name) else found[0]


def _mask_located(found: re.Match[str]) -> str:
    """Mask a URL or path in a text, without the punctuation after it."""
    location = PUNCTUATION.sub("", found[0])
    cut = found.end() == len(found.string) and location == found[0]
    masked = _mask_location(location, cut) if found["url"] else _mask_path(location, cut)
    return masked + found[0][len(location) :]


def _mask_location(location: str, cut: bool = False) -> str:
    """Mask what follows a URL's scheme; `cut` where it may be the beginning of a longer one."""
    location = WEBHOOK.sub(rf"\1{MASK}", location, count=1)
    slashes, host_and_user, rest = _parts(location)
    authority = AUTHORITY.fullmatch(host_and_user)
    if authority is None:
        return slashes + MASK
    userinfo, host, port = (part or "" for part in authority.groups())
    if TOKEN.search(host) or ("." not in host and _looks_random(host, cut=False)):
        return slashes + MASK
    if cut and not rest and PERHAPS_USER.fullmatch(host):
        return slashes + MASK
    return slashes + (MASK + "@" if userinfo else "") + host + port + _mask_path(rest, cut)


def _parts(location: str) -> tuple[str, str, str]:
    parts: tuple[str, str, str] = PARTS.findall(location)[0]
    return parts


def _mask_path(location: str, cut: bool = False) -> str:
    """Mask the segments of a path, and the parameters after it."""
    path, parameters = PATH_AND_PARAMETERS.findall(location)[0]
    *pieces, last = SEGMENT.split(path) + (PARAMETER.split(parameters) if parameters else [])
    return "".join([*(_mask_piece(piece, False) for piece in pieces), _mask_piece(last, cut)])


def _mask_piece(piece: str, cut: bool) -> str:
    """Mask a segment, a parameter's value, or a parameter that is a secret by itself."""
    name, equals, value = piece.partition("=")
    if value and _names_credential(name, in_url=True):
        return name + equals + MASK
    if value and not _is_secret(name, False):
        return name + equals + MASK if _is_secret(value, cut) else piece
    return MASK if _is_secret(piece, cut) else piece


def _is_secret(piece: str, cut: bool) -> bool:
    """Whether a part of a URL, decoded, looks like a secret or has one in it: a URL in a URL, JSON, a form."""
    decoded = _decoded(piece)
    return (
        TOKEN.search(decoded) is not None
        or _looks_random(decoded, cut)
        or ":" in decoded.rpartition("@")[0]
        or _mask_named(decoded, in_url=True) != decoded
    )


def _looks_random(text: str, cut: bool) -> bool:
    """Whether there is a run of letters and digits in it that does not read like words."""
    return any(_is_random(run, 6 if cut else 20) for run in RUN.findall(PLAIN.sub(" ", text)))


def _is_random(run: str, shortest: int) -> bool:
    if len(run) >= 32 and (run.isalnum() or ALL_KINDS.match(run)):
        return True
    syllables = SYLLABLE.findall(run)
    few_per_syllable = len(syllables) >= 3 and sum(map(len, syllables)) <= 3.5 * len(syllables)
    return len(run) >= shortest and few_per_syllable and MIXED.match(run) is not None
