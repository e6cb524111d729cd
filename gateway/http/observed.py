"""The layer that keeps the record of each request."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.observability.eyes import Eyes


class Observed:
    """Begins the record of a request, notes what is sent, and ends it when the app is done."""

    def __init__(self, app: ASGIApp, eyes: Eyes) -> None:
        self.app = app
        self.eyes = eyes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = self.eyes.begin(scope["method"], scope["path"], scope["headers"])

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.begun = time.perf_counter()
                record.status = message["status"]
                if record.trace is not None:
                    message = {**message, "headers": [*message.get("headers", ()), *record.trace.headers()]}
            else:
                record.bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self.eyes.end(record)
