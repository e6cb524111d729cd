"""The only place where the parts meet."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import __version__
from gateway.counting.answers import Statistics
from gateway.counting.counter import counting
from gateway.database.engine import Database
from gateway.database.migrate import prepare_database
from gateway.database.replicas import Replicas
from gateway.database.required import COUNTED_TABLES, KEYS, missing
from gateway.database.tables import batch_callback_deliveries
from gateway.errors import DatabaseUnavailable, SchemaBehind, TelemetryMissing, UnsafeSettings
from gateway.execution.documents import PARSE_FAILED, VALIDATION_FAILED, Documents, read_manifest
from gateway.execution.run import BAD_INPUT
from gateway.http import metrics, probes
from gateway.http.background import beside, periodically
from gateway.http.credentials import Credentials
from gateway.http.explorer import Explorer, ExplorerConfig
from gateway.http.explorer import assets as explorer_assets
from gateway.http.graphql import GRAPHQL_PATH as GRAPHQL
from gateway.http.graphql import GraphQL
from gateway.http.middleware import CrossSite, ExactPath, RequestRecorder
from gateway.http.server import ON_DRAIN
from gateway.http.streams import STATE as STREAMS
from gateway.http.streams import Streams
from gateway.http.tokens import tokens_of
from gateway.http.websocket import WebSockets
from gateway.observability import configure_logging
from gateway.observability.metrics import PUBLISHED_SECONDS, TRANSPORTS, Metrics
from gateway.observability.recorder import Recorder
from gateway.observability.request_log import AccessLog
from gateway.page import ASSETS_PATH, DeliveriesPage, PageConfig, page_assets
from gateway.page import documents as page_documents
from gateway.platform.client import Platform
from gateway.reading.filters import CallbackDeliveryFilter, TextFilter
from gateway.reading.health import FAILED
from gateway.reading.masking import mask_text
from gateway.reading.pages import Order, Slice
from gateway.reading.questions import PageOf
from gateway.reading.reader import Reader
from gateway.rest import endpoint, envelope, exports, redelivery
from gateway.rest.downloads import Downloads
from gateway.rest.endpoint import TAGS, CachedCallerShortcut, HistoryResponder, UsageReport
from gateway.schema.context import Links
from gateway.schema.query import schema
from gateway.settings import HttpSettings, LinkSettings, ObservabilitySettings, Settings
from gateway.signing import Signer
from gateway.watching.watch import Watching
from gateway.writing.api_keys import find_key

logger = logging.getLogger(__name__)

GRAPHQL_CODES = (PARSE_FAILED, VALIDATION_FAILED, BAD_INPUT)
STATEMENT_SHARE = 0.95  # of the deadline: the database gives up a little before the gateway does
DEMO_TOKEN = "demo"  # noqa: S105 - everybody knows it


METRICS_FOLDER = "GATEWAY_METRICS_FOLDER"  # the variable by which workers learn where they count together


class Application(FastAPI):
    """FastAPI with layers around its own, outermost first: what is asked most stands before its routing."""

    recorder: Recorder
    layers: Sequence[Middleware]

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own layers, in `layers`: its `add_middleware` would put these inside its handler of failures."""
        app = super().build_middleware_stack()
        for layer, arguments, options in reversed(self.layers):
            app = layer(app, *arguments, **options)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, without what FastAPI does around its layers for telemetry of its own."""
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)


def create_app(settings: Settings, metrics_folder: Path | None = None) -> FastAPI:
    """The gateway as an ASGI app. It opens its database when it starts and closes it when it stops.

    Processes that serve together count together in the `metrics_folder`.
    """
    refuse_unsafe(settings)
    database, keys = databases_of(settings)
    counted = counted_database_of(settings, database, keys)
    opened = {database, keys} if counted is None else {database, keys, counted}
    recorder = recorder_of(settings, database, metrics_folder)
    credentials = Credentials(keys, settings)
    legacy_use = UsageReport(recorder.metrics)
    explorer = Explorer()
    page = DeliveriesPage(page_config(settings))
    platform = Platform(settings)
    links = links_of(settings)
    documents = Documents(schema._schema, settings, trusted_documents(settings))
    streams = Streams(credentials, settings, recorder.metrics)
    graphql_endpoint = GraphQL(
        documents,
        database,
        credentials,
        settings,
        explorer if settings.is_development else None,
        shortcut=Statistics(database, counted),
        platform=platform,
        links=links,
        watching=Watching(database, settings, recorder.metrics),
        streams=streams,
    )
    downloads = Downloads(settings)
    published = () if recorder.metrics is None or metrics_folder is None else (recorder.metrics.publish,)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        try:
            await asyncio.to_thread(mask_text, "")  # makes its automaton, before a request waits for it
            credentials.has_keys = await make_ready(settings, database, keys)
            if counted is not None:
                await make_counts_ready(counted)
            await credentials.open()
            if settings.is_development and credentials.has_keys:
                explorer.config = await explorer_config(database, keys)
                page.config = replace(page.config, api_key=explorer.config.api_key)
            async with (
                periodically(credentials.last_used.write, legacy_use.report),
                periodically(*published, interval=PUBLISHED_SECONDS),
                counting(database, counted),
                beside(streams.watch_over()),
            ):
                yield {STREAMS: streams, ON_DRAIN: platform.drain}
        finally:
            await finish(graphql_endpoint, platform)
            for each in opened:
                await each.close()
            recorder.close()

    app = Application(
        title="Callback gateway",
        version=__version__,
        openapi_url="/api/openapi.public.json",
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
        lifespan=lifespan,
    )
    app.recorder = recorder
    envelope.install(app)
    history = HistoryResponder(database, legacy_use, settings)
    app.include_router(endpoint.router(credentials, history))
    add_acting_routes(app, credentials, graphql_endpoint, platform, links, downloads)
    app.include_router(probes.router(database, keys, credentials))
    if recorder.metrics is not None:
        app.include_router(metrics.router(recorder.metrics))
        watch(recorder.metrics, database, graphql_endpoint, downloads)
    show_pages(app, settings, page)
    shortcut = Middleware(CachedCallerShortcut, credentials, history)
    app.layers = layers_of(settings, recorder, graphql_endpoint, shortcut)
    return app


def layers_of(
    settings: Settings, recorder: Recorder, graphql_endpoint: GraphQL, innermost: Middleware
) -> Sequence[Middleware]:
    """The layers around the app, outermost first."""
    sockets = WebSockets(graphql_endpoint, recorder, settings)
    layers = [
        Middleware(RequestRecorder, recorder, settings),
        Middleware(CrossSite, settings),
        Middleware(ExactPath, GRAPHQL, graphql_endpoint, sockets),
        innermost,
    ]
    if settings.cors_origins:
        layers.insert(1, cors(settings))
    return layers


def show_pages(app: FastAPI, settings: HttpSettings, page: DeliveriesPage) -> None:
    """What browsers are shown where the settings say so: the explorer's files, and the deliveries page at `/`."""
    if settings.is_development:
        app.mount(ExplorerConfig().assets, explorer_assets())
    if settings.page:
        app.mount(ASSETS_PATH, page_assets())
        app.router.routes.append(Route("/", page.answer))


async def finish(endpoint: GraphQL, platform: Platform) -> None:
    """End what is under way: streams at once, writes when they are done, of which no new one is begun."""
    platform.stop()
    await endpoint.streams.finish()
    await endpoint.writes.finish()
    await platform.close()


def add_acting_routes(
    app: FastAPI,
    credentials: Credentials,
    graphql_endpoint: GraphQL,
    platform: Platform,
    links: Links,
    downloads: Downloads,
) -> None:
    """Add the platform's own address, where there is a platform, and the exports."""
    database, writes = graphql_endpoint.database, graphql_endpoint.writes
    if not platform.is_off:
        app.include_router(redelivery.router(credentials, platform, database, writes))
    app.include_router(exports.router(credentials, database, downloads, links))


def cors(settings: HttpSettings) -> Middleware:
    """The layer that lets pages of other origins read answers."""
    return Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=settings.cors_credentials,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Last-Event-ID", "X-GraphQL-Cost", "X-Organization-Id", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


def databases_of(settings: Settings) -> tuple[Database, Database]:
    """The database of the rows and that of the API keys, which may be the same."""
    seconds = STATEMENT_SHARE * settings.deadline_seconds
    rows = Database(settings.database_url, settings, statement_seconds=seconds)
    url = settings.keys_url
    if url is None:
        return rows, rows
    return rows, Database(url, settings.of_own, statement_seconds=seconds, setting=settings.keys_setting)


def counted_database_of(settings: Settings, rows: Database, keys: Database) -> Database | None:
    """The database of the counted periods, which may be one of these; None where nothing is to be counted."""
    if not settings.counting:
        return None
    if settings.counted_url is None:
        return rows
    if settings.counted_url == settings.keys_url:
        return keys
    return Database(settings.counted_url, settings.of_own, setting="GATEWAY_OWN_DATABASE_URL")


async def make_counts_ready(counted: Database) -> None:
    """Raise `SchemaBehind` where the tables of counted periods are not there. Its database may be gone for a while."""
    try:
        await prepare_database(counted, COUNTED_TABLES)
    except DatabaseUnavailable as gone:
        logger.warning("statistics are read from rows: %s", gone.message)


async def make_ready(settings: Settings, rows: Database, keys: Database) -> bool:
    """Make the databases ready to serve, or raise `OperatorError`; whether there are API keys.

    There need be none where tokens are checked, unless the settings say where the keys are.
    """
    await prepare_database(rows)
    if keys is not rows:
        await prepare_database(keys, KEYS)
    elif lacking := await missing(keys, KEYS):
        if tokens_of(settings) is None:
            raise SchemaBehind(
                f"Nobody could be let in: {lacking[0]}, GATEWAY_OWN_DATABASE_URL is not set, nor are keys for tokens."
            )
        return False
    await refuse_demo_key(settings, keys)
    return True


async def explorer_config(database: Database, keys: Database) -> ExplorerConfig:
    """What the explorer starts with: where the key that everybody knows exists, that key and ids to try."""
    key = await find_key(keys, DEMO_TOKEN)
    if key is None:
        return ExplorerConfig()
    reader = Reader(database, key.organization_id)
    failed = CallbackDeliveryFilter(status_code=TextFilter(eq=FAILED))
    newest = PageOf(
        batch_callback_deliveries, frozenset({"batch_id"}), failed, Order("created_at", descending=True), Slice(1)
    )
    page = await reader.load(newest)
    if not page.rows:
        return ExplorerConfig(api_key=DEMO_TOKEN)
    delivery = page.rows[0]
    ids = {"ABatch": {"id": delivery.batch_id}, "AnInvestigation": {"id": delivery.id}}
    return ExplorerConfig(api_key=DEMO_TOKEN, variables=ids)


def page_config(settings: Settings) -> PageConfig:
    """What the deliveries page is told of the gateway."""
    return PageConfig(
        explorer=GRAPHQL if settings.is_development else None,
        redelivery_scope=None if settings.platform_url is None else settings.platform_scope,
    )


def trusted_documents(settings: Settings) -> Mapping[str, str]:
    """The texts of the documents that may be asked for by their hash, the page's own included;
    `TrustedDocumentsUnreadable`."""
    trusted = {} if settings.trusted_documents is None else read_manifest(settings.trusted_documents)
    return {**trusted, **page_documents()} if settings.page else trusted


def links_of(settings: LinkSettings) -> Links:
    """What signs links and tokens."""
    secret = settings.signing_secret
    return Links(Signer(None if secret is None else secret.get_secret_value()), settings.export_link_seconds)


def recorder_of(settings: ObservabilitySettings, database: Database, metrics_folder: Path | None) -> Recorder:
    """What the settings let operators see. `TelemetryMissing` where they want traces and nothing can make them."""
    traces = None
    if settings.telemetry:
        try:
            traces = import_module("gateway.observability.traces").traces(database.dialect)
        except ModuleNotFoundError as missing:
            raise TelemetryMissing(
                f"GATEWAY_TELEMETRY needs {missing.name}: pip install 'callback-gateway[telemetry]'."
            ) from missing
    return Recorder(
        settings,
        Metrics(metrics_folder, GRAPHQL_CODES) if settings.metrics else None,
        traces,
        AccessLog(settings.log_format) if settings.access_log else None,
    )


def watch(metrics: Metrics, database: Database, endpoint: GraphQL, downloads: Downloads) -> None:
    """Show the pool, the replicas, the caches, the streams and the downloads of this process."""
    metrics.watch("gateway_exports_under_way", lambda: downloads.under_way)
    pool, cache, statements = database.source.pool, endpoint.documents.cache, database.statements
    for transport in TRANSPORTS:
        metrics.watch("gateway_streams", partial(endpoint.streams.count, transport), transport)
    metrics.watch("gateway_watched_tables", endpoint.watching.__len__)
    metrics.watch("gateway_pool_size", lambda: pool.size)
    metrics.watch("gateway_pool_in_use", lambda: pool.in_use)
    metrics.watch("gateway_pool_waiting", lambda: pool.waiting)
    metrics.watch("gateway_cache_entries", cache.__len__, "documents")
    metrics.watch("gateway_cache_hits_total", lambda: cache.hits, "documents")
    metrics.watch("gateway_cache_misses_total", lambda: cache.misses, "documents")
    metrics.watch("gateway_cache_entries", statements.__len__, "statements")
    metrics.watch("gateway_cache_hits_total", lambda: statements.hits, "statements")
    metrics.watch("gateway_cache_misses_total", lambda: statements.misses, "statements")
    if isinstance(database.source, Replicas):
        metrics.watch("gateway_database_up", partial(getattr, database.source.primary, "is_up"), "primary", "0")
        for number, replica in enumerate(database.source.replicas):
            metrics.watch("gateway_database_up", partial(getattr, replica, "is_up"), "replica", str(number))
            metrics.watch("gateway_replica_lag_seconds", partial(getattr, replica, "lag"), str(number))


def refuse_unsafe(settings: Settings) -> None:
    """Raise `UnsafeSettings` for what can only be a mistake, most of it in production alone."""
    if settings.trusted_documents_only and settings.trusted_documents is None:
        raise UnsafeSettings("GATEWAY_TRUSTED_DOCUMENTS_ONLY needs the manifest GATEWAY_TRUSTED_DOCUMENTS.")
    if settings.is_development:
        return
    if "*" in settings.cors_origins and settings.cors_credentials:
        raise UnsafeSettings("GATEWAY_CORS_ORIGINS=* cannot stand beside GATEWAY_CORS_CREDENTIALS: name the origins.")
    if "*" in settings.trusted_origins:
        raise UnsafeSettings("GATEWAY_TRUSTED_ORIGINS=* trusts every site: name the origins.")


async def refuse_demo_key(settings: Settings, keys: Database) -> None:
    """Raise `UnsafeSettings` where the key that everybody knows would open a gateway in production."""
    if not settings.is_development and await find_key(keys, DEMO_TOKEN) is not None:
        raise UnsafeSettings("The key `demo` exists: revoke it, or set GATEWAY_PROFILE=development.")


def create_app_from_environment() -> FastAPI:
    """The app as `GATEWAY_*` variables describe it: what the HTTP server's processes call."""
    settings = Settings()
    configure_logging(settings.log_level, settings.log_format)
    folder = os.environ.get(METRICS_FOLDER)
    return create_app(settings, None if folder is None else Path(folder))
