"""What belongs to the whole callback history of a batch."""

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import BatchNotFound
from gateway.reading.contract import AttemptDocument, DeliveryDocument
from gateway.reading.loaders import Reader, RowById
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
