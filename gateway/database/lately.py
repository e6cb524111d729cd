"""What happened lately."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Lately(Generic[K]):
    """Remembers for so many seconds what was noted, the newest `size` of it."""

    def __init__(self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._until: dict[K, float] = {}

    def note(self, what: K) -> None:
        """It happens now."""
        self._until.pop(what, None)
        while len(self._until) >= self._size:
            del self._until[next(iter(self._until))]
        self._until[what] = self._clock() + self._seconds

    def __contains__(self, what: K) -> bool:
        until = self._until.get(what)
        return until is not None and self._clock() < until
