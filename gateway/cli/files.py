"""`gateway import` and `gateway export`."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gateway.cli.output import opened
from gateway.cli.session import DatabaseUrl, with_database
from gateway.database.engine import Database
from gateway.execution.exports import Export
from gateway.reading.exporting import export_lines
from gateway.schema.context import Context
from gateway.schema.exports import ExportedList, ExportFormat
from gateway.viewer import READ, READ_SECRETS, Viewer
from gateway.writing.importing import import_file

OrganizationOption = Annotated[UUID, typer.Option(help="Whose data it is.")]


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-05-06 or 2026-05-06T10:00:00Z.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


InstantOption = Annotated[
    datetime | None, typer.Option(parser=_instant, metavar="TIME", help="ISO 8601; UTC unless it says.")
]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not JSON.") from None


def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="`.json`, `.ndjson` or `.jsonl` files, compressed or not; `-` is stdin."
        ),
    ],
    organization: OrganizationOption,
    database_url: DatabaseUrl = None,
) -> None:
    """Import batches or deliveries: a file whole or not at all.

    A .ndjson file has batches, as the export writes them; a .json file has deliveries, as the REST endpoint answers.
    What has no such name, as stdin and pipes, is the one or the other by its first character.
    """

    async def work(database: Database) -> None:
        for path in files:
            with _bar(path.name, _size(path)) as advance:
                added = await import_file(database, path, str(organization), advance)
            typer.echo(
                f"{path}: added {added.batches} batches, {added.deliveries} deliveries, {added.attempts} attempts; "
                f"{added.unchanged} rows were there already"
            )

    with_database(database_url, work)


def export(
    organization: OrganizationOption,
    batch: Annotated[list[UUID] | None, typer.Option(help="Only this batch; may be repeated.")] = None,
    since: InstantOption = None,
    until: InstantOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="What to write to, such as a file, which is replaced when all is there; otherwise stdout."),
    ] = None,
    database_url: DatabaseUrl = None,
    list_: Annotated[
        ExportedList | None,
        typer.Option("--list", help="Instead, the rows of a list as `/exports` has them, for other programs."),
    ] = None,
    filter_: Annotated[
        Any,
        typer.Option("--filter", parser=_json, metavar="JSON", help="Which rows: the list's own filter in GraphQL."),
    ] = None,
    order_by: Annotated[
        Any, typer.Option(parser=_json, metavar="JSON", help="In which order: the list's own `orderBy`.")
    ] = None,
    fields: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="The rows' fields; all but `cursor` if left out.")
    ] = None,
    after: Annotated[str | None, typer.Option(help="The cursor of the row behind which to go on.")] = None,
    form: Annotated[ExportFormat, typer.Option("--format", help="What the rows are written as.")] = ExportFormat.NDJSON,
    secrets: Annotated[bool, typer.Option("--secrets", help="Do not mask credentials in the rows.")] = False,
) -> None:
    """Export batches as the NDJSON that the import takes.

    They are those created in [since, until), of all times unless given. With --list or --filter, the rows of a list
    are exported, deliveries unless it says otherwise, and --batch, --since and --until are not for these.
    """
    batch_ids = [str(id_) for id_ in batch] if batch else None
    of_list = [list_, filter_, order_by, fields, after, secrets or None, form if form is ExportFormat.CSV else None]
    asked: Export | None = None
    if any(option is not None for option in of_list):
        if batch_ids or since or until:
            raise typer.BadParameter("--batch, --since and --until are not for the rows of a list: use --filter.")
        names = None if fields is None else [name.strip() for name in fields.split(",")]
        name = (list_ or ExportedList.DELIVERIES).value
        asked = Export(name, form, filter_, order_by, names, after)

    def pieces(database: Database) -> AsyncIterator[bytes]:
        if asked is None:
            return export_lines(database, str(organization), batch_ids, since, until)
        scopes = frozenset({READ, READ_SECRETS} if secrets else {READ})
        return asked.pieces(Context.of(Viewer(str(organization), scopes, "gateway export"), database))

    async def work(database: Database) -> None:
        with _bar("export", None) as advance, opened(output) as file:
            async for piece in pieces(database):
                file.write(piece)
                advance(len(piece))

    with_database(database_url, work, must_exist=True)


def _size(path: Path) -> int | None:
    """How many bytes will be read, where that is known."""
    return path.stat().st_size if path.is_file() and path.suffix in {".json", ".ndjson", ".jsonl"} else None


@contextmanager
def _bar(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr while it is a terminal; the function is told how many more bytes are done."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)
        yield lambda done: progress.advance(task, done)
