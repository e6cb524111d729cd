"""The platform's own address for redeliveries, passed on: `POST /v1/batches/{batch_id}/callback-redeliveries`.

It is there where the platform's URL is set. The platform's answer is passed on byte for byte, whatever it is; where
that is lost, a delivery that is found in the rows is answered in its place, in the same shape.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.deadline import deadline_of
from gateway.errors import AnswerLost
from gateway.http.credentials import Credentials, token_of
from gateway.http.writes import Writes
from gateway.platform.client import Platform
from gateway.platform.outcomes import Made
from gateway.platform.redelivery import Redeliveries
from gateway.reading.contract import DeliveryDocument, delivery_document
from gateway.reading.history import WHOLE_DELIVERY
from gateway.reading.questions import RowById
from gateway.reading.reader import Reader
from gateway.rest.endpoint import CLIENT_GONE_STATUS, ERRORS
from gateway.rest.envelope import ErrorResponse
from gateway.rest.history import ATTEMPTS_IN_SEQUENCE
from gateway.viewer import Viewer

PASSED_ON: dict[int | str, dict[str, Any]] = {
    201: {"model": DeliveryDocument, "description": "The delivery that was made, with its attempts."},
    **ERRORS,
    409: {"model": ErrorResponse, "description": "The state of the batch contradicts the request."},
    429: {"model": ErrorResponse, "description": "Too many requests."},
    502: {"model": ErrorResponse, "description": "The platform was asked, and what it did is not known."},
    503: {"model": ErrorResponse, "description": "The platform was not asked, or takes nothing just now."},
    504: {"model": ErrorResponse, "description": "It took too long, and goes on."},
}


def router(credentials: Credentials, platform: Platform, database: Database, writes: Writes) -> APIRouter:
    """The route of redeliveries."""
    routes = APIRouter()

    @routes.post(
        "/v1/batches/{batch_id}/callback-redeliveries",
        operation_id="redeliverBatchCallback",
        summary="Deliver a batch callback again",
        tags=["Batches"],
        response_model=DeliveryDocument,
        responses=PASSED_ON,
    )
    async def redeliver_batch_callback(
        request: Request, viewer: Annotated[Viewer, Depends(credentials.require_viewer)], batch_id: UUID
    ) -> Response:
        """Have the platform deliver the callback of a batch again. The batch must have ended and have a callback URL,
        and no delivery of it may be in flight."""
        redeliveries = Redeliveries(platform, viewer, token_of(request.headers.get("authorization")))
        redeliveries.allow()
        reader = Reader(database, viewer.organization_id, newest=True)
        work = _answer(redeliveries, reader, str(batch_id))
        try:
            return await writes.run(request.receive, work, deadline_of(request.scope))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE_STATUS)

    return routes


async def _answer(redeliveries: Redeliveries, reader: Reader, batch_id: str) -> Response:
    answer = await redeliveries.answer(reader, batch_id)
    if isinstance(answer, Made):
        id_ = answer.delivery["id"]
        (row,) = await reader.fetch(RowById(deliveries, WHOLE_DELIVERY), [id_])
        (attempts,) = await reader.fetch(ATTEMPTS_IN_SEQUENCE, [id_])
        if row is None:
            raise AnswerLost("The platform was asked, and the delivery that it made is gone.")
        return Response(delivery_document(row, attempts).model_dump_json(), media_type="application/json")
    headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
    return Response(answer.body, answer.status, headers, answer.media)
