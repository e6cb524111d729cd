"""Caches that count what they were asked."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K")
V = TypeVar("V")


class CountedCache(LRUCache[K, V], Generic[K, V]):
    """The values used last: at most `maxsize` of them, or of their sizes as `getsizeof` has them.

    `hits` and `misses` count the answers of `get`.
    """

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.hits = 0
        self.misses = 0

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, which is now the one used last."""
        try:
            value = self[key]
        except KeyError:
            self.misses += 1
            return default
        self.hits += 1
        return value
