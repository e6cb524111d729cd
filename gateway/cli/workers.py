"""Processes that serve together."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from threading import Thread

from gateway.errors import OperatorError
from gateway.http.uvicorn_internals import STARTUP_FAILURE

logger = logging.getLogger(__name__)

SIGNALS_TO_WORKERS = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_END = 1.0  # before a process is told again
SECONDS_TO_REPLACE = 0.5  # a worker; where none can live, they would be started without end and take a core


class Workers:
    """The supervisor of the server processes on one socket. It replaces one that dies, until a signal ends them all.

    It passes the first signal on as it is; another one ends them at once. `replaced` is told the id of each that died.

    uvicorn's `supervisors.Multiprocess` would do, but for three things: it wakes twice a second to ping each worker,
    where this one sleeps until a process ends or a signal comes; its workers outlive a parent that is killed; and it
    calls nobody when one died, whose counts must be kept. What it has beyond this is not wanted here: a worker that
    hangs fails its `/healthz`, which balancers and orchestrators watch, and a rolling restart is theirs as well.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[socket.socket], None],
        listener: socket.socket,
        replaced: Callable[[int], None] | None = None,
    ) -> None:
        self.count = count
        self.work = work
        self.listener = listener
        self.replaced = replaced
        self._processes: list[SpawnProcess] = []
        self._ending = False

    def run(self) -> None:
        """Work until a signal; `OperatorError` where a process could not even start, as the next could not either."""
        could_start = True
        signals = _arriving_signals()
        for _ in range(self.count):
            self._start()
        while self._processes:
            if signals in wait([signals, *(process.sentinel for process in self._processes)]):
                for sig in signals.recv(1):
                    self._end(sig)
            for process in [process for process in self._processes if process.exitcode is not None]:
                self._processes.remove(process)
                if process.exitcode == STARTUP_FAILURE and not self._ending:
                    could_start = False
                    self._end(signal.SIGTERM)
                elif not self._ending:
                    logger.error("worker %s ended with status %s: replaced", process.pid, process.exitcode)
                    if self.replaced is not None and process.pid is not None:
                        self.replaced(process.pid)
                    wait([signals], SECONDS_TO_REPLACE)
                    self._start()
        if not could_start:
            raise OperatorError("The gateway could not start: the log says why.")

    def _start(self) -> None:
        process = get_context("spawn").Process(target=self.work, args=(self.listener,), daemon=True)
        process.start()
        self._processes.append(process)

    def _end(self, sig: int) -> None:
        self.listener.close()  # the workers have their own
        for process in self._processes:
            if process.pid is not None and process.exitcode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL if self._ending else sig)
        self._ending = True


def end_with_parent() -> None:
    """End this process, in order, when the one that started it is gone."""
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            while True:  # a signal may come to nothing: an exception that it raises is lost in some places
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(SECONDS_TO_END)

        Thread(target=follow, daemon=True).start()


def _arriving_signals() -> socket.socket:
    """A socket on which each signal from now on is a byte, so that nothing is interrupted by it."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for sig in SIGNALS_TO_WORKERS:
        signal.signal(sig, lambda *_: None)
    signal.set_wakeup_fd(writer.detach())
    return reader
