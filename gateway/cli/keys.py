"""`gateway keys`: create, list and revoke API keys."""

import sys
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.session import KeysUrl, with_keys
from gateway.viewer import READ
from gateway.writing.api_keys import create_key, list_keys, revoke_key

COLUMNS = ("id", "name", "organization", "scopes", "created", "last used", "revoked")

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)


@app.command("create")
def create(
    organization: Annotated[UUID, typer.Option(help="Whose data the key may see.")],
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it allows; may be repeated; {READ} unless given.")
    ] = None,
    database_url: KeysUrl = None,
) -> None:
    """Make a key and print it. It is shown this once; where it cannot be printed, there is none."""
    with_keys(
        database_url, lambda database: create_key(database, str(organization), name, scope or [READ], shown=_print_now)
    )


def _print_now(token: str) -> None:
    typer.echo(token)
    sys.stdout.flush()


@app.command("list")
def list_(
    organization: Annotated[UUID | None, typer.Option(help="Only the keys of this organization.")] = None,
    database_url: KeysUrl = None,
) -> None:
    """List keys, never their text.

    They are a table, or tab-separated lines where stdout is no terminal.
    """
    wanted = None if organization is None else str(organization)
    rows = [
        (
            key.id,
            " ".join(key.name.split()),
            key.org_id,
            " ".join(key.scopes),
            *(
                "" if time is None else time.isoformat(timespec="seconds")
                for time in (key.created_at, key.last_used_at, key.revoked_at)
            ),
        )
        for key in with_keys(database_url, lambda database: list_keys(database, wanted), must_exist=True)
    ]
    console = Console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


@app.command("revoke")
def revoke(key: Annotated[UUID, typer.Argument(metavar="ID")], database_url: KeysUrl = None) -> None:
    """Make a key useless from now on."""
    with_keys(database_url, lambda database: revoke_key(database, str(key)), must_exist=True)
    typer.echo(f"{key} is revoked")
