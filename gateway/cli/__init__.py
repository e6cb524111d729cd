"""The command line: each command parses, calls and prints. Exit 0 is done, 1 failed with one line, 2 wrong usage.

A command whose reader leaves ends by SIGPIPE, as others in a pipe do.
"""

import logging
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import count, dashboard, doctor, files, keys, schema, server, settings
from gateway.errors import GatewayError

app = typer.Typer(
    name="gateway",
    help="GraphQL and REST over the callback deliveries of a batch platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve", context_settings=server.ANY_SETTING, epilog=server.SETTINGS)(server.serve)
app.command("demo")(server.demo)
app.command("import")(files.import_files)
app.command("export")(files.export)
app.add_typer(keys.keys_app, name="keys")
app.command("migrate")(schema.migrate_command)
app.command("doctor")(doctor.doctor)
app.command("count")(count.count)
app.command("schema")(schema.schema_command)
app.command("dashboard")(dashboard.dashboard)
app.command("settings")(settings.settings)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def gateway(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """GraphQL and REST over the callback deliveries of a batch platform."""


def main() -> None:
    """Run the command line. Whatever goes wrong is one line on stderr; GATEWAY_LOG_LEVEL=DEBUG adds the traceback."""
    logging.getLogger("gateway").addHandler(logging.NullHandler())
    try:
        app(prog_name="gateway")
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # for which Typer has no word of its own
            _end_with_the_reader()
        raise
    except GatewayError as failure:
        _fail(failure.message)
    except OSError as failure:
        _fail(": ".join(str(part) for part in (failure.filename, failure.strerror or failure) if part))
    except Exception as failure:  # noqa: BLE001 - no traceback may reach a user
        _fail(f"{type(failure).__name__}: {getattr(failure, 'orig', None) or failure}")


def _end_with_the_reader() -> None:
    """End as any command in a pipe does whose reader has left: by SIGPIPE, without a word; a shell tells 141."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def _fail(reason: str) -> None:
    if os.environ.get("GATEWAY_LOG_LEVEL", "").upper() == "DEBUG":
        traceback.print_exc()
    line = " ".join(reason.split()).encode(errors="backslashreplace").decode()
    typer.echo(line, err=True)
    try:
        sys.stdout.flush()
    except OSError:  # as has been said: Python would say it again, and end with another status
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
