"""Every failure has the envelope's shape."""

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from gateway import errors
from gateway.rest import envelope

CONTRACT = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "PERMISSION_DENIED": 403,
    "EMAIL_NOT_VERIFIED": 403,
    "ORGANIZATION_MEMBERSHIP_REQUIRED": 403,
    "ROLE_UNRESOLVED": 403,
    "IMPERSONATION_READ_ONLY": 403,
    "NOT_FOUND": 404,
    "BATCH_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "CONFLICT": 409,
    "VALIDATION_ERROR": 422,
    "RATE_LIMITED": 429,
}
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ClientError) and kind.code in CONTRACT
]


async def answer_to(failure: Exception) -> httpx.Response:
    """What the smallest app answers when that is raised."""
    app = FastAPI()
    envelope.install(app)

    @app.get("/")
    async def fail() -> None:
        raise failure

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get("/")


def test_every_code_of_the_contract_is_in_the_tree() -> None:
    assert {kind.code: kind.status for kind in KINDS} == CONTRACT


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
async def test_client_error_is_answered_as_it_is(kind: Any) -> None:
    answer = await answer_to(kind("What happened."))
    assert answer.status_code == kind.status
    assert answer.content == b'{"code":"%s","message":"What happened.","errors":null}' % kind.code.encode()
    assert answer.headers.get("www-authenticate") == ("Bearer" if kind.status == 401 else None)


async def test_rate_limit_says_when_to_come_again() -> None:
    answer = await answer_to(errors.RateLimited("Too many requests.", retry_after=7))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BAD_REQUEST"), (404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED"), (415, "UNSUPPORTED_MEDIA_TYPE")],
)
async def test_error_of_the_framework_has_a_code(status: int, code: str) -> None:
    answer = await answer_to(HTTPException(status, "No.", {"Allow": "GET"}))
    assert answer.status_code == status
    assert answer.json() == {"code": code, "message": "No.", "errors": None}
    assert answer.headers["allow"] == "GET"


async def test_unexpected_failure_is_logged_and_masked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "gateway")
    answer = await answer_to(RuntimeError("postgresql://user:secret@host"))
    (record,) = caplog.records
    request_id = record.getMessage().split()[-1]
    assert answer.status_code == 500
    assert answer.json() == {
        "code": "INTERNAL_ERROR",
        "message": f"An unexpected error occurred: {request_id}.",
        "errors": None,
    }
    assert "secret" in caplog.text
