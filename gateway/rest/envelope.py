"""The error envelope: every failure of the REST face as `{code, message, errors}`."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from gateway.errors import (
    BadRequest,
    ClientError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from gateway.observability import request_id
from gateway.observability.record import exchange

logger = logging.getLogger(__name__)

FRAMEWORK_CODES = {kind.status: kind.code for kind in (BadRequest, NotFound, MethodNotAllowed)}
SHOWN_OF_ERROR = ("type", "loc", "msg")  # of what Pydantic says about a parameter; never what the client sent


class ErrorResponse(BaseModel):
    """Standard error envelope."""

    code: str
    message: str
    errors: list[dict[str, Any]] | None = None


def install(app: FastAPI) -> None:
    """Answer every failure of the app with the envelope."""
    app.add_exception_handler(ClientError, _client_error)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def envelope(
    status: int,
    code: str,
    message: str,
    errors: Sequence[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An answer in the shape of the envelope."""
    exchange.get().code = code
    body = ErrorResponse(code=code, message=message, errors=None if errors is None else list(errors))
    return JSONResponse(body.model_dump(), status, headers)


def refusal(error: ClientError) -> JSONResponse:
    """The answer to what a request did wrong."""
    headers = None
    if isinstance(error, Unauthorized):
        headers = {"WWW-Authenticate": "Bearer"}
    elif isinstance(error, RateLimited | Unavailable) and error.retry_after is not None:
        headers = {"Retry-After": str(error.retry_after)}
    return envelope(error.status, error.code, error.message, error.errors, headers)


def unexpected_answer(error: Exception) -> JSONResponse:
    """The answer that hides a failure of ours: it is logged under the request's id, which is all that is sent."""
    id_ = request_id.get() or str(uuid4())
    logger.error("unexpected failure %s", id_, exc_info=error)
    return envelope(InternalError.status, InternalError.code, f"An unexpected error occurred: {id_}.")


async def _client_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ClientError)  # noqa: S101
    return refusal(error)


async def _validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    items = [{key: item[key] for key in SHOWN_OF_ERROR} for item in error.errors()]
    return envelope(ValidationFailed.status, ValidationFailed.code, "The request is not valid.", items)


async def _framework(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    return envelope(status, FRAMEWORK_CODES.get(status, status.name), str(error.detail), headers=error.headers)


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    return unexpected_answer(error)
