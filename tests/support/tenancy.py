"""Tenancy is in the SQL: what a test asks of every builder of statements."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as sqlite
from sqlalchemy.sql.visitors import iterate

from gateway.database.types import AnySelect
from tests.support.rows import OURS

DIALECTS: list[Any] = [sqlite(), postgresql()]  # type: ignore[no-untyped-call]


def builders(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The public functions that a module defines."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {name: each for name, each in functions if each.__module__ == module.__name__ and not name.startswith("_")}


def assert_names_organization(statement: AnySelect) -> None:
    """On either dialect, each table that the statement reads is held to the organization."""
    tables = {element for element in iterate(statement) if isinstance(element, Table)}
    for dialect in DIALECTS:
        compiled = statement.compile(dialect=dialect)
        bound = [key for key, value in compiled.params.items() if value == OURS]
        assert str(compiled).count("org_id = ") == len(bound) >= len(tables) >= 1
