"""What commands share: the settings, whose variables may be repeated as flags, and a database that is ready."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from gateway.database.engine import Database
from gateway.database.migrate import prepare
from gateway.errors import OperatorError
from gateway.settings import Settings

T = TypeVar("T")
DatabaseUrl = Annotated[str | None, typer.Option(help="Where the rows live; otherwise GATEWAY_DATABASE_URL.")]


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


def with_database(database_url: str | None, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do some work on the database, whose schema is made ready first."""
    settings = load_settings({"database_url": database_url})

    async def run() -> T:
        database = Database(settings.database_url, settings.database_pool_size)
        try:
            await prepare(database)
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
