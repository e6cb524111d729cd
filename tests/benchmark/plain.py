"""The gateway's own schema on Strawberry's GraphQLRouter: what a document costs that the gateway cannot plan.

The same resolvers and loaders; no credential, no limits, no caches of documents.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from strawberry.fastapi import BaseContext, GraphQLRouter

from gateway.database.engine import Database
from gateway.schema.context import Context
from gateway.schema.query import schema
from gateway.viewer import READ, Viewer
from tests.benchmark.rows import ORGANIZATION

VIEWER = Viewer(ORGANIZATION, frozenset({READ}), "benchmark")


class PlainContext(BaseContext):
    """What resolvers take from `Context`, in the class that GraphQLRouter wants."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.viewer = context.viewer
        self.reader_or_none = context.reader_or_none
        self.reader = context.reader
        self.sees_secrets = context.sees_secrets
        self.unless_secret = context.unless_secret


def create_app(url: str) -> FastAPI:
    """The schema over the rows of a database."""
    database = Database(url)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    async def context() -> PlainContext:
        return PlainContext(Context.of(VIEWER, database))

    app = FastAPI(lifespan=lifespan)
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app
