"""What README and the READMEs of the rooms say holds: documents run, tables name what there is, links lead on."""

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import gateway
from gateway.cli import app
from gateway.database.engine import Database
from gateway.http.explorer import gallery
from gateway.settings import Settings
from tests.support.asking import DOCUMENTS as CHECKED
from tests.support.asking import data, statements
from tests.support.commands import run
from tests.support.documentation import README, ROOT, documents, headings, links, page, pages
from tests.support.rows import history, identifier, replace

DOCUMENTS: dict[str, str] = {question.name: question.query for question in gallery()} | documents()
SET_UP = """\
```sh
python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/gateway demo
```

```sh
python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest
```
"""
LINES = 200
FILE = re.compile(r"(?<![\w/.-])(?:\w+/)+\w+\.(?:graphql|md|png|py)\b")
PARENTS = (ROOT, ROOT / "gateway", ROOT / "tests")  # from which a page may name a file, beside its own folder
RECIPES = page(README).split("\n## Five recipes")[-1].split("\n## ")[0].split("\n\n**")[1:]


def _variables(text: str) -> dict[str, Any]:
    if "$id: ID!" not in text:
        return {}
    return {"id": identifier(0xBA, 1) if "batch(id" in text else identifier(0xDE, 0)}


SUBSCRIPTIONS = {name for name, document in DOCUMENTS.items() if re.search(r"^subscription\b", document, re.MULTILINE)}


@pytest.mark.parametrize("name", sorted(SUBSCRIPTIONS))
def test_a_subscription_fits_the_schema(name: str) -> None:
    checked = CHECKED.check(DOCUMENTS[name])
    assert not checked.errors
    assert all(operation.cost.of({}) < 1_000 for operation in checked.operations.values())


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in SUBSCRIPTIONS])
async def test_a_document_costs_the_same_for_1_10_and_100_rows(database: Database, name: str) -> None:
    counts = []
    for count in (1, 10, 100):
        await replace(database, history(count))
        with statements(database) as seen:
            await data(database, DOCUMENTS[name], **_variables(DOCUMENTS[name]))
        counts.append(len(seen))
    assert counts == counts[:1] * 3


def test_there_are_documents() -> None:
    written = {"README.md 0", *(f"gateway/schema/README.md {n}" for n in (0, 1)), "gateway/execution/README.md 0"}
    assert {"TheDeliveriesPage", "AnInvestigation", *written} <= set(DOCUMENTS)


async def test_the_document_that_is_traced_is_three_statements(database: Database) -> None:
    await replace(database, history(3))
    with statements(database) as seen:
        await data(database, DOCUMENTS["gateway/execution/README.md 0"])
    assert len(seen) == 3


def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(page(README).splitlines()) <= LINES
    assert SET_UP in page(README).split("\n## ")[0]


def test_readme_leads_to_every_page() -> None:
    assert set(pages()) - {README} <= {path for path, _ in links(page(README))}


@pytest.mark.parametrize("name", pages())
def test_links_lead_to_files_and_headings(name: str) -> None:
    lost = []
    for path, heading in links(page(name)):
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (heading and heading not in headings(target.read_text(encoding="utf-8"))):
            lost.append((path, heading))
    assert lost == []


@pytest.mark.parametrize("name", pages())
def test_files_that_a_page_names_are_there(name: str) -> None:
    named = set(FILE.findall(page(name)))
    parents = (*PARENTS, (ROOT / name).parent)
    assert {path for path in named if not any((parent / path).exists() for parent in parents)} == set()


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.split("**")[0] for recipe in RECIPES])
def test_a_recipe_names_its_files_and_its_tests(recipe: str) -> None:
    change, _, test = recipe.partition("\nTest: `pytest ")
    assert [path for path in FILE.findall(change) if path.startswith("gateway/")]
    assert FILE.findall(test) == test.strip().rstrip("`").split()


def test_there_are_five_recipes() -> None:
    assert [recipe.split("**")[0] for recipe in RECIPES] == ["A filter", "A field", "A list", "A setting", "A limit"]


def test_the_table_of_settings_is_what_the_command_prints(tmp_path: Path) -> None:
    status, printed, _ = run(tmp_path, "settings", GATEWAY_PROFILE="development", GATEWAY_MAX_DEPTH="3")
    assert status == 0
    rows = [line for line in page("gateway/cli/README.md").splitlines() if line.startswith("| `GATEWAY_")]
    assert printed.splitlines()[2:] == rows


def test_the_table_of_settings_shows_each_default_as_a_person_writes_it(tmp_path: Path) -> None:
    _, printed, _ = run(tmp_path, "settings")
    rows = {line.split("`")[1]: line.split(" | ")[1] for line in printed.splitlines()[2:]}
    assert list(rows) == [f"GATEWAY_{name.upper()}" for name in Settings.model_fields]
    assert rows["GATEWAY_MAX_COST"] == "1,100,000"
    assert rows["GATEWAY_MAX_DEPTH"] == "12; in development 20"
    assert rows["GATEWAY_LOG_FORMAT"] == "`json`; in development `text`"
    assert rows["GATEWAY_JWT_ALGORITHMS"] == "RS256, ES256, EdDSA"
    assert rows["GATEWAY_JWT_ISSUER"] == rows["GATEWAY_CORS_ORIGINS"] == rows["GATEWAY_JWT_ROLE_SCOPES"] == "none"


def test_every_command_stands_in_the_table() -> None:
    commands: Any = get_command(app)
    named = {
        f"{name} {inner}" if inner else name
        for name, command in commands.commands.items()
        for inner in getattr(command, "commands", {"": None})
    }
    table = re.findall(r"^\| `gateway ((?:keys )?[a-z]+)", page("gateway/cli/README.md"), re.MULTILINE)
    assert {match.strip() for match in table} == named


def test_the_picture_is_the_package() -> None:
    picture = page(README).split("## The house")[1].split("```")[1]
    package = Path(gateway.__file__).parent
    rooms = {path.stem for path in package.rglob("*.py")} - {"__init__", "build", "env"}
    rooms = {room for room in rooms if not room[:4].isdecimal()}  # migrations
    assert {room for room in rooms if not re.search(rf"(^|[\s(]){room}/?[\s)]", picture)} == set()


def test_decisions_name_what_decides() -> None:
    table = page("gateway/rest/README.md").split("## Where the contract is silent")[1]
    module: Any = None
    for name in re.findall(r"`([\w./]+)`", " ".join(re.findall(r" \| ([^|]+) \|$", table, re.MULTILINE))):
        if name.islower() and (ROOT / f"gateway/{name}.py").exists():
            module = import_module(f"gateway.{name.replace('/', '.')}")
        else:
            assert attrgetter(name)(module) is not None
