"""`gateway serve` and `gateway demo`."""

import asyncio
import json
import os
import secrets
import shlex
import signal
import socket
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import typer
import uvicorn
from sqlalchemy import URL

from gateway.app import DEMO_TOKEN, METRICS_FOLDER, create_app, databases_of, make_ready
from gateway.cli.session import load_settings, variable, with_database
from gateway.cli.workers import Workers, end_with_parent
from gateway.database.embedded import embedded_server
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.errors import OperatorError
from gateway.http.explorer import explorer_is_bundled
from gateway.http.server import DrainingServer, hold_signals
from gateway.observability import configure_logging
from gateway.observability.metrics import Metrics
from gateway.page import page_is_bundled
from gateway.settings import Profile, Settings
from gateway.viewer import READ, REDELIVER
from gateway.writing.api_keys import create_key
from gateway.writing.demo import SampleHistory, write_sample
from gateway.writing.demo_platform import DemoPlatform

BACKLOG = 2048
NOT_THE_DEMOS = (
    "database_replica_urls",
    "database_schema",
    "keys_database_url",
    "own_database_url",
    "platform_scope",
)  # settings of whoever starts a demo
ANY_SETTING: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}
SETTINGS = "\b\n" + textwrap.fill(  # wrapped here: no flag may be broken at its dashes
    "Every setting is a flag as well: " + ", ".join(f"--{name.replace('_', '-')}" for name in Settings.model_fields),
    width=76,
    break_on_hyphens=False,
)

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any that is free.")]


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes answer.")] = 1,
) -> None:
    """Serve the gateway until it is told to stop. An embedded database is migrated first."""
    signal.signal(signal.SIGTERM, _stop)
    settings = load_settings(_settings_in(context))
    asyncio.run(_make_sure(settings))
    with listening(host, port) as listener:
        typer.echo(f"Listening on {address(host, listener.getsockname()[1])}", err=True)
        os.environ.setdefault(variable("signing_secret"), secrets.token_hex(32))  # one for all workers
        _run(listener, workers)


def demo(
    port: Port = 8000,
    postgresql: Annotated[bool, typer.Option("--postgresql", help="On a PostgreSQL server of its own.")] = False,
) -> None:
    """Serve a month of sample history.

    It lies in a temporary folder, which is gone when the server stops.
    """
    signal.signal(signal.SIGTERM, _stop)
    with (
        listening("127.0.0.1", port) as listener,
        tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder,
        _demo_database(Path(folder), postgresql=postgresql) as url,
    ):
        os.environ[variable("profile")] = Profile.DEVELOPMENT
        for name in NOT_THE_DEMOS:
            os.environ.pop(variable(name), None)
        sample = with_database(url, _write_demo)
        with _demo_platform(url):
            typer.echo(_welcome(address("127.0.0.1", listener.getsockname()[1]), sample))
            _run(listener, workers=1)


@contextmanager
def _demo_platform(url: str) -> Iterator[None]:
    """A platform over the demo's database, on a port and an event loop of its own, which the gateway asks meanwhile."""
    credential = secrets.token_hex(16)
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(
            lambda: DemoPlatform(Database(url), credential), factory=True, ws="none", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="platform")
        os.environ[variable("platform_url")] = address("127.0.0.1", listener.getsockname()[1])
        os.environ[variable("platform_credential")] = credential
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _demo_database(folder: Path, *, postgresql: bool) -> Iterator[str]:
    if not postgresql:
        yield URL.create("sqlite+aiosqlite", database=str(folder / "demo.db")).render_as_string()
        return
    with embedded_server(folder) as url:
        asyncio.run(_migrate(url))
        yield url


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await migrate(database)
    finally:
        await database.close()


def _stop(*_: object) -> None:
    """End in order, which SIGTERM by itself does not: folders are removed and the exit status is 0."""
    sys.exit(0)


async def _write_demo(database: Database) -> SampleHistory:
    sample = await write_sample(database, datetime.now(UTC))
    await create_key(database, sample.organization_id, "demo", [READ, REDELIVER], DEMO_TOKEN)
    return sample


async def _make_sure(settings: Settings) -> None:
    """Fail here, in one line: a worker that fails would be started again and again."""
    create_app(settings)
    rows, keys = databases_of(settings)
    try:
        await make_ready(settings, rows, keys)
    finally:
        for opened in {rows, keys}:
            await opened.close()


def _settings_in(context: typer.Context) -> dict[str, str | None]:
    """The settings among the flags: `--max-depth 5` or `--max-depth=5`."""
    given: dict[str, str | None] = {}
    rest = iter(context.args)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("-"):
            context.fail(f"Got unexpected extra argument ({flag})")
        if not flag.startswith("--") or name not in Settings.model_fields:
            context.fail(f"No such option: {flag}")
        given[name] = value if equals else next(rest, None)
        if given[name] is None:
            context.fail(f"Option '{flag}' requires an argument.")
    return given


def listening(host: str, port: int) -> socket.socket:
    """A socket on which connections wait from now on, until the server has started. Brackets of IPv6 are let be."""
    try:
        found = socket.getaddrinfo(_bare(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        listener = socket.create_server(place, family=family, backlog=BACKLOG)
    except socket.gaierror as failure:
        raise OperatorError(f"Cannot listen on {_joined(host, port)}: {failure.strerror}.") from failure
    except UnicodeError as failure:  # what no name may look like
        raise OperatorError(f"Cannot listen on {_joined(host, port)}: that is no name of a machine.") from failure
    except OSError as failure:
        raise OperatorError(f"Cannot listen on {_joined(host, port)}: {os.strerror(failure.errno or 0)}.") from failure
    listener.set_inheritable(True)
    return listener


def address(host: str, port: int) -> str:
    """The URL of a server there, with IPv6 addresses in brackets and their zones escaped (RFC 6874).

    >>> address("fe80::1%eth0", 8000)
    'http://[fe80::1%25eth0]:8000'
    """
    return f"http://{_joined(host, port).replace('%', '%25')}"


def _joined(host: str, port: int) -> str:
    bare = _bare(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _bare(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _run(listener: socket.socket, workers: int) -> None:
    """Serve until SIGINT or SIGTERM; both are the ordinary end."""
    if workers > 1:
        settings = Settings()
        configure_logging(settings.log_level, settings.log_format)
        with _counting(settings) as replaced:
            Workers(workers, _work, listener, replaced).run()
    else:
        _answer(listener, is_worker=False)


@contextmanager
def _counting(settings: Settings) -> Iterator[Callable[[int], None] | None]:
    """A folder where the workers count together, and whom to tell which of them died."""
    if not settings.metrics:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        yield Metrics(Path(folder)).worker_ended


def _work(listener: socket.socket) -> None:
    """What a worker process does."""
    hold_signals()
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent()
    _answer(listener, is_worker=True)


def _answer(listener: socket.socket, *, is_worker: bool) -> None:
    server = DrainingServer("gateway.app:create_app_from_environment", Settings(), is_worker=is_worker)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
        if not server.started:
            raise OperatorError("The gateway could not start: the log says why.")


def _welcome(address: str, sample: SampleHistory) -> str:
    fields = "statusCode callbackDeliveries { statusCode attempts { statusCode } }"
    query = f'{{ batch(id: "{sample.batch_id}") {{ {fields} }} }}'
    credential = f"-H 'Authorization: Bearer {DEMO_TOKEN}'"
    explorer = f"Explorer  {address}/graphql"
    if not explorer_is_bundled():
        explorer += "\n          It needs internet: it was not bundled when the gateway was installed."
    page = (f"Page      {address}/",) if page_is_bundled() else ()
    return "\n".join(
        (
            *page,
            explorer,
            f"Key       {DEMO_TOKEN}",
            f"Batch     {sample.batch_id}",
            "",
            "GraphQL",
            f"  curl -s {address}/graphql {credential} -H 'Content-Type: application/json' \\",
            f"    -d {shlex.quote(json.dumps({'query': query}))}",
            "REST",
            f"  curl -s {address}/v1/batches/{sample.batch_id}/callback {credential}",
            "",
            "Ctrl-C stops the server and removes everything.",
        )
    )
