"""The frozen REST endpoint: what legacy clients have always been answered.

A bare array of deliveries with their attempts, no paging and no filter. A history longer than one page of rows is
streamed, so that memory stays bounded; anything shorter has a `Content-Length`, as it always had.
"""

import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.database.engine import Database
from gateway.deadline import Deadline, deadline_of
from gateway.errors import ClientError
from gateway.http.credentials import Credentials
from gateway.http.disconnect import until_disconnect
from gateway.observability.metrics import Metrics
from gateway.observability.record import exchange
from gateway.reading.contract import DeliveryDocument
from gateway.reading.history import require_batch
from gateway.reading.reader import Reader
from gateway.rest.envelope import ErrorResponse, refusal, unexpected_answer
from gateway.rest.history import HistoryPage, read_page
from gateway.settings import HttpSettings
from gateway.viewer import Viewer

logger = logging.getLogger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The request is malformed."},
    401: {"model": ErrorResponse, "description": "No credential, or one that is not known."},
    403: {"model": ErrorResponse, "description": "The credential may not do this; `code` says why."},
    404: {"model": ErrorResponse, "description": "No such batch in the organization."},
    422: {"model": ErrorResponse, "description": "A parameter is not what its place expects."},
}
CLIENT_GONE_STATUS = 499  # for the log: nobody reads this answer
HISTORY_PATH = re.compile(r"/v1/batches/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/callback")
TAGS = [
    {"name": "Batches", "description": "The callbacks of a batch: what was sent, and how its delivery went."},
    {"name": "Exports", "description": "Whole lists as files, for programs and for spreadsheets."},
]


class UsageReport:
    """Who still uses the endpoint, so that an operator knows whom to move: requests by credential."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.metrics = metrics
        self._requests: Counter[str] = Counter()

    def count(self, viewer: Viewer) -> None:
        """Count one request."""
        self._requests[viewer.credential] += 1
        if self.metrics is not None:
            self.metrics.legacy(exchange.get().key)

    async def report(self) -> None:
        """Log the requests since the last report, a line a credential."""
        requests, self._requests = self._requests, Counter()
        for credential, number in requests.items():
            logger.info("legacy endpoint used: credential=%s requests=%d", credential, number)


class HistoryResponder:
    """Answers with the history of a batch; without `plans` by the contract's classes alone.

    The answer begins before the request's deadline, and goes on in no more than `deadline_seconds` a page.
    """

    def __init__(self, database: Database, use: UsageReport, settings: HttpSettings) -> None:
        self._use = use
        self._database = database
        self._seconds = settings.deadline_seconds
        self._by_column = settings.plans

    async def respond(self, scope: Scope, receive: Receive, viewer: Viewer, batch_id: str) -> Response:
        """The answer to a request; `BatchNotFound` where the viewer's organization has no such batch."""
        self._use.count(viewer)
        reader = Reader(self._database, viewer.organization_id)

        async def first_page() -> HistoryPage:
            page = await read_page(reader, batch_id, by_column=self._by_column)
            if not page.size:
                await require_batch(reader, batch_id)
            return page

        try:
            page = await until_disconnect(receive, first_page(), deadline_of(scope))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE_STATUS)
        if page.end is None:
            return Response(page.content, media_type="application/json")
        return ClosedStream(self._joined(page, reader, batch_id), media_type="application/json")

    async def _joined(self, page: HistoryPage, reader: Reader, batch_id: str) -> AsyncGenerator[bytes]:
        """One array out of many. A page that is late, as any other failure, ends the connection before the array."""
        yield page.content[:-1]
        while page.end is not None:
            work = read_page(reader, batch_id, page.end, by_column=self._by_column)
            page = await Deadline(self._seconds).run(work)
            if page.size:
                yield b"," + page.content[1:-1]
        yield b"]"


class ClosedStream(StreamingResponse):
    """A streamed answer whose generator is closed by the request that began it, however it ends.

    Starlette leaves that to the event loop, which does it in a task of its own during somebody else's request.
    """

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().stream_response(send)


class CachedCallerShortcut:
    """Answers what legacy clients ask most, before FastAPI looks at it: a batch by its canonical id, with a credential
    that was checked a moment ago. Everything else is left to the route."""

    def __init__(self, app: ASGIApp, credentials: Credentials, history: HistoryResponder) -> None:
        self.app = app
        self.credentials = credentials
        self.history = history

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = HISTORY_PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        viewer = None if found is None else self.credentials.cached_viewer(scope["headers"])
        if found is None or viewer is None:
            await self.app(scope, receive, send)
            return
        try:
            response = await self.history.respond(scope, receive, viewer, found[1])
        except ClientError as error:
            response = refusal(error)
        except Exception as failure:  # noqa: BLE001 - as everywhere, nothing of it may be sent
            response = unexpected_answer(failure)
        await response(scope, receive, send)


def router(credentials: Credentials, history: HistoryResponder) -> APIRouter:
    """The routes of the REST face."""
    routes = APIRouter()

    # The response's title, `Response Get Batch Callback Deliveries V1 Batches  Batch Id  Callback Get`, is made of the
    # function's name and the path. `operation_id` would replace it there too, so the published id is laid over.
    @routes.get(
        "/v1/batches/{batch_id}/callback",
        openapi_extra={"operationId": "getBatchCallback"},
        summary="Get batch callback delivery history",
        tags=["Batches"],
        response_model=list[DeliveryDocument],
        responses=ERRORS,
    )
    async def get_batch_callback_deliveries(
        request: Request, viewer: Annotated[Viewer, Depends(credentials.require_viewer)], batch_id: UUID
    ) -> Response:
        """All callbacks of a batch, oldest first, each with all its attempts."""
        return await history.respond(request.scope, request.receive, viewer, str(batch_id))

    return routes
