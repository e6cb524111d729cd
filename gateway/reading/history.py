"""The whole callback history of a batch, as the contract's documents."""

from collections.abc import AsyncIterator

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import BatchNotFound
from gateway.reading.contract import AttemptDocument, DeliveryDocument, delivery_document
from gateway.reading.loaders import Reader, RowById, RowsOf
from gateway.reading.pages import Order

PAGE = 100
OLDEST_FIRST = Order("created_at")
IN_SEQUENCE = Order("attempt_number")
WHOLE_DELIVERY = frozenset(DeliveryDocument.model_fields) & set(batch_callback_deliveries.c.keys())
WHOLE_ATTEMPT = frozenset(AttemptDocument.model_fields) & set(batch_callback_delivery_attempts.c.keys())


async def require_batch(reader: Reader, batch_id: str) -> None:
    """Raise `BatchNotFound` unless the batch is one of the reader's organization."""
    if not (await reader.ask_many(RowById(batches, frozenset()), [batch_id]))[0]:
        raise BatchNotFound("There is no batch with this id.")


async def callback_history(reader: Reader, batch_id: str, page: int = PAGE) -> AsyncIterator[list[DeliveryDocument]]:
    """All deliveries of a batch with all their attempts, oldest first, in pages: the memory of one page at a time.

    At least one page comes, which is empty for a batch without deliveries.
    """
    after = None
    while True:
        question = RowsOf(batch_callback_deliveries.c.batch_id, WHOLE_DELIVERY, OLDEST_FIRST, page, after)
        deliveries = (await reader.ask_many(question, [batch_id]))[0]
        attempts = await reader.ask_many(
            RowsOf(batch_callback_delivery_attempts.c.delivery_id, WHOLE_ATTEMPT, IN_SEQUENCE),
            [delivery.id for delivery in deliveries],
        )
        yield [delivery_document(*pair) for pair in zip(deliveries, attempts, strict=True)]
        if len(deliveries) < page:
            return
        after = deliveries[-1].created_at, deliveries[-1].id
