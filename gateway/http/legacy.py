"""The frozen REST endpoint: what legacy clients have always been answered.

A bare array of deliveries with their attempts, no paging and no filter. A history longer than one page of rows is
streamed, so that memory stays bounded; anything shorter has a `Content-Length`, as it always had.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter
from starlette.requests import ClientDisconnect

from gateway.database.engine import Database
from gateway.execution.run import within
from gateway.http.attended import attended
from gateway.http.credentials import Credentials
from gateway.http.envelope import ErrorResponse
from gateway.observability.exchange import exchange
from gateway.observability.metrics import Metrics
from gateway.reading.contract import DeliveryDocument
from gateway.reading.history import PAGE, callback_history, require_batch
from gateway.reading.loaders import Reader
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
DOCUMENTS = TypeAdapter(list[DeliveryDocument])
TAGS = [{"name": "Batches", "description": "The callbacks of a batch: what was sent, and how its delivery went."}]


class LegacyUse:
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


def router(database: Database, credentials: Credentials, use: LegacyUse, deadline: float) -> APIRouter:
    """The routes of the REST face, whose answers begin within `deadline` seconds."""
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
        request: Request, viewer: Annotated[Viewer, Depends(credentials.reader)], batch_id: UUID
    ) -> Response:
        """All callbacks of a batch, oldest first, each with all its attempts."""
        use.count(viewer)
        reader = Reader(database, viewer.organization_id)
        pages = callback_history(reader, str(batch_id))

        async def first_page() -> list[DeliveryDocument]:
            await require_batch(reader, str(batch_id))
            return await anext(pages)

        try:
            page = await attended(request.receive, within(deadline, first_page()))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        first = DOCUMENTS.dump_json(page)
        if len(page) < PAGE:
            return Response(first, media_type="application/json")
        return StreamingResponse(_joined(first, pages), media_type="application/json")

    return routes


async def _joined(first: bytes, pages: AsyncIterator[list[DeliveryDocument]]) -> AsyncIterator[bytes]:
    """One array out of many."""
    yield first[:-1]
    async for page in pages:
        if page:
            yield b"," + DOCUMENTS.dump_json(page)[1:-1]
    yield b"]"
