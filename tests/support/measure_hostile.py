"""What hostile requests cost a real server, and what its other clients feel.

Run `python -m tests.support.measure_hostile`.

One key sends hostile documents, each a new text so that no cache helps; another asks `{ __typename }`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import httpx
import psutil

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from tests.support.edge import KEY, furnished
from tests.support.hostile import DOCUMENTS, MALFORMED, body

HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
BYSTANDER = {**HEADERS, "Authorization": f"Bearer {KEY}"}
ATTACKER = {**HEADERS, "Authorization": f"Bearer {KEY}_cost"}


def bodies() -> dict[str, bytes]:
    """Everything hostile by its name."""
    documents = {name: body(document) for name, (document, _) in DOCUMENTS.items()}
    return {**documents, **MALFORMED, "a body of 10 MB": body("#" * 10_000_000)}


async def serve(url: str, **more: str) -> tuple[asyncio.subprocess.Process, str]:
    """A server in a process of its own, and its address."""
    environment = {**os.environ, "GATEWAY_DATABASE_URL": url, "GATEWAY_PROFILE": "production", **more}
    command = (
        "-m",
        "uvicorn",
        "--factory",
        "gateway.app:create_app_from_environment",
        "--port",
        "0",
        "--no-access-log",
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert server.stderr is not None
    async for line in server.stderr:
        if b"running on" in line:
            return server, line.decode().split("running on ")[1].split()[0]
    raise SystemExit("The server did not start.")


async def cost_of_each(address: str, pid: int, repeat: int) -> None:
    """Print the CPU milliseconds that the server takes for each, the median of some."""
    process = psutil.Process(pid)
    async with httpx.AsyncClient(base_url=address, headers=ATTACKER, timeout=60) as client:
        for name, content in bodies().items():
            spent = []
            for number in range(repeat):
                before = process.cpu_times()
                response = await client.post("/graphql", content=unlike(content, number))
                after = process.cpu_times()
                spent.append((after.user + after.system - before.user - before.system) * 1000)
            errors = response.json().get("errors", [{}])
            code = errors[0].get("extensions", {}).get("code", "")
            print(f"{name:34} {statistics.mean(spent):6.1f} ms  {response.status_code} {code}")  # noqa: T201


async def latency(address: str, seconds: float) -> float:
    """The median milliseconds of `{ __typename }`, asked one after the other."""
    taken = []
    async with httpx.AsyncClient(base_url=address, headers=BYSTANDER, timeout=60) as client:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            start = time.perf_counter()
            await client.post("/graphql", content=body("{ __typename }"))
            taken.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(0.01)
    return statistics.median(taken)


def attack(address: str, content: bytes, pause: float) -> None:
    """Send it over and over, each time as a new text."""
    with httpx.Client(base_url=address, headers=ATTACKER, timeout=60) as client:
        for number in count():
            client.post("/graphql", content=unlike(content, number))
            time.sleep(pause)


def unlike(content: bytes, number: int) -> bytes:
    """The same body with another comment in its document."""
    return content.replace(b'{"query": "', b'{"query": "#%d\\n' % number)


async def migrated(template: Path) -> None:
    """An empty database."""
    database = Database(f"sqlite+aiosqlite:///{template}")
    await migrate(database)
    await database.close()


async def measure(url: str, repeat: int, seconds: float, pause: float) -> None:
    """Measure each request alone, then a bystander's latency before and while each is sent."""
    server, address = await serve(url, GATEWAY_RATE_LIMIT="0")
    await cost_of_each(address, server.pid, repeat)
    server.terminate()
    await server.wait()
    for name, content in bodies().items():
        server, address = await serve(url)
        idle = await latency(address, seconds)
        attacker = get_context("fork").Process(target=attack, args=(address, content, pause), daemon=True)
        attacker.start()
        await asyncio.sleep(seconds)
        median = await latency(address, seconds)
        attacker.kill()
        attacker.join()
        print(f"{name:34} {idle:6.2f} ms idle  {median:6.2f} ms attacked  {median / idle:4.1f}x")  # noqa: T201
        server.terminate()
        await server.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--pause", type=float, default=0.02)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(migrated(Path(place) / "template.db"))
        database_url = furnished(Path(place) / "template.db", Path(place))
        asyncio.run(measure(database_url, arguments.repeat, arguments.seconds, arguments.pause))
