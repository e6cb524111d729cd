"""What commands share: the settings, whose variables may be repeated as flags, and a database that is ready."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.database.migrate import prepare_database
from gateway.database.required import KEYS, ROWS
from gateway.errors import DatabaseUnavailable, OperatorError
from gateway.settings import DatabaseSettings, Settings

T = TypeVar("T")
DatabaseUrl = Annotated[str | None, typer.Option(help="Where the rows live; otherwise GATEWAY_DATABASE_URL.")]
KeysUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        help="Where the keys live; otherwise GATEWAY_OWN_DATABASE_URL, and without it GATEWAY_DATABASE_URL.",
    ),
]


def load_settings(flags: Mapping[str, str | None]) -> Settings:
    """The settings, those given as flags put into the environment first, where worker processes find them too.

    A wrong flag is wrong usage; a wrong variable raises `OperatorError`. Both are named.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    os.environ.update({variable(name): value for name, value in given.items()})
    try:
        return Settings()
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        name, *inside = (str(key) for key in error["loc"])
        problem = f"{'.'.join((variable(name), *inside))}: {error['msg'][:1].lower()}{error['msg'][1:]}"
        if name in given:
            raise typer.BadParameter(problem) from invalid
        raise OperatorError(problem) from invalid
    except SettingsError as unreadable:
        raise OperatorError(str(unreadable)) from unreadable


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"GATEWAY_{name.upper()}"


def with_database(database_url: str | None, work: Callable[[Database], Awaitable[T]], *, must_exist: bool = False) -> T:
    """Do some work on the database of the rows, whose schema is made ready first.

    An SQLite file that is not there is made, unless it `must_exist`: then it is `DatabaseUnavailable`.
    """
    settings = load_settings({"database_url": database_url})
    return _with(settings, settings.database_url, ROWS, work, must_exist)


def with_keys(database_url: str | None, work: Callable[[Database], Awaitable[T]], *, must_exist: bool = False) -> T:
    """The same, on the database of the API keys."""
    settings = load_settings({"database_url": database_url})
    elsewhere = None if database_url else settings.keys_url
    return _with(settings, elsewhere or settings.database_url, KEYS, work, must_exist)


def opened_database(settings: DatabaseSettings, url: str) -> Database:
    """The database at a URL that is one of the settings'; that of the keys is in no schema that they name."""
    if url == settings.keys_url:
        return Database(url, settings.of_own, setting=settings.keys_setting)
    if url == settings.counted_url:
        return Database(url, settings.of_own, setting=variable("own_database_url"))
    return Database(url, settings.of_primary)


def require_file(database: Database) -> None:
    """Raise `DatabaseUnavailable` where an SQLite database is not there: opening it would make one."""
    file = database.address.file
    if file is not None and not file.exists():
        raise DatabaseUnavailable(f"There is no database {file}.")


def _with(
    settings: Settings, url: str, tables: Sequence[Table], work: Callable[[Database], Awaitable[T]], must_exist: bool
) -> T:
    async def run() -> T:
        database = opened_database(settings, url)
        try:
            if must_exist:
                require_file(database)
            await prepare_database(database, tables)
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
