"""What the README says holds: its documents run, its tables name what there is, its picture is the package."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import gateway
from gateway.cli import app
from gateway.database.engine import Database
from gateway.http.explorer import gallery
from gateway.settings import Profile, Settings
from tests.support.asking import data, statements
from tests.support.rows import history, identifier, replace

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
DOCUMENTS: dict[str, str] = {question.name: question.query for question in gallery()}
DOCUMENTS |= {f"README {n}": text for n, text in enumerate(re.findall(r"```graphql\n(.*?)```", README, re.DOTALL))}


def _variables(text: str) -> dict[str, Any]:
    if "$id: ID!" not in text:
        return {}
    return {"id": identifier(0xBA, 1) if "batch(id" in text else identifier(0xDE, 0)}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_costs_the_same_for_1_10_and_100_rows(database: Database, name: str) -> None:
    counts = []
    for count in (1, 10, 100):
        await replace(database, history(count))
        with statements(database) as seen:
            await data(database, DOCUMENTS[name], **_variables(DOCUMENTS[name]))
        counts.append(len(seen))
    assert counts == counts[:1] * 3


def test_there_are_documents() -> None:
    assert {"TheDeliveriesPage", "AnInvestigation", "README 0", "README 1"} <= set(DOCUMENTS)


def _shown(value: Any) -> str:
    """A default as the table writes it."""
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:,}" if isinstance(value, int) else f"{value:g}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_stands_in_the_table_with_its_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"GATEWAY_{name.upper()}", raising=False)
    default, otherwise = (_shown(getattr(Settings(profile=profile), name)) for profile in Profile)
    if default != otherwise and name != "profile":
        default = f"{default}; in development {otherwise}"
    description = " ".join((Settings.model_fields[name].description or "").split())
    assert f"| `GATEWAY_{name.upper()}` | {default} | {description} |" in README.splitlines()


def test_the_table_names_no_setting_that_is_not() -> None:
    named = set(re.findall(r"^\| `GATEWAY_([A-Z_]+)` \|", README, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_command_stands_in_the_table() -> None:
    commands: Any = get_command(app)
    named = {
        f"{name} {inner}" if inner else name
        for name, command in commands.commands.items()
        for inner in getattr(command, "commands", {"": None})
    }
    assert {match.strip() for match in re.findall(r"^\| `gateway ((?:keys )?[a-z]+)", README, re.MULTILINE)} == named


def test_the_picture_is_the_package() -> None:
    picture = README.split("## The house")[1].split("```")[1]
    package = Path(gateway.__file__).parent
    rooms = {path.stem for path in package.rglob("*.py")} - {"__init__", "build", "env"}
    rooms = {room for room in rooms if not room[:4].isdecimal()}  # migrations
    assert {room for room in rooms if not re.search(rf"(^|\s){room}/?\s", picture)} == set()
