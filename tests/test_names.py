"""A public name stands for one thing in the whole package, so that it can be searched for."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "gateway"
# Words of a library or of a pattern that each module has by itself, and what two rooms call so because clients do.
TWICE = {
    "Change",  # of a row, as it is read; as a watcher is told of it
    "Cursor",  # GraphQL's scalar; the place of a stream
    "DIST",  # the bundles of the explorer and of the page
    "FOLDER",
    "Outcome",  # of an operation; of a redelivery
    "POLICY",
    "Refusal",  # by the platform; by the demo's
    "Row",
    "encode",
    "router",
}
TYPE_VARIABLES = ("TypeVar", "ParamSpec")


def public_names(module: ast.Module) -> Iterator[str]:
    """What a module defines at its top, type variables and loggers apart."""
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign) and not (
            isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in (*TYPE_VARIABLES, "logging.getLogger")
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_a_public_name_is_defined_once() -> None:
    places = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        if "migrations" not in path.parts and path.name != "build.py":  # scripts that stand alone
            for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
                if not name.startswith("_"):
                    places[name].add(str(path.relative_to(PACKAGE)))
    twice = {name: sorted(where) for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in TWICE} == {}
    assert set(twice) == TWICE, "a name that is defined once by now goes from the list"
    assert len(TWICE) <= 10
