"""What an export takes of a real gateway, beside what the database itself takes, and what other clients feel.

Run `python -m tests.support.measure_exports [--url postgresql://…] [--batches 150000]`: a database that is there and
holds rows of the tests' organization, which is only read; else an SQLite file of so many batches, with twice as many
deliveries.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from urllib.parse import quote

import psutil

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from gateway.writing.organizations import add_organization
from tests.support.load import RIGHT, Answered, Asked, load
from tests.support.rows import OURS, START
from tests.support.volume import fill

FIELDS = {
    "id": "id",
    "batchId": "batch_id",
    "statusCode": "status_code",
    "failureReasonCode": "failure_reason_code",
    "attemptCount": "attempt_count",
    "callbackUrl": "callback_url",
    "createdAt": "created_at",
    "completedAt": "completed_at",
}
QUERY = "{ callbackDeliveries(first: 20) { nodes { id statusCode callbackUrl createdAt } } }"
CLIENTS = 8
SECONDS = 10.0
PIECE = 1 << 20


class Watched:
    """The gateway's process: its CPU time, and the most memory that it had while somebody looked."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.most = 0

    @property
    def seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    async def look(self) -> None:
        while True:
            self.most = max(self.most, self.process.memory_info().rss)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def gateway(url: str, keys: str) -> AsyncIterator[tuple[int, int]]:
    """A gateway in a process of its own; its port and its process."""
    variables = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_KEYS_DATABASE_URL": keys,
        "GATEWAY_RATE_LIMIT": "0",
        "GATEWAY_ACCESS_LOG": "false",
        "GATEWAY_LOG_FORMAT": "text",
    }
    command = (sys.executable, "-m", "gateway", "serve", "--port", "0")
    server = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
    )
    assert server.stderr is not None
    port = 0
    async for line in server.stderr:
        if found := re.search(rb"Listening on http://127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
        if b"startup complete" in line:
            break
    drained = asyncio.create_task(server.stderr.read())
    try:
        yield port, server.pid
    finally:
        server.terminate()
        await server.wait()
        await drained


async def download(port: int, key: str, form: str) -> tuple[int, bytes]:
    """An export; how many bytes came, and the last of them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
    address = f"/exports/callback-deliveries.{form}?fields={quote(json.dumps(list(FIELDS)))}"
    writer.write(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    size, last = 0, b""
    while True:
        length = int(await reader.readline(), 16)
        chunk = (await reader.readexactly(length + 2))[:-2]
        if not length:
            break
        size += length
        last = (last + chunk)[-200:]
    writer.close()
    return size, last


async def rate(port: int, key: str) -> float:
    """How many requests a second other clients have answered."""
    times: list[float] = []
    body = json.dumps({"query": QUERY}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    asked = Asked(f"{head}{more}".encode() + body)

    def note(answered: Answered) -> None:
        assert answered.what == RIGHT, answered.what
        times.append(answered.at)

    async with load(port, repeat(asked), note, clients=CLIENTS):
        await asyncio.sleep(SECONDS)
    return len(times) / SECONDS


async def by_the_database(url: str) -> float | None:
    """Seconds that the database's own tool takes for the same columns of the same rows as CSV."""
    columns = ", ".join(FIELDS.values())
    query = f"SELECT {columns} FROM batch_callback_deliveries WHERE org_id = '{OURS}' ORDER BY created_at DESC, id DESC"
    command: tuple[str, ...]
    if url.startswith("sqlite"):
        command = ("sqlite3", "-csv", url.split(":///")[1], query)
    else:
        command = ("psql", "-XAtq", url.replace("+asyncpg", ""), "-c", f"COPY ({query}) TO STDOUT WITH (FORMAT csv)")
    if shutil.which(command[0]) is None:
        return None
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    return time.perf_counter() - began


async def measure(url: str, folder: Path, formats: list[str]) -> None:
    """Measure the gateway over a database, whose keys lie in that folder."""
    keys_url = f"sqlite+aiosqlite:///{folder / 'keys.db'}"
    keys = Database(keys_url)
    await migrate(keys)
    async with keys.transaction() as connection:
        await add_organization(connection, OURS, "measured", START)
    key = await create_key(keys, OURS, "measuring", [READ])
    await keys.close()
    tool = await by_the_database(url)
    print("the database's own tool:", "not here" if tool is None else f"{tool:.1f} s")  # noqa: T201
    async with gateway(url, keys_url) as (port, pid):
        watched = Watched(pid)
        looking = asyncio.create_task(watched.look())
        print(f"others alone: {await rate(port, key):.0f} requests/s")  # noqa: T201
        for form in formats:
            watched.most, before, began = 0, watched.seconds, time.perf_counter()
            size, last = await download(port, key, form)
            seconds, cpu = time.perf_counter() - began, watched.seconds - before
            rows = int(re.findall(rb'(?:"rows":|end of export: )(\d+)', last)[-1])
            print(  # noqa: T201
                f"{form}: {rows} rows, {size / 2**20:.0f} MiB in {seconds:.1f} s ({rows / seconds:.0f} rows/s), "
                f"{cpu:.1f} s of CPU ({rows / cpu:.0f} rows/s of CPU), {watched.most / 2**20:.0f} MiB at the most"
            )
        beside = asyncio.create_task(download(port, key, "csv"))
        await asyncio.sleep(1)
        others = await rate(port, key)
        print(f"others beside an export: {others:.0f} requests/s; it goes on: {not beside.done()}")  # noqa: T201
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        looking.cancel()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--batches", type=int, default=150_000)
    parser.add_argument("--format", action="append", choices=["ndjson", "csv"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-exports-") as name:
        folder = Path(name)
        url = given.url
        if url is None:
            url = f"sqlite+aiosqlite:///{folder / 'rows.db'}"
            database = Database(url)
            await migrate(database)
            await fill(database, given.batches)
            await database.close()
        await measure(url, folder, given.format or ["ndjson", "csv"])


if __name__ == "__main__":
    asyncio.run(main())
