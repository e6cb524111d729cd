"""A gateway that really listens, for tests that speak HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from typing import Any

import uvicorn

from gateway.app import create_app
from gateway.http.server import DrainingServer
from gateway.http.websocket import WebSocketProtocol
from gateway.settings import Settings


@contextmanager
def serving(app: Any, http: Any = "h11") -> Iterator[str]:
    """Serve the app on a free port meanwhile; its address. Connections wait in the backlog until it has started.

    `http` is the protocol, uvicorn's name for one or a class.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=http, ws=WebSocketProtocol, lifespan="on", log_config=None))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def serving_here(app: Any) -> AsyncIterator[int]:
    """Serve the app on a free port on this event loop meanwhile, for apps that share what belongs to it; the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def gateway_here(settings: Settings, port: int = 0) -> AsyncIterator[int]:
    """A gateway with these settings on this event loop, by the server that `gateway serve` starts; its port. At the end
    it stops as by SIGTERM."""
    listener = socket.create_server(("127.0.0.1", port))
    server = DrainingServer(lambda: create_app(settings), settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
