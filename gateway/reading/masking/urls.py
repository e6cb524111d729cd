"""URLs and paths, by themselves and in texts: where a secret stands in those of known services, and a rule that fails
closed for all others.

Masked are: userinfo; a parameter whose name is a credential's; a parameter's value that has a run of six or more
letters and digits mixed, which no word, number, UUID or time has; a segment that looks random; behind a segment like
`hooks`, whatever is no plain word or number.
"""

import re
from collections.abc import Iterator
from functools import partial

from gateway.reading.masking.hook_hosts import HOOKS, SERVICES, Service
from gateway.reading.masking.named import named
from gateway.reading.masking.names import MASK, PLAIN, decoded, is_credential
from gateway.reading.masking.openings import Kind
from gateway.reading.masking.remembered import TextMask
from gateway.reading.masking.tokens import FORMS, ISSUERS
from gateway.reading.masking.values import Replacement, replaced, unpunctuated

LONGEST_URL = 4096  # characters; what is behind them is masked
DEEPEST = 2  # URLs in URLs; what is deeper counts as a secret

# What follows a URL's scheme, slashes escaped or not, or a path that stands by itself.
LOCATION = re.compile(r"""\\*+/(?:[^\s"'`<>\\]|\\++(?=/)|\\++u0026)*+""")
# Of words and numbers alone, as most in texts are: no secret, but behind a segment that announces one, or at a known
# service.
PLAIN_SEGMENTS = r"((?:/(?:[a-z]{1,15}(?:[.-][a-z]{1,15}){0,6}|[0-9]{1,5}))*+/?)(?=[\s\"'<>])"
PLAIN_PATH = re.compile(PLAIN_SEGMENTS)
PLAIN_LOCATION = re.compile(r"//((?:[a-z-]{1,15}\.){1,6}[a-z-]{2,15})" + PLAIN_SEGMENTS)
FEWEST = 5  # letters and digits: fewer are no secret by their looks
URL_START = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*+:)?(?=//)")
LOCATION_PARTS = re.compile(r"(\\*/\\*/)([^/?#\\\s]*+)(.*)", re.DOTALL)
AUTHORITY = re.compile(r"(.*@)?([\w.~%-]*|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?")
# Where a text ends, this may be a user without the `@` after it.
PERHAPS_USER = re.compile(r"(?!localhost)[\w~%-]{6,}")
# Where parsers of URLs disagree.
AMBIGUOUS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\]")
PATH_AND_PARAMETERS = re.compile(r"([^?#]*+)(.*)", re.DOTALL)
SEGMENT = re.compile(r"(\\*/|;)")
PARAMETER = re.compile(r"([?#&]|\\+u0026|;(?=[^&;=]*=))")
RUN = re.compile(r"[A-Za-z0-9_~+-]+")
LETTERS_AND_DIGITS = re.compile(r"[^\W_]{6,}")
WORD_AND_NUMBER = re.compile(r"[A-Za-z]+|[0-9]+|[A-Za-z]{1,5}[0-9]{1,3}|[0-9]{1,4}[A-Za-z]{1,3}")
PLAIN_SEGMENT = re.compile(
    r"(?:[A-Za-z]{1,20}|[0-9]{1,12}|v[0-9]+|[A-Za-z]{2,12}[0-9]{1,2})(?:[-_.~:]+(?:[A-Za-z]{1,20}|[0-9]{1,12}|v[0-9]+|[A-Za-z]{2,12}[0-9]{1,2}))*"
)
UNSPEAKABLE = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}|[a-z][A-Z][a-z]?[A-Z]", re.ASCII)
ALL_KINDS = re.compile(r"(?=.*[A-Z])(?=.*[a-z]).*[0-9]")
MIXED = re.compile(r"(?=.*[A-Za-z]).*[A-Z0-9]")
SYLLABLE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# In a path the beginning of a token tells it, whatever its length.
TOKEN = re.compile(
    "|".join(
        [f"(?:{issuer.prefix})(?=[a-z_-]{{0,40}}[A-Z0-9])" for issuer in ISSUERS] + [FORMS[0].pattern, FORMS[2].pattern]
    )
    + r"|sk-[A-Za-z0-9]{20}|A[KS]IA[A-Z0-9]{12}"
)


def _domain(host: str) -> str:
    """The last two labels of a host."""
    return ".".join(host.rstrip(".").split(".")[-2:])


def _by_domain() -> dict[str, list[tuple[Service, re.Pattern[str]]]]:
    known: dict[str, list[tuple[Service, re.Pattern[str]]]] = {}
    for service in SERVICES:
        path = re.compile(service.path.replace("/", r"\\*/")) if service.path else re.compile("")
        known.setdefault(_domain(service.domain), []).append((service, path))
    return known


KNOWN_SERVICES = _by_domain()


def _mask_url(url: str) -> str:
    start = URL_START.match(url)
    if start is None:
        return MASK if AMBIGUOUS.search(url) else _mask_location("//" + url)[2:]
    location = url[start.end() :]
    if AMBIGUOUS.search(location):
        slashes, authority, _ = _parts(location)
        location = f"{slashes}{authority}/{MASK}"
    return start[0] + _mask_location(location)


# The URL with its credentials masked. Everything else stays byte for byte. Where parsers would disagree, all after the
# authority is masked, or all of it.
mask_url = TextMask(_mask_url)


def mask_host(host: str | None) -> str | None:
    """A host, as `host_of` tells it, without the label that is a secret at a service which has it there."""
    if host is None:
        return None
    bare, colon, port = host.rpartition(":")
    return _mask_label(bare, "") + colon + port if colon and port.isdecimal() else _mask_label(host, "")


def located(text: str, start: int, _end: int, depth: int = 0) -> Iterator[Replacement]:
    """Mask a URL, from the colon before its slashes, or a path in a text, without the punctuation after it."""
    at = start if text[start] in "\\/" else start + 1
    if _is_plain(text, at, has_host=text[start] == ":"):
        return
    found = LOCATION.match(text, at)
    if found is None:
        return
    location = unpunctuated(found[0])
    cut = found.end() == len(text) and location == found[0]
    masked = _mask_location(location, cut, depth) if text[start] == ":" else _mask_path(location, cut, depth)
    yield at, at + len(location), masked


def _is_plain(text: str, at: int, *, has_host: bool) -> bool:
    """Whether a URL or a path in a text has no secret by the first look, which takes a tenth of the second."""
    found = (PLAIN_LOCATION if has_host else PLAIN_PATH).match(text, at)
    if found is None or not HOOKS.isdisjoint(found[found.re.groups].split("/")):
        return False
    return not has_host or _domain(found[1]) not in KNOWN_SERVICES


def _mask_location(location: str, cut: bool = False, depth: int = 0) -> str:
    """Mask what follows a URL's scheme; `cut` where it may be the beginning of a longer one."""
    if len(location) > LONGEST_URL:
        return _mask_location(location[:LONGEST_URL], True, depth) + MASK
    slashes, host_and_user, rest = _parts(location)
    authority = AUTHORITY.fullmatch(host_and_user)
    if authority is None:
        return slashes + MASK
    userinfo, host, port = (part or "" for part in authority.groups())
    if TOKEN.search(host) or ("." not in host and _looks_random(host, cut=False)):
        return slashes + MASK
    if cut and not rest and PERHAPS_USER.fullmatch(host):
        return slashes + MASK
    shown = _mask_label(host, rest)
    return slashes + (MASK + "@" if userinfo else "") + shown + port + _mask_known(host.lower(), rest, cut, depth)


def _parts(location: str) -> tuple[str, str, str]:
    parts: tuple[str, str, str] = LOCATION_PARTS.findall(location)[0]
    return parts


def _services(host: str) -> Iterator[tuple[Service, re.Pattern[str]]]:
    for service, path in KNOWN_SERVICES.get(_domain(host), ()):
        if host == service.domain or host.endswith("." + service.domain):
            yield service, path


def _mask_label(host: str, _rest: str) -> str:
    for service, _ in _services(host.lower()):
        if service.label and host.count(".") > service.domain.count("."):
            return MASK + host[host.index(".") :] if not host.lower().startswith("www.") else host
    return host


def _mask_known(host: str, rest: str, cut: bool, depth: int) -> str:
    """Mask what follows the host, all of a path's secret part where the service is known."""
    for service, pattern in _services(host):
        found = pattern.match(rest) if service.path else None
        if found is not None:
            path, parameters = PATH_AND_PARAMETERS.findall(rest[found.end() :])[0]
            return rest[: found.end()] + (MASK if path.strip("/") else path) + _mask_path(parameters, cut, depth)
    return _mask_path(rest, cut, depth)


def _mask_path(location: str, cut: bool = False, depth: int = 0) -> str:
    """Mask the segments of a path, and the parameters after it."""
    if len(location) > LONGEST_URL:
        return _mask_path(location[:LONGEST_URL], True, depth) + MASK
    path, parameters = PATH_AND_PARAMETERS.findall(location)[0]
    pieces = SEGMENT.split(path)
    count = len(pieces)
    if parameters:
        pieces += PARAMETER.split(parameters)
    shown = []
    hook = False
    last = len(pieces) - 1
    for at, piece in enumerate(pieces):
        if not piece or SEGMENT.fullmatch(piece) or (at >= count and PARAMETER.fullmatch(piece)):
            shown.append(piece)
        elif at < count and not hook and piece.isascii() and piece.isalnum() and len(piece) < FEWEST:
            shown.append(piece)
            hook = piece.lower() in HOOKS
        elif at < count:
            secret = _is_secret(piece, cut and at == last, depth, 16) or (hook and not _is_plain_segment(piece))
            if ("=" in piece) and not (hook and not secret):
                shown.append(_mask_piece(piece, cut and at == last, depth))
            else:
                shown.append(MASK if secret else piece)
            hook = hook or piece.lower() in HOOKS
        elif piece.startswith(("/", "!/")) and "=" not in piece:  # a route in a fragment
            shown.append(_mask_path(piece, cut and at == last, depth))
        else:
            shown.append(_mask_piece(piece, cut and at == last, depth))
    return "".join(shown)


def _is_plain_segment(segment: str) -> bool:
    segment = decoded(segment)
    return (PLAIN_SEGMENT.fullmatch(segment) is not None and UNSPEAKABLE.search(segment) is None) or segment == MASK


def _mask_piece(piece: str, cut: bool, depth: int) -> str:
    """Mask a parameter, its value, or a parameter that is a secret by itself."""
    name, equals, value = piece.partition("=")
    if len(piece) < 6 and not (value and is_credential(name, in_url=True)):
        return piece
    if value and is_credential(name, in_url=True):
        return name + equals + MASK
    if value and not _is_secret(name, False, depth, 20):
        return name + equals + MASK if _is_secret(value, cut, depth, 6) else piece
    return MASK if _is_secret(piece, cut, depth, 20) else piece


def _is_secret(piece: str, cut: bool, depth: int, shortest: int) -> bool:
    """Whether a part of a URL, decoded, looks like a secret or has one in it: a URL in a URL, JSON, a form."""
    text = decoded(piece)
    if (
        TOKEN.search(text) is not None
        or _looks_random(text, cut, max(shortest, 16))
        or ":" in text.rpartition("@")[0]
        or (shortest == 6 and _has_mixed(text))
    ):
        return True
    if text == piece and "=" not in text and ":" not in text:
        return False
    if depth >= DEEPEST:
        return "//" in text or replaced(text, {Kind.NAME: partial(named, in_url=True)}) != text
    inner = partial(located, depth=depth + 1)
    return replaced(text, {Kind.NAME: partial(named, in_url=True), Kind.URL: inner}) != text


def _has_mixed(text: str) -> bool:
    """Whether there is a run of letters and digits that is no word with a number."""
    return any(WORD_AND_NUMBER.fullmatch(run) is None for run in LETTERS_AND_DIGITS.findall(PLAIN.sub(" ", text)))


def _looks_random(text: str, cut: bool, shortest: int = 20) -> bool:
    """Whether there is a run of letters and digits in it that does not read like words."""
    return any(_is_random(run, 6 if cut else shortest) for run in RUN.findall(PLAIN.sub(" ", text)))


def _is_random(run: str, shortest: int) -> bool:
    if len(run) < shortest:
        return False
    if len(run) >= 32 and (run.isalnum() or ALL_KINDS.match(run)):
        return True
    syllables = SYLLABLE.findall(run)
    few_per_syllable = len(syllables) >= 3 and sum(map(len, syllables)) <= 3.5 * len(syllables)
    return few_per_syllable and MIXED.match(run) is not None
