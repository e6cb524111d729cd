"""The URL of a database, understood: libpq's parameters for PostgreSQL, SQLite's own for a file.

    postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?sslmode=verify-full&sslrootcert=system&connect_timeout=3
    sqlite:///folder/gateway.db?mode=ro

Nothing that a message says holds a part of a password, wherever it stands in the URL: hosts, ports, names of databases
and names of parameters are shown, never a value of a parameter, and nothing at all of what cannot be taken apart.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import quote, unquote, urlencode

from sqlalchemy.engine import URL

from gateway.database.backends import TRAITS, Backend
from gateway.errors import DatabaseUnavailable

SETTING = "GATEWAY_DATABASE_URL"
BACKENDS_BY_NAME = {"postgres": Backend.POSTGRESQL, **{str(backend): backend for backend in Backend}}  # before `://`
URL_SCHEME = re.compile(r"([a-z][a-z0-9]*)(?:\+([a-z0-9_]+))?", re.IGNORECASE)
KEYWORDS = re.compile(r"(?:host|hostaddr|port|dbname|user|password|service)\s*=", re.IGNORECASE)
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}")
PORTS = range(1, 65_536)
POSTGRES_PORT = 5432
TRUE, FALSE = {"true", "1", "on", "yes"}, {"false", "0", "off", "no"}

# What asyncpg understands in a URL alone, not as an argument.
OF_ASYNCPG = {
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("passfile", "service", "target_session_attrs", "krbsrvname", "gsslib"),
}
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
SSL_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "gsslib": ("gssapi", "sspi"),
}
OF_THE_SESSION = ("application_name", "options")
OF_THE_PLACE = {"host", "port", "dbname", "database", "user", "password"}
# What changes nothing in what is read, with the values for which that is so; an empty tuple is any value.
WITHOUT_EFFECT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"), ()),
    **dict.fromkeys(("tcp_user_timeout", "prepared_statement_name_func", "async_fallback"), ()),
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "auto"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "replication": tuple(FALSE),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
# What other programs read in such a URL, and how it is said here.
INSTEAD = {
    **dict.fromkeys(("schema", "currentschema", "search_path"), "write GATEWAY_DATABASE_SCHEMA instead"),
    **dict.fromkeys(("connection_limit", "pool_size", "max_overflow"), "write GATEWAY_DATABASE_POOL_SIZE instead"),
    **dict.fromkeys(("pool_timeout", "pool_max_conns"), "write GATEWAY_DATABASE_WAIT_SECONDS instead"),
    **dict.fromkeys(("statement_timeout", "command_timeout"), "GATEWAY_DEADLINE_SECONDS says how long statements run"),
    "channel_binding": "the driver has none; write `sslmode=verify-full&sslrootcert=system`, by which a server proves "
    "who it is",
    "hostaddr": "write the address as the host",
    "sslaccept": "write `sslmode=verify-full` for `strict`, `sslmode=require` for the rest",
    "sslcert_dir": "write `sslrootcert`",
    "sslcrldir": "write `sslcrl` with one file",
    "timeout": "write `connect_timeout`",
}
# SQLite's own, which it reads in a URI; and Python's, which the gateway sets itself.
OF_SQLITE = {"mode", "cache", "immutable", "nolock", "vfs", "psow", "modeof"}
OF_PYTHON = {"uri", "timeout", "check_same_thread", "cached_statements", "detect_types", "isolation_level"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `url` is SQLAlchemy's form of it; `file` is SQLite's, None on PostgreSQL.

    `arguments` are what asyncpg is called with, `settings` those of the server for each session. `has_pooler` says that
    statements go without names, as behind PgBouncer in transaction mode; `is_read_only` that SQLite writes nothing,
    `is_immutable` that nobody does.
    """

    url: URL
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    has_pooler: bool = False
    file: Path | None = None
    is_read_only: bool = False
    is_immutable: bool = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    def __str__(self) -> str:
        """For people: without a password and without parameters."""
        if self.file is not None:
            return f"{self.url.drivername}:///{self.file}"
        user = (
            f"{quote(self.url.username)}{':***' if self.arguments.get('password') else ''}@"
            if self.url.username
            else ""
        )
        hosts = self.arguments.get("host", ())
        ports = self.arguments.get("port") or [None] * len(hosts)
        where = ",".join(
            (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
            for host, port in zip(hosts, ports, strict=True)
        )
        return f"{self.url.drivername}://{user}{where}/{quote(self.url.database or '')}"


def parse_url(text: str, setting: str = SETTING) -> Address:
    """What a URL says; `DatabaseUnavailable`, in one line, where it is none that the gateway can use.

    `setting` is where the URL comes from. Space, line ends and quotes around it, as files and shells leave them, are
    no part of it.
    """
    given = _bare(text)
    if given.lower().startswith("file:"):
        path, _, query = given.partition("?")
        return _sqlite(path, query, setting)
    scheme, found, rest = given.partition("://")
    named = URL_SCHEME.fullmatch(scheme)
    if not found or named is None:
        raise DatabaseUnavailable(f"{setting} is not a database URL.{_likely_cause(given)}")
    backend, driver = BACKENDS_BY_NAME.get(named[1].lower()), (named[2] or "").lower()
    if backend is None or driver not in {"", TRAITS[backend].driver}:
        raise DatabaseUnavailable(f"{setting} names {scheme}; use sqlite+aiosqlite or postgresql+asyncpg.")
    if any(ord(character) < 32 for character in rest):
        raise DatabaseUnavailable(f"{setting} has a line end or another control character amid it.")
    match backend:
        case Backend.POSTGRESQL:
            return _postgresql(rest, setting)
        case Backend.SQLITE:
            return _sqlite_url(rest, setting)
        case other:
            assert_never(other)


def _sqlite_url(rest: str, setting: str) -> Address:
    if not rest.startswith("/") and rest:
        raise DatabaseUnavailable(f"{setting} lacks a slash: sqlite+aiosqlite:///FILE, and four for /FOLDER/FILE.")
    path, _, query = rest[1:].partition("?")
    return _sqlite(unquote(path), query, setting)


def _bare(text: str) -> str:
    text = text.strip().strip("\ufeff").strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    return text


def _likely_cause(given: str) -> str:
    if KEYWORDS.search(given):
        return " Write postgresql://USER:PASSWORD@HOST/NAME in the place of keywords."
    if given[:1] in {'"', "'", "`"} or given[-1:] in {'"', "'", "`"}:
        return " It has a quote at one end."
    return ""


def _parameters(query: str, setting: str) -> list[tuple[str, str]]:
    """The parameters as libpq reads them: `%20` is a space, `+` is a plus."""
    parts = [part.partition("=") for part in query.split("&") if part]
    if not all(equals for _, equals, _ in parts):
        raise DatabaseUnavailable(f"{setting} has a parameter without `=`.")
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _unknown(name: str, setting: str, hint: str) -> DatabaseUnavailable:
    shown = f"the parameter {name}" if PLAIN_NAME.fullmatch(name) else "a parameter"
    return DatabaseUnavailable(f"{setting} has {shown}, which the gateway does not take: {hint}.")


def _sqlite(path: str, query: str, setting: str) -> Address:
    parameters = dict(_parameters(query, setting))
    for name in parameters:
        if name not in OF_SQLITE | OF_PYTHON:
            raise _unknown(name, setting, f"SQLite knows {', '.join(sorted(OF_SQLITE))}")
    own = {name: value for name, value in parameters.items() if name in OF_SQLITE}
    is_uri = path.lower().startswith("file:")
    file = re.sub(r"^//[^/]*", "", unquote(path[len("file:") :])) if is_uri else path
    if file in {"", ":memory:"} or own.get("mode") == "memory" or own.get("vfs") == "memdb":
        raise DatabaseUnavailable(f"{setting} must name a file: sqlite+aiosqlite:///gateway.db.")
    url = URL.create("sqlite+aiosqlite", database=path)
    if own or is_uri:
        url = url.set(database=path if is_uri else f"file:{quote(path)}", query={**own, "uri": "true"})
    is_immutable = own.get("immutable", "").lower() in TRUE
    read_only = own.get("mode") == "ro" or is_immutable
    return Address(url, file=Path(file), is_read_only=read_only, is_immutable=is_immutable)


def _postgresql(rest: str, setting: str) -> Address:
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if "@" in path + query:
        raise DatabaseUnavailable(
            f"{setting} has an `@` behind its host: in a user, a password and a value, / is written %2F, ? %3F, @ %40."
        )
    credentials, _, places = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    parameters: dict[str, str] = {}
    hosts: list[str] = []
    for name, value in _parameters(query, setting):
        if name == "host":
            hosts += value.split(",")  # several of them, too
        parameters[name.lower()] = value
    place = {name: parameters.pop(name) for name in OF_THE_PLACE & parameters.keys()}
    pairs = _places(places.split(",") if places else hosts, place.get("port"), setting)
    arguments: dict[str, Any] = {
        "user": place.get("user") or unquote(user) or None,
        "password": place.get("password") or unquote(password) or None,
        "database": place.get("dbname") or place.get("database") or unquote(path[1:]) or None,
    }
    url = URL.create(
        "postgresql+asyncpg",
        arguments["user"],
        arguments["password"],
        pairs[0][0] if pairs else None,
        pairs[0][1] if pairs else None,
        arguments["database"],
        parameters,
    )
    if pairs:
        arguments["host"] = [host for host, _ in pairs]
    if any(port for _, port in pairs):
        arguments["port"] = [port or POSTGRES_PORT for _, port in pairs]
    has_pooler = "0" in {parameters.pop(f"{kind}statement_cache_size", None) for kind in ("", "prepared_")}
    has_pooler |= parameters.pop("pgbouncer", "").lower() in TRUE
    own, settings = _understood(parameters, setting)
    return Address(url, {name: value for name, value in arguments.items() if value} | own, settings, has_pooler)


def _places(hosts: Sequence[str], ports: str | None, setting: str) -> list[tuple[str, int | None]]:
    """The hosts in their order, each with its port where one is given, as `HOST`, `HOST:PORT` or `[IPV6]:PORT`."""
    given = [] if ports is None else ports.split(",")
    if len(given) not in {0, 1, max(len(hosts), 1)}:
        raise DatabaseUnavailable(f"{setting} has {len(hosts)} hosts and {len(given)} ports.")
    places = []
    for number, place in enumerate(hosts or [""]):
        host, ipv6, port = place, "", ""
        if (bracketed := re.fullmatch(r"\[([^]]*)\](?::(.*))?", place)) is not None:
            ipv6, port = bracketed[1], bracketed[2] or ""
        elif not place.startswith("/"):
            host, _, port = place.partition(":")
        port = port or (given[number % len(given)] if given else "")
        if port and not (port.isascii() and port.isdigit() and int(port) in PORTS):
            raise DatabaseUnavailable(f"{setting} has a port that is no number from 1 to {PORTS[-1]}.")
        if where := unquote(ipv6 or host):
            places.append((where, int(port) if port else None))
    return places


def _understood(parameters: Mapping[str, str], setting: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The driver's arguments and the settings of a session that parameters beside the place stand for."""
    arguments: dict[str, Any] = {}
    settings: dict[str, str] = {}
    for_asyncpg: dict[str, str] = {}
    for name, value in parameters.items():
        if name == "ssl":  # other programs' word for it, true or false; or a mode of libpq's
            for_asyncpg["sslmode"] = "require" if value in TRUE else "disable" if value in FALSE else value
        elif name in OF_ASYNCPG:
            for_asyncpg[name] = value
        elif name in OF_THE_SESSION:
            settings[name] = value
        elif name == "fallback_application_name":
            settings.setdefault("application_name", value)
        elif name == "connect_timeout":
            arguments |= _timeout(value, setting)
        elif not _is_without_effect(name, value):
            hint = INSTEAD.get(name, "a setting of the server is written `options=-c%20NAME%3DVALUE`")
            raise _unknown(name, setting, hint)
    for name, value in for_asyncpg.items():
        _check_value(name, value, setting)
    if for_asyncpg.get("sslrootcert") == "system":
        arguments["ssl"] = _system_trust(for_asyncpg, setting)
    elif for_asyncpg:
        arguments["dsn"] = f"postgresql://?{urlencode(for_asyncpg, quote_via=quote)}"
    return arguments, settings


def _timeout(value: str, setting: str) -> dict[str, float]:
    if not re.fullmatch(r"-?[0-9]{1,6}", value):
        raise DatabaseUnavailable(f"{setting}: connect_timeout is a number of seconds.")
    return {"timeout": float(value)} if int(value) > 0 else {}  # libpq waits for ever then: we, as long as we do


def _check_value(name: str, value: str, setting: str) -> None:
    if value not in SSL_VALUES.get(name, (value,)):
        raise DatabaseUnavailable(f"{setting}: {name} is one of {', '.join(SSL_VALUES[name])}.")
    if name in FILES and value != "system" and not Path(value).is_file():
        raise DatabaseUnavailable(f"{setting}: there is no file {value} ({name}).")


def _system_trust(given: dict[str, str], setting: str) -> ssl.SSLContext:
    """What libpq makes of `sslrootcert=system`: the server is one that this machine's authorities vouch for."""
    if given.get("sslmode", "verify-full") != "verify-full":
        raise DatabaseUnavailable(f"{setting}: sslrootcert=system needs sslmode=verify-full.")
    context = ssl.create_default_context()
    if "sslcert" in given:
        context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: given.get("sslpassword", ""))
    return context


def _is_without_effect(name: str, value: str) -> bool:
    allowed = WITHOUT_EFFECT.get(name)
    return allowed is not None and (not allowed or value.lower() in allowed)
