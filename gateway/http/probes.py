"""The probes: is the process alive, and can it serve?"""

import logging

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.database.engine import Database
from gateway.database.migrate import check_schema
from gateway.database.required import KEYS
from gateway.errors import OperatorError

logger = logging.getLogger(__name__)

STOPPING = "stopping"  # of the state that the server shares with its requests: whether it is about to stop


def router(database: Database, keys: Database) -> APIRouter:
    """`/healthz` answers while the process lives; `/readyz` only while the databases answer with a schema that fits,
    and until the process is told to stop."""
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
        except OperatorError as reason:
            logger.warning("not ready: %s", reason.message)
            return _unavailable(reason.code)
        return JSONResponse({"status": "ready"})

    return routes


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "reason": reason}, 503)
