"""Columns that a database may lack: read as null in every row.

A table without some of them stands in a statement as the subquery that has them, `(SELECT id, …, CAST(NULL AS JSON) AS
links FROM batches) AS batches`. Both databases dissolve it: they find rows by the same indexes as in the table itself.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.database.backends import traits_of

Lacking = Mapping[str, frozenset[str]]
"""Names of the columns that are not there, by the table's name."""


def is_optional(column: Column[Any]) -> bool:
    """Whether the gateway serves without it."""
    return bool(column.info.get("optional"))


def read_as_null(dialect: Dialect, lacking: Lacking) -> None:
    """From now on, what is compiled for this dialect reads null for the columns that are not there."""
    plain: type[SQLCompiler] = getattr(dialect.statement_compiler, "plain", dialect.statement_compiler)

    class WithoutColumns(plain):  # type: ignore[misc, valid-type]
        """Compiles a table that lacks columns as a subquery that has them."""

        def visit_table(self, table: Table, asfrom: bool = False, iscrud: bool = False, **options: Any) -> str:
            text: str = super().visit_table(table, asfrom=asfrom, iscrud=iscrud, **options)
            missing = lacking.get(table.name)
            if not missing or not asfrom or iscrud:
                return text
            columns = [
                f"CAST(NULL AS {column.type.compile(dialect)}) AS {self.preparer.format_column(column)}"
                if column.name in missing
                else self.preparer.format_column(column)
                for column in table.c
            ]
            if (address := traits_of(dialect).row_address) is not None:
                columns.append(address)  # by which the first rows of parents are found
            rows = f"(SELECT {', '.join(columns)} FROM {text})"  # noqa: S608
            return (
                rows
                if getattr(options.get("enclosing_alias"), "element", None) is table
                else f"{rows} AS {self.preparer.format_table(table)}"
            )

    WithoutColumns.plain = plain
    dialect.statement_compiler = WithoutColumns if lacking else plain
