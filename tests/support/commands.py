"""The command line in tests: within this process, in one that is forked, or in one of its own, which takes a second."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import psutil

from gateway.cli import main
from tests.support.forked import Forked

SECONDS = 60  # that no command needs


def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """The exit status of a command in that folder, and what it printed to stdout and to stderr.

    It runs here, in a thread with an event loop of its own, and so does a server that fails before it serves: nothing
    sends it a signal, for which it would have to be in the main thread.
    """
    status: list[int] = []
    printed = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]

    def call() -> None:
        try:
            main()
        except SystemExit as end:
            status.append(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)

    with (
        chdir(folder),
        patch.dict(os.environ, environment(folder, variables) | {"COLUMNS": "80"}, clear=True),
        patch.object(sys, "argv", ["gateway", *arguments]),
        redirect_stdout(printed[0]),
        redirect_stderr(printed[1]),
        patch.object(signal, "signal"),
    ):
        thread = Thread(target=call, daemon=True)
        thread.start()
        thread.join(SECONDS)
    output, errors = (stream.buffer.getvalue().decode() for stream in printed)
    assert status, f"gateway {' '.join(arguments)} does not end: {errors}"
    return status[0], output, errors


def run_alone(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """The same as a shell does it."""
    process = command(folder, *arguments, **variables)
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def command(folder: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """The process of a command, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env=environment(folder, variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its settings, with others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**own, "TMPDIR": str(folder), **variables}


@contextmanager
def running(folder: Path, *arguments: str, first: str, **variables: str) -> Iterator[tuple[Forked, str]]:
    """A server, and what it printed up to the first line with some text in it."""
    process = Forked(folder, arguments, environment(folder, variables))
    try:
        yield process, process.has_said(first, SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever outlived it, which would keep the pipes open
        process.communicate(SECONDS)


def has_ended(process: psutil.Process) -> bool:
    """Whether it ends soon; where nobody asks for its status, as in a container, something of it stays."""
    until = time.monotonic() + SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
    return True
