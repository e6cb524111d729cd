"""The probes: is the process alive, and can it serve?"""

import logging

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.database.engine import Database
from gateway.database.migrate import check_schema
from gateway.database.required import KEYS
from gateway.errors import ClientError, OperatorError
from gateway.http.credentials import Credentials

logger = logging.getLogger(__name__)

TOKEN_KEYS_UNAVAILABLE = "TOKEN_KEYS_UNAVAILABLE"  # noqa: S105 - a reason
STOPPING = "stopping"  # of the state that the server shares with its requests: whether it is about to stop


def router(database: Database, keys: Database, credentials: Credentials) -> APIRouter:
    """`/healthz` answers while the process lives; `/readyz` only while the databases answer with a schema that fits,
    while somebody could be let in, and until the process is told to stop.

    Where the keys that sign tokens were never read, nobody can be let in but API keys: without any, the gateway is not
    ready; with some, it is, and says what it lacks. `/readyz` itself has them read, as no token may ever come.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        if getattr(request.state, STOPPING, False):
            return _unavailable("STOPPING")
        try:
            await check_schema(database)
            if keys is not database:
                await check_schema(keys, KEYS)
            lacking = credentials.lack_token_keys()
            if lacking and not await credentials.let_keys_in():
                return _unavailable(TOKEN_KEYS_UNAVAILABLE)
        except (OperatorError, ClientError) as reason:
            logger.warning("not ready: %s", reason.message)
            return _unavailable(reason.code)
        return JSONResponse({"status": "ready", **({"lacking": TOKEN_KEYS_UNAVAILABLE} if lacking else {})})

    return routes


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "reason": reason}, 503)
