"""The host of a URL, as deliveries are grouped and filtered by it."""

from urllib.parse import urlsplit

STANDARD_PORTS = {"http": 80, "https": 443}


def host_of(url: str | None) -> str | None:
    """The host of a URL, in lower case, with its port where that is not the scheme's own; None where there is none."""
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    host = f"[{host}]" if ":" in host else host
    return host if port is None or port == STANDARD_PORTS.get(parts.scheme) else f"{host}:{port}"
