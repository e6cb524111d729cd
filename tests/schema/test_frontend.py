"""The schema under a frontend's tools: relay-compiler, graphql-codegen with tsc, graphql-eslint, graphql-inspector."""

import re
import shutil
from pathlib import Path

import pytest

from gateway.schema.query import sdl
from tests.support import npm

SOURCES = Path(__file__).parent / "frontend"
GALLERY = Path(__file__).parents[2] / "gateway" / "http" / "explorer" / "gallery"
UNMAPPED = "scalar Colour\n\nextend type Query {\n  colour: Colour\n}\n"


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return npm.packages(SOURCES, pytestconfig)


@pytest.fixture
def frontend(packages: Path, tmp_path: Path) -> Path:
    """The frontend's sources, the explorer's questions and the schema as it is now."""
    folder = npm.project(SOURCES, packages, tmp_path)
    (folder / "schema.graphql").write_text(sdl(), encoding="utf-8")
    shutil.copytree(GALLERY, folder / "gallery")
    return folder


def extend(folder: Path, definitions: str) -> None:
    """Add to the schema what it does not have."""
    (folder / "schema.graphql").write_text(f"{sdl()}\n{definitions}", encoding="utf-8")


def test_relay_compiles_a_refetchable_connection_and_refetches_by_node(frontend: Path) -> None:
    compiled = npm.run(frontend, "relay-compiler", "--noWatchman", "relay.config.json")
    assert compiled.returncode == 0, compiled.stdout
    made = {path.name.partition(".")[0] for path in (frontend / "relay" / "__generated__").iterdir()}
    assert made >= {"DeliveriesPagePaginationQuery", "DeliveriesPageDeliveryQuery", "DeliveriesPageBatchQuery"}
    checked = npm.run(frontend, "tsc", "--project", "relay")
    assert (checked.stdout, checked.returncode) == ("", 0)


def test_relay_has_a_type_for_every_scalar(frontend: Path) -> None:
    extend(frontend, UNMAPPED)
    query = "export const page = graphql`query DeliveriesPageQuery { colour }`;"
    (frontend / "relay" / "DeliveriesPage.ts").write_text(query, encoding="utf-8")
    (frontend / "relay" / "Anything.ts").unlink()
    compiled = npm.run(frontend, "relay-compiler", "--noWatchman", "relay.config.json")
    assert compiled.returncode != 0
    assert "Expected the JS type for 'Colour'" in compiled.stdout


def test_codegen_types_the_deliveries_page_and_every_question_of_the_explorer(frontend: Path) -> None:
    generated = npm.run(frontend, "graphql-codegen", "--config", "codegen.ts")
    assert generated.returncode == 0, generated.stdout
    documents = "".join(path.read_text(encoding="utf-8") for path in frontend.glob("gallery/*.graphql"))
    types = (frontend / "generated" / "graphql.ts").read_text(encoding="utf-8")
    names = re.findall(r"^(?:query|mutation) (\w+)", documents, re.MULTILINE)
    assert names
    assert [name for name in names if f"export const {name}Document" not in types] == []
    checked = npm.run(frontend, "tsc", "--project", "client")
    assert (checked.stdout, checked.returncode) == ("", 0)


def test_codegen_has_a_type_for_every_scalar(frontend: Path) -> None:
    extend(frontend, UNMAPPED)
    generated = npm.run(frontend, "graphql-codegen", "--config", "codegen.ts")
    assert generated.returncode != 0
    assert "Unknown scalar type Colour" in generated.stdout


def test_tsc_refuses_a_scalar_used_as_what_it_is_not(frontend: Path) -> None:
    npm.run(frontend, "graphql-codegen", "--config", "codegen.ts")
    usage = 'import type { Batch } from "../generated/schema";\nexport const at = (it: Batch): Date => it.createdAt;'
    (frontend / "client" / "usage.ts").write_text(usage, encoding="utf-8")
    checked = npm.run(frontend, "tsc", "--project", "client")
    assert checked.returncode != 0
    assert "Type 'string' is not assignable to type 'Date'" in checked.stdout


def test_the_schema_has_no_lint(frontend: Path) -> None:
    linted = npm.run(frontend, "eslint", "schema.graphql")
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_lint_finds_what_is_not_allowed(frontend: Path) -> None:
    extend(frontend, "type lower_case {\n  name: String\n}\n")
    linted = npm.run(frontend, "eslint", "schema.graphql")
    found = {"naming-convention", "no-unreachable-types", "require-description", "strict-id-in-types"}
    assert set(re.findall(r"@graphql-eslint/(\S+)", linted.stdout)) == found


def test_every_exception_of_lint_is_needed() -> None:
    config = (SOURCES / "eslint.config.js").read_text(encoding="utf-8")
    exceptions = re.findall(r'^ {10}"(\w+)",', config, re.MULTILINE)
    assert exceptions
    assert [name for name in exceptions if not re.search(rf"^type \w*{name} {{", sdl(), re.MULTILINE)] == []


def test_the_schema_breaks_no_client_of_the_baseline(frontend: Path) -> None:
    # The baseline is renewed by `gateway schema > tests/frontend/baseline.graphql`: with each release, so that what it
    # added is kept from then on, and where breaking a client is meant.
    compared = npm.run(frontend, "graphql-inspector", "diff", "baseline.graphql", "schema.graphql")
    assert compared.returncode == 0, compared.stdout


def test_a_renamed_field_is_a_breaking_change(frontend: Path) -> None:
    renamed = sdl().replace("  signingSecretId: ID\n", "  signingKeyId: ID\n")
    (frontend / "schema.graphql").write_text(renamed, encoding="utf-8")
    compared = npm.run(frontend, "graphql-inspector", "diff", "baseline.graphql", "schema.graphql")
    assert compared.returncode == 1
    assert "Field signingSecretId was removed from object type BatchCallbackDelivery" in compared.stdout
