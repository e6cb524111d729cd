"""What happened lately."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Remembered(Generic[K, T]):
    """At most `size` values, each for a while; the oldest make room for new ones."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._values: dict[K, tuple[float, T]] = {}

    def get(self, key: K) -> T | None:
        """The value, unless its time is over."""
        found = self._values.get(key)
        return None if found is None or found[0] <= self._clock() else found[1]

    def put(self, key: K, value: T, seconds: float) -> None:
        """Remember a value for so many seconds from now."""
        self._values.pop(key, None)
        while len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = self._clock() + seconds, value


class Lately(Generic[K]):
    """Remembers for so many seconds what was noted, the newest `size` of it."""

    def __init__(self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._noted: Remembered[K, bool] = Remembered(size, clock)

    def note(self, what: K) -> None:
        """It happens now."""
        self._noted.put(what, True, self._seconds)

    def __contains__(self, what: K) -> bool:
        return self._noted.get(what) is not None
