"""What belongs to the whole callback history of a batch."""

from dataclasses import dataclass

from sqlalchemy import exists

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import BatchNotFound
from gateway.reading.contract import AttemptDocument, DeliveryDocument
from gateway.reading.filters import Conditions, FilterValues
from gateway.reading.pages import Order, Position
from gateway.reading.questions import RowById, RowsOf
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility

HISTORY_PAGE = 100
OLDEST_FIRST = Order("created_at")
IN_SEQUENCE = Order("attempt_number")
WHOLE_DELIVERY = frozenset(DeliveryDocument.model_fields) & set(batch_callback_deliveries.c.keys())
WHOLE_ATTEMPT = frozenset(AttemptDocument.model_fields) & set(batch_callback_delivery_attempts.c.keys())


@dataclass(frozen=True, slots=True)
class BatchExists:
    """A filter that keeps the deliveries of batches: where some are found, so is their batch."""

    def parameterised(
        self,
        scope: Visibility,
        name: str = "where",
    ) -> tuple["BatchExists", FilterValues]:
        """The filter itself: there is no value in it."""
        return self, {}

    def conditions(self, scope: Visibility) -> Conditions:
        """What a kept delivery satisfies."""
        of = batch_callback_deliveries.c.batch_id
        yield exists().where(batches.c.id == of, batches.c.org_id == scope.organization)


def deliveries_of(first: int, after: Position | None = None) -> RowsOf:
    """The next deliveries of a batch that is there, with all their columns."""
    of = batch_callback_deliveries.c.batch_id
    return RowsOf(of, WHOLE_DELIVERY, OLDEST_FIRST, first, after, BatchExists())


async def require_batch(reader: Reader, batch_id: str) -> None:
    """Raise `BatchNotFound` unless the batch is one of the reader's organization."""
    if not (await reader.fetch(RowById(batches, frozenset()), [batch_id]))[0]:
        raise BatchNotFound("There is no batch with this id.")
