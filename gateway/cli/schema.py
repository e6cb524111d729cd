"""`gateway migrate`, for the database's schema, and `gateway schema`, for GraphQL's."""

import asyncio
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.session import DatabaseUrl, load_settings, opened_database
from gateway.database import migrate as migrations
from gateway.errors import OperatorError
from gateway.schema.query import sdl

SHOWN_LINES = 40


def migrate_command(database_url: DatabaseUrl = None) -> None:
    """Bring the database's schema to the one this version needs."""
    settings = load_settings({"database_url": database_url})

    async def work() -> None:
        database = opened_database(settings, settings.database_url)
        try:
            await migrations.migrate(database)
        finally:
            await database.close()

    asyncio.run(work())
    typer.echo("The database's schema is current")


def schema_command(
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with this file instead.")] = None,
) -> None:
    """Print the GraphQL schema, or compare it with a file's."""
    printed = sdl()
    if check is None:
        typer.echo(printed, nl=False)
        return
    try:
        held = check.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise OperatorError(f"{check}: it cannot be read: {getattr(failure, 'strerror', None) or failure}") from failure
    if held != printed:
        difference = unified_diff(held.splitlines(), printed.splitlines(), str(check), "this version", lineterm="", n=1)
        typer.echo("\n".join(islice(difference, SHOWN_LINES)), err=True)
        raise OperatorError(f"{check} is not the schema of this version: gateway schema > {check}")
