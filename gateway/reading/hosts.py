"""The host of a URL, as deliveries are grouped and filtered by it.

It follows from the text alone, by a pattern: no library's idea of a URL, since the same has to come out of the SQL by
which a platform's own tables keep it (`gateway.doctor.repairs`). Tests hold the two against each other.
"""

import re
import string

STANDARD_PORTS = {"http": 80, "https": 443}
LARGEST_PORT = 65_535
SMALL_LETTERS = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
NOT_THERE = str.maketrans("", "", "\t\n\r")
URL = re.compile(
    r"[\x01-\x20]*(?:([A-Za-z][A-Za-z0-9+.-]*):)?//"
    r"(?:[^/?#]*@)?(\[[0-9A-Fa-f:.]+(?:%[^][/?#@\\ ]+)?\]|[^][/?#@:]+)(?::([0-9]*))?(?:[/?#].*)?",
    re.DOTALL,
)


def host_of(url: str | None) -> str | None:
    """The host of a URL, its ASCII letters small, with its port where that is not the scheme's own; None where there is
    none.

    Blanks before the URL and tabs and line ends inside of it do not count, as browsers have it. In brackets stands an
    IPv6 address, with or without a zone.
    """
    found = URL.fullmatch((url or "").translate(NOT_THERE))
    if found is None:
        return None
    scheme, host, digits = found[1], found[2].translate(SMALL_LETTERS), (found[3] or "").lstrip("0")
    if not found[3]:
        return host
    port = int(digits[:6] or "0")
    if port > LARGEST_PORT:
        return None
    return host if port == STANDARD_PORTS.get((scheme or "").lower()) else f"{host}:{port}"
