"""T, the textbook twin: the graph as tutorials write it with Strawberry, SQLAlchemy's ORM, aiodataloader and
GraphQLRouter, everything by default.

It answers the benchmark's documents with the same values as the gateway, from the same tables. It checks no credential,
knows no organization and masks nothing.
"""

import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from aiodataloader import DataLoader
from fastapi import FastAPI
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches

Sessions = async_sessionmaker[AsyncSession]
Info = strawberry.Info[dict[str, Any], Any]


class Base(DeclarativeBase):
    """The ORM's entities, over the gateway's tables."""


class BatchRow(Base):
    """An entity."""

    __table__ = batches


class DeliveryRow(Base):
    """An entity."""

    __table__ = batch_callback_deliveries


class AttemptRow(Base):
    """An entity."""

    __table__ = batch_callback_delivery_attempts


@strawberry.type
class BatchCallbackDeliveryAttempt:
    """An attempt."""

    id: strawberry.ID
    attempt_number: int
    status_code: int | None
    response_time_ms: int | None
    error_message: str | None
    created_at: datetime

    @classmethod
    def of(cls, row: Any) -> "BatchCallbackDeliveryAttempt":
        """Of an entity."""
        return cls(
            id=row.id,
            attempt_number=row.attempt_number,
            status_code=row.status_code,
            response_time_ms=row.response_time_ms,
            error_message=row.error_message,
            created_at=row.created_at,
        )


@strawberry.type
class BatchCallbackDelivery:
    """A delivery."""

    id: strawberry.ID
    status_code: str | None
    attempt_count: int | None
    callback_url: str | None
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> "BatchCallbackDelivery":
        """Of an entity."""
        return cls(
            id=row.id,
            status_code=row.status_code,
            attempt_count=row.attempt_count,
            callback_url=row.callback_url,
            created_at=row.created_at,
            completed_at=row.completed_at,
        )

    @strawberry.field
    async def attempts(self, info: Info) -> list[BatchCallbackDeliveryAttempt]:
        """Its attempts, in order."""
        rows = await info.context["attempts"].load(self.id)
        return [BatchCallbackDeliveryAttempt.of(row) for row in rows]


@strawberry.type
class Batch:
    """A batch."""

    id: strawberry.ID
    status_code: str | None
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> "Batch":
        """Of an entity."""
        return cls(id=row.id, status_code=row.status_code, created_at=row.created_at, completed_at=row.completed_at)

    @strawberry.field
    async def callback_deliveries(self, info: Info) -> list[BatchCallbackDelivery]:
        """Its deliveries, oldest first."""
        rows = await info.context["deliveries"].load(self.id)
        return [BatchCallbackDelivery.of(row) for row in rows]


@strawberry.type
class PageInfo:
    """Where a page lies."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class BatchConnection:
    """A page of batches."""

    nodes: list[Batch]
    page_info: PageInfo


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    async def batch(self, info: Info, id: strawberry.ID) -> Batch | None:  # noqa: A002
        """One batch."""
        async with info.context["sessions"]() as session:
            row = await session.get(BatchRow, str(UUID(id)))
        return None if row is None else Batch.of(row)

    @strawberry.field
    async def batches(self, info: Info, after: str, first: int = 50) -> BatchConnection:
        """Batches, newest first, behind a cursor of the gateway's."""
        version, binding, created_at, id_ = decode_cursor(after)
        statement = (
            select(BatchRow)
            .where(tuple_(batches.c.created_at, batches.c.id) < (datetime.fromisoformat(created_at), id_))
            .order_by(batches.c.created_at.desc(), batches.c.id.desc())
            .limit(first + 1)
        )
        async with info.context["sessions"]() as session:
            rows = (await session.scalars(statement)).all()
        nodes = [Batch.of(row) for row in rows[:first]]
        end = encode_cursor([version, binding, nodes[-1].created_at.isoformat(), nodes[-1].id]) if nodes else None
        return BatchConnection(nodes=nodes, page_info=PageInfo(has_next_page=len(rows) > first, end_cursor=end))


def decode_cursor(cursor: str) -> list[Any]:
    """Version, binding, time and id of a cursor."""
    parts: list[Any] = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return parts


def encode_cursor(parts: list[Any]) -> str:
    """The cursor of version, binding, time and id."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def deliveries_loader(sessions: Sessions) -> DataLoader[str, Any]:
    """Deliveries by their batch."""

    async def load(ids: list[str]) -> list[list[Any]]:
        of = batch_callback_deliveries.c
        async with sessions() as session:
            rows = (
                await session.scalars(select(DeliveryRow).where(of.batch_id.in_(ids)).order_by(of.created_at, of.id))
            ).all()
        return _grouped("batch_id", ids, rows)

    return DataLoader(load)


def attempts_loader(sessions: Sessions) -> DataLoader[str, Any]:
    """Attempts by their delivery."""

    async def load(ids: list[str]) -> list[list[Any]]:
        of = batch_callback_delivery_attempts.c
        async with sessions() as session:
            rows = (
                await session.scalars(
                    select(AttemptRow).where(of.delivery_id.in_(ids)).order_by(of.attempt_number, of.id)
                )
            ).all()
        return _grouped("delivery_id", ids, rows)

    return DataLoader(load)


def _grouped(parent: str, ids: list[str], rows: Sequence[Any]) -> list[list[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, parent)].append(row)
    return [groups[id_] for id_ in ids]


def format_time(value: datetime) -> str:
    """An instant in UTC."""
    return value.isoformat().replace("+00:00", "Z")


# The one thing that is not the default: instants end in `Z`, as the gateway's do.
SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        serialize=format_time,
        parse_value=datetime.fromisoformat,
    )
}
schema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map=SCALARS))


def create_app(url: str) -> FastAPI:
    """The twin over the rows of a database."""
    engine = create_async_engine(url)
    sessions = async_sessionmaker(engine)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    async def context() -> dict[str, Any]:
        return {
            "sessions": sessions,
            "deliveries": deliveries_loader(sessions),
            "attempts": attempts_loader(sessions),
        }

    app = FastAPI(lifespan=lifespan)
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app
