"""Every knob of the gateway, read once from `GATEWAY_*` variables, frozen, and handed down in sections."""

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

T = TypeVar("T")
ORIGIN = re.compile(r"https?://[^/?#@\s]+")
KEYS_POOL_SIZE = 5  # of a database of keys alone: a few look up, one writes when they were used
ENDPOINT = re.compile(r"https?://[^/?#@\s]+(?:/[^?#@\s]*)?")


class Profile(StrEnum):
    """How open the gateway is. `development` adds introspection, the explorer and suggestions."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def by_profile(*, production: T, development: T) -> Callable[[dict[str, Any]], T]:
    """A default that depends on the profile."""
    return lambda known: development if known.get("profile") is Profile.DEVELOPMENT else production


def _split(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _origin(value: str) -> str:
    origin = value.rstrip("/")
    if origin != "*" and not ORIGIN.fullmatch(origin):
        raise ValueError(f"{value} is no origin such as https://app.example")
    return origin


def _network(value: str) -> str:
    if value != "*":
        try:
            ip_network(value)
        except ValueError:
            raise ValueError(f"{value} is no address such as 10.0.0.7, and no network such as 10.0.0.0/8") from None
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    if not ENDPOINT.fullmatch(value):
        raise ValueError("expected an address such as https://api.example, without parameters and credentials")
    return value.rstrip("/")


LogFormat = Literal["text", "json"]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)]


Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)]


class Section(BaseModel):
    """Settings of one concern, which the rooms that need them are given whole. A section made by itself has the values
    that it is given, and defaults, whatever the environment holds:

    >>> DocumentSettings(max_depth=3).max_aliases
    30
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    profile: Profile = Field(
        default=Profile.PRODUCTION,
        description="`production`, or `development`, which opens introspection, the explorer and suggestions.",
    )

    @property
    def is_development(self) -> bool:
        """True where introspection, the explorer and suggestions are open."""
        return self.profile is Profile.DEVELOPMENT


class DatabaseSettings(Section):
    """Where the rows and the API keys live, and how many connections one process keeps to them."""

    database_url: str = Field(
        default="sqlite+aiosqlite:///gateway.db",
        description="Where the rows live: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER@HOST/NAME`.",
    )
    database_pool_size: int = Field(
        default=10, ge=1, le=1000, description="Connections that one process keeps open to the database."
    )
    database_replica_urls: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        description="PostgreSQL servers that follow the one above and are read instead, separated by commas.",
    )
    database_replica_max_lag_seconds: float = Field(
        default=30.0, gt=0, le=86_400, description="How far a replica may be behind before it is left out."
    )
    database_schema: str | None = Field(
        default=None,
        min_length=1,
        description="The PostgreSQL schema that the tables are in; without it, the role's search path finds them. "
        "PgBouncer in transaction mode does not pass it on: there, `ALTER ROLE … SET search_path` does it.",
    )
    own_database_url: str | None = Field(
        default=None,
        description="Where the gateway keeps what is its own, API keys and counted periods, if not with the rows: a "
        "database made by `gateway migrate --database-url`. `GATEWAY_DATABASE_SCHEMA` is not for it.",
    )
    keys_database_url: str | None = Field(
        default=None,
        description="The older name of the one above; where both are set, keys live here.",
    )
    counting: bool = Field(
        default=False,
        description="Whether statistics of the past are counted once and stored, so that they cost the same however "
        "many rows there are.",
    )
    database_wait_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How long a statement waits for a free connection to the database before the request is "
        "refused with OVERLOADED.",
    )

    @property
    def keys_url(self) -> str | None:
        """Where the API keys live, if not with the rows."""
        return self.keys_database_url or self.own_database_url

    @property
    def keys_setting(self) -> str:
        """The variable that says so."""
        return f"GATEWAY_{'KEYS' if self.keys_database_url else 'OWN'}_DATABASE_URL"

    @property
    def counted_url(self) -> str | None:
        """Where counted periods live, if not with the rows."""
        return self.own_database_url or self.keys_database_url

    @property
    def of_own(self) -> "DatabaseSettings":
        """The same for a database of the gateway's own, which has no replicas, and no schema but its own."""
        return DatabaseSettings(database_pool_size=KEYS_POOL_SIZE, database_wait_seconds=self.database_wait_seconds)

    @property
    def of_primary(self) -> "DatabaseSettings":
        """The same without replicas, for commands that are told of one database."""
        return self.model_copy(update={"database_replica_urls": ()})


class ObservabilitySettings(Section):
    """What operators see: logs, metrics, traces."""

    log_level: LogLevel = Field(
        default="INFO", description="The least severe level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL."
    )
    log_format: LogFormat = Field(
        default_factory=by_profile(production="json", development="text"),
        validate_default=True,
        description="`json`, an object a line, or `text`, for people.",
    )
    access_log: bool = Field(default=True, description="Whether each request is a line in the log.")
    slow_seconds: float = Field(
        default=1.0,
        ge=0,
        description="From how long on, until its answer begins, a request is logged by itself, with its document but "
        "none of its values; 0 is never.",
    )
    metrics: bool = Field(
        default=True, description="Whether `/metrics` is there, for Prometheus, without a credential."
    )
    telemetry: bool = Field(
        default=False,
        description="Whether requests are traced by OpenTelemetry, which the standard `OTEL_*` variables configure. "
        "Needs the extra `telemetry`.",
    )


class DocumentSettings(Section):
    """What a GraphQL document may hold, which documents run, and how many are remembered."""

    max_document_length: int = Field(default=50_000, ge=1, description="The longest GraphQL document, in characters.")
    max_tokens: int = Field(
        default=3_000, ge=1, description="How many tokens a GraphQL document may have, and how many lines."
    )
    max_depth: int = Field(
        default_factory=by_profile(production=12, development=20),
        ge=1,
        description="How deeply fields may be nested. Introspection needs 15.",
    )
    max_root_fields: int = Field(
        default_factory=by_profile(production=20, development=50),
        ge=1,
        description="How many fields an operation may have at its root.",
    )
    max_aliases: int = Field(
        default_factory=by_profile(production=30, development=100),
        ge=1,
        description="How many aliases an operation may have, its fragments counted at each spread.",
    )
    max_directives: int = Field(
        default_factory=by_profile(production=30, development=100),
        ge=1,
        description="How many directives an operation may have, its fragments counted at each spread.",
    )
    max_selections: int = Field(
        default=3_000,
        ge=1,
        description="How many fields, spreads and inline fragments an operation may have, its fragments counted at "
        "each spread.",
    )
    max_cost: int = Field(
        default=1_100_000,
        ge=1,
        description="How many objects (batches, deliveries, attempts, counts) the answer of an operation might hold, "
        "if every list were as long as it may be. 100 batches with all levels below them, no `first` given, are "
        "1,010,100.",
    )
    max_variable_values: int = Field(
        default=2_000,
        ge=1,
        description="How many values the variables of a request may hold, lists and objects included.",
    )
    max_errors: int = Field(default=20, ge=1, description="How many errors one answer reports at most.")
    document_cache_size: int = Field(default=1_000, ge=1, description="How many checked documents are remembered.")
    document_cache_length: int = Field(
        default=500_000,
        ge=1,
        description="How many characters of document text are remembered. A checked document takes 100 to 300 bytes of "
        "memory for each.",
    )
    trusted_documents: Path | None = Field(
        default=None,
        description="A manifest of documents to ask for by their hash: Relay's `persisted.json` or Apollo's.",
    )
    trusted_documents_only: bool = Field(
        default=False, description="Whether every document that is not in the manifest is refused."
    )


class HttpSettings(Section):
    """How requests are answered: by what means, how often, how long, and to which sites."""

    plans: bool = Field(
        default=True,
        description="Whether GraphQL operations are answered by plans; the ordinary executor answers alike, slower.",
    )
    page: bool = Field(
        default_factory=by_profile(production=False, development=True),
        description="Whether `/` shows browsers the deliveries page. Its documents are trusted by themselves.",
    )
    deadline_seconds: float = Field(
        default_factory=by_profile(production=10.0, development=30.0),
        gt=0,
        description="How long a GraphQL request may run before it is answered with DEADLINE_EXCEEDED. Its body may "
        "take as long to arrive.",
    )
    max_body_bytes: int = Field(
        default=262_144,
        ge=1,
        description="The largest body of a GraphQL request, and the largest message of a WebSocket, in bytes.",
    )
    rate_limit: float = Field(
        default_factory=by_profile(production=100.0, development=0.0),
        ge=0,
        description="How many GraphQL requests a second one credential may send in the long run; 0 means any number. "
        "Each millisecond that reading a new document takes counts as one more request.",
    )
    rate_limit_burst: float = Field(
        default=500.0, ge=1, description="How many GraphQL requests one credential may send at once."
    )
    websocket_init_seconds: float = Field(
        default=3.0, gt=0, description="How long a WebSocket may take to send its `connection_init`."
    )
    draft_statuses: bool = Field(
        default=False,
        description="Whether `application/graphql-response+json` is answered with the statuses of GraphQL over HTTP's "
        "2026 draft: 422 for documents that do not fit, 294 for partial answers.",
    )
    get_needs_accept: bool = Field(
        default_factory=by_profile(production=True, development=False),
        description="Whether a GET must name a JSON media type in `Accept`, or come from a browser's script. Links and "
        "images of other sites do neither.",
    )
    trusted_origins: Origins = Field(
        default=(),
        description="Origins such as `https://app.example` that may POST from a browser, separated by commas.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Origins whose scripts may read answers, separated by commas, or `*`. They are trusted as well.",
    )
    cors_credentials: bool = Field(
        default=False, description="Whether browsers may send cookies and client certificates across origins."
    )

    @property
    def sites(self) -> frozenset[str]:
        """The origins that browsers may send for; those that may read answers are among them."""
        return frozenset((*self.trusted_origins, *self.cors_origins))


class StreamSettings(Section):
    """How changes are watched, and how many streams of events are open."""

    watch_seconds: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="How often a process looks for what changed in an organization, while anybody watches it.",
    )
    watch_window_seconds: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="How much later than the time that it writes into a row a transaction may commit, and a watcher is "
        "told of it exactly once, streams that are taken up again included.",
    )
    max_streams: int = Field(default=5_000, ge=1, description="How many streams of events a process keeps open.")
    max_credential_streams: int = Field(
        default=100, ge=1, description="How many streams of events one credential may have open in a process."
    )
    stream_backlog: int = Field(
        default=1_000,
        ge=1,
        description="How many events a client may leave untaken until the next ones come, before its stream is ended "
        "with SUBSCRIBER_TOO_SLOW.",
    )
    heartbeat_seconds: float = Field(
        default=12.0,
        gt=0,
        description="After how many seconds without an event a stream sends a sign of life: fewer than proxies on the "
        "way let a connection be idle.",
    )


class ServerSettings(Section):
    """How the server of one process treats its connections, and how it stops."""

    max_head_bytes: int = Field(
        default=65_536,
        ge=1_024,
        description="The largest head of a request, which is its address and its headers, in bytes; of a GET, the "
        "address holds the document.",
    )
    head_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long a client may take to send the head of a request before its connection is closed.",
    )
    keep_alive_seconds: int = Field(
        default=75,
        gt=0,
        description="How long a connection stays open between two requests: longer than a load balancer keeps it, or "
        "the balancer will send a request into one that is just being closed.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses and networks of the proxies, separated by commas, whose `X-Forwarded-Proto` and "
        "`X-Forwarded-For` are believed; `*` believes everybody. Without it, 127.0.0.1 and ::1, or what uvicorn's "
        "`FORWARDED_ALLOW_IPS` names.",
    )
    drain_seconds: float = Field(
        default_factory=by_profile(production=5.0, development=0.0),
        ge=0,
        description="How long the gateway goes on after SIGTERM, its `/readyz` already 503, until load balancers have "
        "turned away.",
    )
    grace_seconds: int = Field(
        default=10, ge=1, description="How long requests that are under way may take once the gateway stops to listen."
    )


class CredentialSettings(Section):
    """Whose credentials are accepted: how long API keys are remembered, and who signs tokens."""

    credential_cache_seconds: float = Field(
        default=15,
        ge=0,
        le=30,
        description="For how long a process uses a checked credential without checking it again: a revoked key works "
        "that long.",
    )
    jwt_keys_url: str | None = Field(
        default=None,
        description="Where the JWKS document is whose keys sign tokens, or the issuer's discovery document. Set one of "
        "these three, or none.",
    )
    jwt_keys_file: Path | None = Field(
        default=None, description="A file with the keys that sign tokens: a JWKS document, or one public key as PEM."
    )
    jwt_public_key: str | None = Field(
        default=None, description="The one public key that signs tokens, as PEM; `\\n` may stand for a line end."
    )
    jwt_issuer: str | None = Field(
        default=None, description="The `iss` that a token must carry. Needed where there are keys."
    )
    jwt_audience: str | None = Field(
        default=None,
        description="The `aud` that a token must carry. Without it, tokens that name an audience are refused.",
    )
    jwt_algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256", "EdDSA"),
        min_length=1,
        description="The algorithms that tokens may be signed with, as a JSON list; public-key ones only.",
    )
    jwt_leeway_seconds: float = Field(
        default=30, ge=0, le=300, description="How far the clocks of the issuer and of the gateway may be apart."
    )
    jwt_role_scopes: dict[str, frozenset[str]] = Field(
        default_factory=dict,
        description="The scopes of each role in a token's `organizations`, as JSON: "
        '`{"admin": ["batches:read"]}`. A role that is not here is refused.',
    )


class PlatformSettings(Section):
    """The platform's API, which delivers callbacks again, and how often it is asked to."""

    platform_url: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="The platform's API, such as `https://api.example`, which is asked to deliver callbacks again. "
        "Without it, redelivery is off.",
    )
    platform_credential: SecretStr | None = Field(
        default=None,
        description="A credential of the gateway's own at the platform, sent as `Authorization: Bearer` in the place "
        "of the viewer's. `X-Organization-Id` names the viewer's organization either way.",
    )
    platform_scope: str = Field(
        default="batches:redeliver",
        min_length=1,
        description="The scope that a viewer needs to have callbacks delivered again.",
    )
    platform_connect_seconds: float = Field(
        default=2.0, gt=0, description="How long a connection to the platform may take."
    )
    platform_answer_seconds: float = Field(
        default=5.0,
        gt=0,
        description="How long the platform may take to answer. What it does after that is looked up in the rows.",
    )
    platform_look_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long the rows are looked at where the platform's answer was lost before it is told unknown.",
    )
    platform_rate: float = Field(
        default=10.0,
        ge=0,
        description="How many redeliveries a second one process asks the platform for; 0 means any number.",
    )
    platform_at_once: int = Field(
        default=4, ge=1, description="How many redeliveries one process asks the platform for at a time."
    )
    platform_most: int = Field(
        default=100, ge=1, le=500, description="How many batches one `redeliverCallbacks` may be for."
    )


class LinkSettings(Section):
    """What signs links to exports, and how many exports are under way."""

    signing_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The secret that signs links to exports and the tokens of dry runs. Gateways behind one balancer "
        "need the same one; without it, each start of a gateway makes its own.",
    )
    export_link_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="How long a link to an export is good for beginning a download."
    )
    exports_per_credential: int = Field(
        default=2, ge=1, description="How many exports one credential may have under way in one process."
    )
    exports_at_once: int = Field(default=8, ge=1, description="How many exports one process has under way.")


class Settings(
    LinkSettings,
    PlatformSettings,
    CredentialSettings,
    ServerSettings,
    StreamSettings,
    HttpSettings,
    DocumentSettings,
    ObservabilitySettings,
    DatabaseSettings,
    BaseSettings,
):
    """The gateway's configuration: all sections. Each field is the variable `GATEWAY_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore", hide_input_in_errors=True)
