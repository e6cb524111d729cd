"""Who answers: each a real process on a port of its own, on one core where the client has another."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO

import psutil

from tests.benchmark.client import Address
from tests.benchmark.refusal import Refused

LISTENING = "Listening on http://"
SECONDS_TO_STOP = 20
SECONDS_BETWEEN_LOOKS = 0.05
LONGEST_END = 4_000  # bytes of a log that are shown
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass(frozen=True, slots=True)
class Contestant:
    """A command that serves the rows at `GATEWAY_DATABASE_URL`."""

    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def gateway(title: str, **environment: str) -> Contestant:
    """The gateway as `gateway serve` starts it, with these variables."""
    # As in production, a line in a file for each request included, but without a pause before it stops and without the
    # limit that the load would hit.
    usual = {"GATEWAY_PROFILE": "production", "GATEWAY_RATE_LIMIT": "0", "GATEWAY_DRAIN_SECONDS": "0"}
    return Contestant(title, ("gateway", "serve", "--port", "0"), {**usual, **environment})


def other(title: str, app: str) -> Contestant:
    """One of the twins and floors."""
    return Contestant(title, ("tests.benchmark.serve", app))


CONTESTANTS = {
    "planned": gateway("gateway"),
    "ordinary": gateway("gateway without plans", GATEWAY_PLANS="false"),
    "quiet": gateway("gateway, nothing logged or counted", GATEWAY_ACCESS_LOG="false", GATEWAY_METRICS="false"),
    "development": gateway("gateway in development", GATEWAY_PROFILE="development"),
    "textbook": other("T, the textbook twin", "textbook"),
    "plain": other("the same schema on GraphQLRouter", "plain"),
    "fastapi": other("FastAPI response_model + selectinload", "fastapi"),
    "handwritten": other("floor: three statements, msgspec", "handwritten"),
    "constant": other("floor: constant bytes", "constant"),
}


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers."""

    contestant: Contestant
    address: Address
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What it has spent since its start, on all threads."""
        spent = self.process.cpu_times()
        return float(spent.user + spent.system)


@asynccontextmanager
async def running(contestant: Contestant, database_url: str) -> AsyncIterator[Server]:
    """Start it, and end it afterwards. `Refused`, with what it said last, where it does not start."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environment = {**clean, "GATEWAY_DATABASE_URL": database_url, **contestant.environment}
    with TemporaryFile() as log:
        with _servers_core():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *contestant.command, env=environment, stderr=log
            )
        try:
            address = await _address(process, log)
            if address is None:
                raise Refused(f"{contestant.title} did not start:\n{_end_of(log)}")
            yield Server(contestant, address, psutil.Process(process.pid))
            if process.returncode is not None:
                raise Refused(f"{contestant.title} ended:\n{_end_of(log)}")
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), SECONDS_TO_STOP)
            except TimeoutError:
                process.kill()
                await process.wait()


def addresses(servers: Mapping[str, Server]) -> dict[str, Address]:
    """Where they listen."""
    return {name: server.address for name, server in servers.items()}


def take_own_core() -> None:
    """Keep the client off the core that the servers have, where there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, CORES[:-1])


@contextmanager
def _servers_core() -> Iterator[None]:
    """Processes that are started meanwhile inherit the last core."""
    if len(CORES) < 2:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


async def _address(process: asyncio.subprocess.Process, log: IO[bytes]) -> Address | None:
    """Where it listens, as its log says; None where it ends instead."""
    while process.returncode is None:
        for line in _end_of(log).splitlines():
            if line.startswith(LISTENING):
                host, _, port = line.removeprefix(LISTENING).strip().rpartition(":")
                return Address(host, int(port))
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
    return None


def _end_of(log: IO[bytes]) -> str:
    """The last lines of a file that another process writes."""
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), size, max(0, size - LONGEST_END)).decode(errors="replace")
