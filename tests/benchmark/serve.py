"""The process of a twin or a floor: `python -m tests.benchmark.serve NAME`, on uvicorn as `gateway serve` runs it."""

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from sqlalchemy.ext.asyncio import create_async_engine

from tests.benchmark import plain, textbook
from tests.benchmark.floors import Constant, Handwritten
from tests.support.twin import create_twin

APPS: dict[str, Callable[[str], Any]] = {
    "textbook": textbook.create_app,
    "plain": plain.create_app,
    "fastapi": lambda url: create_twin(create_async_engine(url)),
    "handwritten": Handwritten,
    "constant": lambda _: Constant(),
}


def main() -> None:
    """Serve until a signal."""
    app = APPS[sys.argv[1]](os.environ["GATEWAY_DATABASE_URL"])
    config = uvicorn.Config(app, lifespan="on", log_config=None, server_header=False, access_log=False)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"Listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)  # noqa: T201
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
