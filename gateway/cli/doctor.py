"""`gateway doctor`: what keeps the gateway from reading a database well, and the SQL that mends it.

It writes nothing. `database` compares tables and surroundings, `reading` explains its own statements; here they are
asked in turn and their findings printed.
"""

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.app import counted_database_of, databases_of
from gateway.cli.session import DatabaseUrl, load_settings, require_file
from gateway.database.engine import Database
from gateway.database.migrate import check_revision
from gateway.database.required import KEYS, ROWS, missing
from gateway.doctor.counting import inspect_counting
from gateway.doctor.derivations import inspect_derivations
from gateway.doctor.findings import Finding, Severity, by_severity
from gateway.doctor.server import inspect_replicas, inspect_surroundings
from gateway.doctor.statements import inspect_plans
from gateway.doctor.tables import inspect_tables
from gateway.doctor.values import inspect_values
from gateway.errors import OperatorError, SchemaBehind
from gateway.http.tokens import tokens_of
from gateway.settings import Settings

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def doctor(
    database_url: DatabaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a database lacks, with the SQL that mends it.

    Nothing is written. The exit status is 1 where the gateway cannot serve the database as it is.
    """
    settings = load_settings({"database_url": database_url})
    version, findings = asyncio.run(examine(settings))
    if as_json:
        shown = [
            {"weight": found.weight, "code": found.code, "message": found.message, "sql": list(found.sql)}
            for found in findings
        ]
        typer.echo(json.dumps({"version": version, "findings": shown}, indent=2, ensure_ascii=False))
    else:
        _print(version, findings)
    errors = sum(found.weight is Severity.ERROR for found in findings)
    if errors:
        raise OperatorError(f"{errors} error{'s' * (errors > 1)}: the gateway cannot serve this database as it is.")


async def examine(settings: Settings) -> tuple[str, list[Finding]]:
    """The database's version and all findings, heaviest first; `DatabaseUnavailable` where it does not answer."""
    rows, keys = databases_of(settings)
    stored = counted_database_of(settings, rows, keys)
    for each in (rows, keys, stored or rows):
        require_file(each)
    try:
        version, findings = await _look(rows, settings)
        findings += await inspect_tables(rows, ROWS)
        if keys is rows:
            findings += [_without_keys(found, settings) for found in await inspect_tables(rows, KEYS)]
        else:
            findings += [
                _of_keys(found) for found in [*(await _look(keys, settings))[1], *await inspect_tables(keys, KEYS)]
            ]
        if all(found.weight is not Severity.ERROR for found in findings):
            await missing(rows, ROWS)  # after which optional columns that are not there are known
            findings += await inspect_plans(rows)
            findings += await inspect_values(rows)
            findings += await inspect_derivations(rows)
        findings += await inspect_replicas(rows)
        if stored is not None:
            findings += [_of_counts(found, stored is rows) for found in await inspect_counting(rows, stored)]
    finally:
        for opened in {rows, keys, stored or rows}:
            await opened.close()
    return version, by_severity(list(dict.fromkeys(findings)))  # what is said of rows and of keys is said once


async def _look(database: Database, settings: Settings) -> tuple[str, list[Finding]]:
    await database.check()
    version, findings = await inspect_surroundings(database, settings.deadline_seconds)
    try:
        await check_revision(database)
    except SchemaBehind as behind:
        findings.append(Finding(Severity.ERROR, behind.code, behind.message))
    return version, findings


def _without_keys(found: Finding, settings: Settings) -> Finding:
    """A missing table of keys is no error where tokens let people in."""
    if found.code != "MISSING_TABLE" or tokens_of(settings) is None:
        return found
    return Finding(Severity.INFO, found.code, f"{found.message} Only tokens are accepted.", found.sql)


def _of_keys(found: Finding) -> Finding:
    return Finding(found.weight, found.code, f"In the database of the keys: {found.message}", found.sql)


def _of_counts(found: Finding, with_rows: bool) -> Finding:
    """What counted periods lack keeps nobody from serving: statistics are read from rows."""
    weight = Severity.WARNING if found.weight is Severity.ERROR else found.weight
    where = "" if with_rows or found.code == "UNWATCHED" else "In the database of the counted periods: "
    return Finding(weight, found.code, f"{where}{found.message}", found.sql)


def _print(version: str, findings: list[Finding]) -> None:
    """A table, or a line each where stdout is no terminal; below it the SQL, which is never wrapped."""
    console = Console()
    typer.echo(f"{version}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}")
    if console.is_terminal and findings:
        table = Table("weight", "code", "finding")
        for found in findings:
            table.add_row(Text(found.weight, STYLES[found.weight]), found.code, Text(found.message))
        console.print(table)
    else:
        for found in findings:
            typer.echo(f"{found.weight}\t{found.code}\t{found.message}")
    for found in findings:
        if found.sql:
            typer.echo(f"\n-- {found.weight}: {found.message}")
            for statement in found.sql:
                typer.echo(f"{statement};")
