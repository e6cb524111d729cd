"""Many objects of one type at once: where the fields of a selection take their columns from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.database.statements import CompiledStatement
from gateway.database.types import AnyRow
from gateway.execution.plan.columns import Values
from gateway.reading.pages import Page
from gateway.schema.connections import Connection


class RowBatch:
    """Rows, as the driver returned them. `column` gives the values of one column by its name; where
    they may be `whatever`, also those that are not what their column says."""

    def __init__(self, prepared: CompiledStatement, rows: Sequence[Sequence[Any]], *, whatever: bool = False) -> None:
        self.size = len(rows)
        self._prepared = prepared
        self._rows = rows
        self._columns = prepared.whatever(rows) if whatever else prepared.columns(rows)
        self.column: Callable[[str], Values] = self._columns.__getitem__

    def rows(self) -> Sequence[AnyRow]:
        """The rows one by one, with all their columns."""
        return self._prepared.rows(self._rows)


class DictBatch:
    """Rows with their columns by name."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.size = len(rows)
        self._rows = rows

    def column(self, name: str) -> Values:
        """The values of one column."""
        return [row[name] for row in self._rows]


class ObjectBatch:
    """Python's objects."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self.size = len(objects)
        self.objects = objects

    def column(self, name: str) -> Values:
        """The values of one attribute."""
        return [getattr(each, name) for each in self.objects]


class PageBatch(ObjectBatch):
    """A connection, and the page that it shows."""

    def __init__(self, connection: Connection[Any], rows: RowBatch, page: Page) -> None:
        super().__init__([connection])
        self.rows = rows
        self.page = page
        self.question = connection.question
        self.cursors = connection.cursors

    def cursors_of(self, indexes: Iterable[int]) -> list[str]:
        """The cursors of some rows of the page."""
        order, columns = self.question.order, self.question.table.c
        values, ids = self.rows.column(order.column), self.rows.column("id")
        return [self.cursors.encode(order.place(columns, values[index], ids[index])) for index in indexes]


class EdgeBatch:
    """The edges of a page: the place of each row, and the row."""

    def __init__(self, page: PageBatch) -> None:
        self.size = page.rows.size
        self.page = page

    def column(self, name: str) -> Values:
        """The cursors; an edge has no other values."""
        if name != "cursor":
            raise KeyError(name)
        return self.page.cursors_of(range(self.size))


Batch = RowBatch | DictBatch | ObjectBatch | EdgeBatch
