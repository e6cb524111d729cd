"""What may come of a redelivery that somebody asks for.

Made       the platform took it, and this is the delivery
Refused    nothing was sent, or the platform took nothing: it may be asked for again, if `reason` allows it
Unknown    it was sent, and nobody knows what the platform did: look at the batch before anybody asks again
Planned    nothing was sent, since only a plan was asked for
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

Row = Mapping[str, Any]


class Refusal(Enum):
    """Why a callback was not delivered again."""

    BATCH_NOT_FOUND = "There is no batch with this id."
    NOT_ENDED = "The batch has not ended: its callback has not been sent yet."
    NO_CALLBACK_URL = "The batch has no callback URL."
    CONFLICT = "A delivery of this batch is in flight: there is one at a time."
    CHANGED = "The batch has another latest delivery than when the plan was made."
    NOT_ALLOWED = "The platform does not let this credential do it."
    PLATFORM_UNAVAILABLE = "The platform cannot take it just now."
    NOT_BEGUN = "It was not begun: the time was over, or the gateway is about to stop."
    NOT_OFFERED = "This gateway has no platform to ask."
    REFUSED = "The platform refused it."


@dataclass(frozen=True, slots=True)
class Made:
    """The platform made a delivery, whose row this is; `found_in_rows` where its answer was lost."""

    batch_id: str
    delivery: Row
    found_in_rows: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done."""

    batch_id: str
    reason: Refusal
    message: str

    @classmethod
    def because(cls, batch_id: str, reason: Refusal) -> "Refused":
        """A refusal in its own words."""
        return cls(batch_id, reason, reason.value)


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent, and there is no trace of what came of it."""

    batch_id: str
    message: str = (
        "The platform was asked, its answer was lost, and the rows show no new delivery yet. It was not asked again: "
        "look at the batch's deliveries before you do."
    )


@dataclass(frozen=True, slots=True)
class Planned:
    """It would be sent; the row of the batch's latest delivery."""

    batch_id: str
    delivery: Row


Outcome = Made | Refused | Unknown | Planned


def code_of(outcome: Outcome) -> str:
    """The outcome in a word, for logs and metrics."""
    return outcome.reason.name if isinstance(outcome, Refused) else type(outcome).__name__.upper()
