"""The command line in a process of its own that is forked from one which has imported the gateway already.

It has its own session, signals, output and exit status, as if a shell had started it, without the second that imports
take. `commands.command` starts one from nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Thread
from unittest.mock import patch

from gateway.cli import main

ROOT = Path(__file__).parents[2]
FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(["gateway.cli", "tests.support.forked"])


class Forked:
    """`gateway` with these arguments, in this folder and environment; all that it prints is kept as it comes."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._said = {1: b"", 2: b""}
        self._streams = len(self._said)
        self._news = Condition()
        ours, theirs = zip(*(FORKING.Pipe(duplex=False) for _ in self._said), strict=True)
        self._process = FORKING.Process(target=_become, args=(str(folder), arguments, dict(environment), *theirs))
        # So that it finds this module, and does not first run the program that runs the tests.
        with (
            patch.object(sys, "path", [*sys.path, str(ROOT)]),
            patch.object(sys.modules["__main__"], "__file__", None, create=True),
        ):
            self._process.start()
        for end in theirs:
            end.close()
        self._readers = [Thread(target=self._read, args=each) for each in zip(self._said, ours, strict=True)]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group, too."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, that of a signal negative, or None while it runs."""
        return self._process.exitcode

    @property
    def output(self) -> str:
        """What it has printed to stdout by now."""
        return self._said[1].decode()

    @property
    def errors(self) -> str:
        """What it has printed to stderr by now."""
        return self._said[2].decode()

    def has_said(self, text: str, seconds: float) -> str:
        """What stands before the end of the first line with some text in it, once that is there, or all at its end."""
        until = time.monotonic() + seconds
        with self._news:
            while not (found := _up_to(text, self.output) or _up_to(text, self.errors)) and self._streams:
                self._news.wait(max(0, until - time.monotonic()))
                assert time.monotonic() < until, f"{text} is not said: {self.output}{self.errors}"
        return found or self.output + self.errors

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"it does not end: {self.output}{self.errors}"
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it has printed to stdout and to stderr, once it has ended."""
        self.wait(timeout)
        for reader in self._readers:
            reader.join()
        return self.output, self.errors

    def send_signal(self, number: int) -> None:
        """Tell it something, if it has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read(self, stream: int, end: Connection) -> None:
        with end:
            while chunk := os.read(end.fileno(), 1 << 16):
                with self._news:
                    self._said[stream] += chunk
                    self._news.notify_all()
        with self._news:
            self._streams -= 1
            self._news.notify_all()


def _up_to(text: str, said: str) -> str:
    """Its beginning up to the end of the line in which that text stands first, once there is that end."""
    end = said.find("\n", said.find(text)) + 1 if text in said else 0
    return said[:end]


def _become(
    folder: str, arguments: tuple[str, ...], environment: dict[str, str], output: Connection, errors: Connection
) -> None:
    os.setsid()
    os.chdir(folder)
    for connection, stream in ((output, 1), (errors, 2)):
        os.dup2(connection.fileno(), stream)
        connection.close()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["gateway", *arguments]
    main()
