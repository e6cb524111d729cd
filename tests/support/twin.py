"""The twin: the frozen endpoint as anybody would write it with FastAPI, Pydantic and SQLAlchemy's ORM.

What it answers is what the gateway must answer, byte for byte. It shares the tables with the gateway and nothing else.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_serializer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, relationship, selectinload

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches


class Base(DeclarativeBase):
    pass


class Batch(Base):
    __table__ = batches


class Attempt(Base):
    __table__ = batch_callback_delivery_attempts


class Delivery(Base):
    __table__ = batch_callback_deliveries

    attempts: Mapped[list[Attempt]] = relationship(
        order_by=(batch_callback_delivery_attempts.c.attempt_number, batch_callback_delivery_attempts.c.id)
    )

    @property
    def payload(self) -> "Payload | None":
        body: Any = self.payload_bytes  # type: ignore[attr-defined]
        try:
            return None if body is None else Payload.model_validate_json(body)
        except ValidationError:
            return None


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: Literal["batch.succeeded", "batch.failed", "batch.cancelled", "batch.partial_succeeded"]
    batch_id: UUID
    status: Literal["succeeded", "failed", "cancelled", "partial_succeeded"]
    output: dict[str, Any] | None
    duration_ms: int | None
    created_at: datetime | None
    completed_at: datetime | None
    metadata: dict[str, Any] | None

    @field_serializer("created_at", "completed_at")
    def isoformat(self, value: datetime | None) -> str | None:
        return None if value is None else value.isoformat()


class AttemptValidator(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID | None
    delivery_id: UUID | None
    attempt_number: int | None
    status_code: int | None
    response_body: str | None
    response_time_ms: int | None
    error_message: str | None
    created_at: datetime | None


def as_text(body: bytes | None) -> str | None:
    return None if body is None else body.decode(errors="replace")


class DeliveryValidator(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID | None
    batch_id: UUID | None
    callback_url: str | None
    payload_bytes: Annotated[str | None, BeforeValidator(as_text)]
    payload: Payload | None
    signing_secret_id: UUID | None
    is_automatic: bool | None
    status_code: str | None
    failure_reason_code: str | None
    failure_detail: str | None
    attempt_count: int | None
    max_attempts: int | None
    next_attempt_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    attempts: list[AttemptValidator] | None


def create_twin(engine: AsyncEngine) -> FastAPI:
    """The endpoint over the same rows, for whoever asks: the twin checks no credential."""
    app = FastAPI()
    sessions = async_sessionmaker(engine)

    @app.get("/v1/batches/{batch_id}/callback", response_model=list[DeliveryValidator])
    async def get_batch_callback_deliveries(batch_id: UUID) -> Any:
        async with sessions() as session:
            if await session.get(Batch, str(batch_id)) is None:
                raise HTTPException(404)
            deliveries = (
                select(Delivery)
                .where(batch_callback_deliveries.c.batch_id == str(batch_id))
                .order_by(batch_callback_deliveries.c.created_at, batch_callback_deliveries.c.id)
                .options(selectinload(Delivery.attempts))
            )
            return (await session.scalars(deliveries)).all()

    return app
