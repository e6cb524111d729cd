"""The probes: is the process alive, and can it serve?"""

import logging

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gateway.database.engine import Database
from gateway.database.migrate import check_schema
from gateway.errors import OperatorError

logger = logging.getLogger(__name__)


def router(database: Database) -> APIRouter:
    """`/healthz` answers while the process lives; `/readyz` only while the database answers with a current schema."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        try:
            await check_schema(database)
        except OperatorError as reason:
            logger.warning("not ready: %s", reason.message)
            return JSONResponse({"status": "unavailable", "reason": reason.code}, 503)
        return JSONResponse({"status": "ready"})

    return routes
