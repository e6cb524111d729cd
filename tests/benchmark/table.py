"""Tables, on the terminal and as Markdown, with the machine that they were made on."""

import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

WIDTH = 120
console = Console(stderr=True)  # what is under way
output = Console(width=WIDTH)  # what was measured
PACKAGES = ("strawberry-graphql", "graphql-core", "sqlalchemy", "asyncpg", "uvicorn", "fastapi")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A title, a header and rows of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def show(self) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left")
        for place, name in enumerate(self.header):
            table.add_column(name, justify="right" if self._is_number(place) else "left")
        for row in self.rows:
            table.add_row(*row)
        output.print(table)

    def markdown(self) -> str:
        """As Markdown."""
        rule = ["---:" if self._is_number(place) else "---" for place in range(len(self.header))]
        lines = (" | ".join(row) for row in (self.header, rule, *self.rows))
        return f"### {self.title}\n\n" + "".join(f"| {line} |\n" for line in lines)

    def _is_number(self, place: int) -> bool:
        return any(row[place][:1].isdecimal() for row in self.rows)


def publish(sheets: Sequence[Sheet], markdown: Path | None) -> None:
    """Show the sheets, and write them to a file where one is named."""
    for sheet in sheets:
        sheet.show()
    output.print(machine(), highlight=False)
    if markdown is not None:
        command = f"`python -m tests.benchmark {' '.join(sys.argv[1:])}`".replace(" `", "`")
        markdown.write_text("\n".join([f"{command}\n\n{machine()}\n", *(sheet.markdown() for sheet in sheets)]))


def machine() -> str:
    """What all this ran on, in a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{_processor()}, {psutil.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {packages}"
    )


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in known.read_text().splitlines() if line.startswith("model name")]
        if known.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
