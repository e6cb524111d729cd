"""`gateway count`: the past, counted once, so that statistics of it cost the same however many rows there are."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from asyncpg.exceptions import PostgresError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from gateway.app import counted_database_of, databases_of
from gateway.cli.session import DatabaseUrl, load_settings
from gateway.counting.counter import Counter
from gateway.counting.lease import COMMAND, Lease
from gateway.counting.triggers import is_watched, unwatch_tables, watch_tables
from gateway.database.engine import Database
from gateway.database.migrate import prepare_database, revision
from gateway.database.required import COUNTED_TABLES
from gateway.errors import OperatorError
from gateway.settings import Settings

ROWS_OF_A_LONG_STEP = 20_000  # there are no requests to be held up
ELSEWHERE = "The tables are somebody else's: `gateway doctor` prints the SQL that lets their owner watch them."


def count(
    organization: Annotated[
        list[UUID] | None, typer.Option(help="Only this organization; may be repeated; all unless given.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Count what is counted again, and mend what has changed unnoticed.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget all that is counted, and take the triggers away.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Count the deliveries and attempts of the past, for statistics.

    It can be stopped, and goes on where it was. Gateways with GATEWAY_COUNTING=true keep it true from then on.
    """
    if again and forget:
        raise typer.BadParameter("--again and --forget contradict each other: give one of them.")
    settings = load_settings({"database_url": database_url})
    wanted = [str(id_) for id_ in organization or ()]
    asyncio.run(_with_databases(settings, wanted, again=again, forget=forget))


async def _with_databases(settings: Settings, wanted: list[str], *, again: bool, forget: bool) -> None:
    # Statements of this command may take as long as they like.
    patient = settings.model_copy(update={"deadline_seconds": 3600.0, "counting": True})
    rows, keys = databases_of(patient)
    stored = counted_database_of(patient, rows, keys) or rows
    try:
        await rows.check()
        await prepare_database(stored, COUNTED_TABLES)
        lease = Lease(stored, COMMAND)
        if not await lease.acquire(from_servers=True):
            typer.echo("Another `gateway count` has begun: this one waits for half a minute at the most", err=True)
            if not await lease.outlast(from_servers=True):  # a command that was killed has the lease for ever
                raise OperatorError("Another `gateway count` is at work.")
        try:
            await (_forget if forget else _count)(rows, stored, lease, wanted, again)
        finally:
            await lease.release()
    finally:
        for opened in {rows, keys, stored}:
            await opened.close()


async def _count(rows: Database, stored: Database, lease: Lease, wanted: list[str], again: bool) -> None:
    typer.echo(await _watched(rows))
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[deliveries]:,} deliveries"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        found = 0
        first: int | None = None  # the quarter with which an organization begins

        def advance(_organization: str, start: int, end: int, of: int, deliveries: int) -> None:
            nonlocal found, first
            found += deliveries
            first = start if first is None else first
            progress.update(task, total=of - first, completed=end - first, deliveries=found)

        counter = Counter(rows, stored, lease, rows_of_a_step=ROWS_OF_A_LONG_STEP, advance=advance)
        for id_ in wanted or await counter.rows.organizations():
            first = None
            task = progress.add_task(id_, total=None, deliveries=found)
            await (counter.verify if again else counter.complete)(id_)
            progress.remove_task(task)
    for id_, reason in counter.unable.items():
        typer.echo(f"{id_} cannot be counted, its rows are read: {reason}")
    typer.echo(f"Counted {found:,} deliveries that were not counted before")


async def _watched(rows: Database) -> str:
    """Have the tables watched, if they are the gateway's own; what there is to say of it."""
    if await is_watched(rows):
        return "Deliveries and attempts are watched"
    if await revision(rows) is None:
        return ELSEWHERE
    try:
        await watch_tables(rows)
    except (SQLAlchemyError, PostgresError) as failure:
        reason = " ".join(str(getattr(failure, "orig", None) or failure).split())
        return f"Deliveries and attempts cannot be watched: {reason}"
    return "Deliveries and attempts are watched from now on"


async def _forget(rows: Database, stored: Database, lease: Lease, wanted: list[str], _again: bool) -> None:
    counter = Counter(rows, stored, lease)
    if not wanted and await revision(rows) is not None:
        await unwatch_tables(rows)
    forgotten = wanted or await counter.rows.organizations()
    for id_ in forgotten:
        async with counter.stored.writing(lease.holder) as writer:
            await writer.close_books(id_)
    typer.echo(f"Forgot what was counted of {len(forgotten)} organization{'s' * (len(forgotten) != 1)}")
