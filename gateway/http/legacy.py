"""The frozen REST endpoint: what legacy clients have always been answered.

A bare array of deliveries with their attempts, no paging and no filter. A history longer than one page of rows is
streamed, so that memory stays bounded; anything shorter has a `Content-Length`, as it always had.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.database.engine import Database
from gateway.errors import ClientError
from gateway.execution.history import history_pages
from gateway.execution.run import too_late, within
from gateway.http.credentials import Credentials
from gateway.http.disconnect import until_disconnect
from gateway.http.envelope import ErrorResponse, refusal, unexpected
from gateway.observability.metrics import Metrics
from gateway.observability.record import exchange
from gateway.reading.contract import DeliveryDocument
from gateway.reading.history import PAGE, require_batch
from gateway.reading.reader import Reader
from gateway.viewer import Viewer

logger = logging.getLogger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The request is malformed."},
    401: {"model": ErrorResponse, "description": "No credential, or one that is not known."},
    403: {"model": ErrorResponse, "description": "The credential may not do this; `code` says why."},
    404: {"model": ErrorResponse, "description": "No such batch in the organization."},
    422: {"model": ErrorResponse, "description": "A parameter is not what its place expects."},
}
CLIENT_GONE = 499  # for the log: nobody reads this answer
PATH = re.compile(r"/v1/batches/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/callback")
TAGS = [{"name": "Batches", "description": "The callbacks of a batch: what was sent, and how its delivery went."}]


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


class History:
    """Answers with the history of a batch, beginning within `deadline` seconds, and going on in no more a page; without
    `by_column` by the contract's classes alone."""

    def __init__(self, database: Database, use: UsageReport, deadline: float, *, by_column: bool = True) -> None:
        self.use = use
        self._database = database
        self._deadline = deadline
        self._by_column = by_column

    async def respond(self, receive: Receive, viewer: Viewer, batch_id: str, began: float) -> Response:
        """The answer to a request that began then, by `time.monotonic`; `BatchNotFound` where the viewer's organization
        has no such batch."""
        reader = Reader(self._database, viewer.organization_id)
        pages = history_pages(reader, batch_id, by_column=self._by_column)

        async def first_page() -> tuple[int, bytes]:
            size, first = await anext(pages)
            if not size:
                await require_batch(reader, batch_id)
            return size, first

        try:
            left = max(0.0, began + self._deadline - time.monotonic())
            size, first = await until_disconnect(receive, first_page(), left, lambda _: too_late(self._deadline))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        if size < PAGE:
            return Response(first, media_type="application/json")
        return StreamingResponse(_joined(first, pages, self._deadline), media_type="application/json")


class Direct:
    """Answers what legacy clients ask most, before FastAPI looks at it: a batch by its canonical id, with a credential
    that was checked a moment ago. Everything else is left to the route."""

    def __init__(self, app: ASGIApp, credentials: Credentials, history: History) -> None:
        self.app = app
        self.credentials = credentials
        self.history = history

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        viewer = None if found is None else self.credentials.remembered(scope["headers"])
        if found is None or viewer is None:
            await self.app(scope, receive, send)
            return
        self.history.use.count(viewer)
        try:
            response = await self.history.respond(receive, viewer, found[1], time.monotonic())
        except ClientError as error:
            response = refusal(error)
        except Exception as failure:  # noqa: BLE001 - as everywhere, nothing of it may be sent
            response = unexpected(failure)
        await response(scope, receive, send)


def router(credentials: Credentials, history: History) -> APIRouter:
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
        request: Request,
        began: Annotated[float, Depends(_now)],  # before the credential is looked up
        viewer: Annotated[Viewer, Depends(credentials.reader)],
        batch_id: UUID,
    ) -> Response:
        """All callbacks of a batch, oldest first, each with all its attempts."""
        history.use.count(viewer)
        return await history.respond(request.receive, viewer, str(batch_id), began)

    return routes


async def _now() -> float:
    return time.monotonic()


async def _joined(first: bytes, pages: AsyncIterator[tuple[int, bytes]], deadline: float) -> AsyncIterator[bytes]:
    """One array out of many. A page that is late, as any other failure, ends the connection before the array does."""
    yield first[:-1]
    while (page := await within(deadline, anext(pages, None))) is not None:
        if page[0]:
            yield b"," + page[1][1:-1]
    yield b"]"
