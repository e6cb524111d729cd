"""The page's sources under their own tools: the types of its documents, the compiler, the linter, its logic's tests."""

import shutil
from pathlib import Path

import pytest

from gateway import page
from gateway.schema.query import sdl
from tests.support import npm

LOGIC = Path(__file__).parent / "logic"
FRONTEND = Path(__file__).parents[1] / "schema" / "frontend"
BUNDLED = (
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--jsx=automatic",
    "--loader:.graphql=text",
    "--outdir=made",
    "--out-extension:.js=.mjs",
)
LARGEST_SCRIPT = 200 * 1024  # bytes, compressed


@pytest.fixture(scope="module")
def sources(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the page's sources with its packages, and the tests of its logic."""
    place = npm.project(page.FOLDER, npm.packages(page.FOLDER, pytestconfig), tmp_path_factory.mktemp("sources"))
    shutil.copytree(LOGIC, place / "logic")
    return place


def test_the_types_fit(sources: Path) -> None:
    checked = npm.run(sources, "tsc")
    assert (checked.stdout, checked.returncode) == ("", 0)


def test_there_is_no_lint(sources: Path) -> None:
    checked = npm.run(sources, "biome", "ci", "--colors=off", ".")
    assert checked.returncode == 0, checked.stdout


def test_the_logic_holds(sources: Path) -> None:
    tests = sorted(each.stem for each in LOGIC.glob("*.test.ts"))
    made = npm.run(sources, "esbuild", *(f"logic/{each}.ts" for each in tests), *BUNDLED)
    assert made.returncode == 0, made.stdout
    for each in tests:
        assert "# fail 0" in npm.node(page.FOLDER, sources, "--test", "--test-reporter=tap", f"made/{each}.mjs")


def test_the_first_load_is_small(sources: Path) -> None:
    npm.node(page.FOLDER, sources, "bundle.js")
    [script] = (sources / "dist").glob("page-*.js")
    compressed = npm.node(
        page.FOLDER,
        sources,
        "--print",
        f"require('zlib').gzipSync(require('fs').readFileSync({str(script)!r})).length",
    )
    assert int(compressed) < LARGEST_SCRIPT


def test_the_types_of_the_documents_are_those_that_codegen_makes(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    folder = npm.project(FRONTEND, npm.packages(FRONTEND, pytestconfig), tmp_path)
    (folder / "schema.graphql").write_text(sdl(), encoding="utf-8")
    shutil.copytree(page.DOCUMENTS, folder / "documents")
    made = npm.run(folder, "graphql-codegen", "--config", "page.ts")
    assert made.returncode == 0, made.stdout
    assert (folder / "generated" / "operations.ts").read_text() == (page.FOLDER / "src" / "operations.ts").read_text()
