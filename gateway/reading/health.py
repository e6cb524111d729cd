"""How a delivery stands, as one word, and how a batch stands by the worst of its deliveries."""

from enum import IntEnum

from sqlalchemy import ColumnElement, case

from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.reading.filters import in_flight, overdue
from gateway.reading.visibility import Visibility

DELIVERED = "delivered"
FAILED = "failed"


class CallbackHealth(IntEnum):
    """From best to worst; a batch has the worst of its deliveries."""

    NONE = 0
    DELIVERED = 1
    PENDING = 2
    RETRYING = 3
    UNKNOWN = 4
    OVERDUE = 5
    FAILED = 6


def health(scope: Visibility) -> ColumnElement[int]:
    """The health of one delivery, as the number of a `CallbackHealth`."""
    return case(
        (overdue(scope), CallbackHealth.OVERDUE.value),
        (in_flight() & (deliveries.c.attempt_count > 0), CallbackHealth.RETRYING.value),
        (in_flight(), CallbackHealth.PENDING.value),
        (deliveries.c.status_code == DELIVERED, CallbackHealth.DELIVERED.value),
        (deliveries.c.status_code == FAILED, CallbackHealth.FAILED.value),
        else_=CallbackHealth.UNKNOWN.value,
    )
