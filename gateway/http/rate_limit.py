"""How often one credential may ask: a token bucket each, in the process."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import RateLimited
from gateway.settings import HttpSettings

BUCKETS_REMEMBERED = 10_000


@dataclass(slots=True)
class Bucket:
    """What is left, and when that was."""

    left: float
    at: float


class RateLimiter:
    """Lets `rate_limit_burst` requests of one credential through at once, and `rate_limit` a second in the long run.

    What a request turns out to cost beyond that is charged afterwards, so that whoever sends work for the parser waits
    longer, and others do not.
    """

    def __init__(self, settings: HttpSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = settings.rate_limit  # 0 is no limit
        self.burst = settings.rate_limit_burst
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def admit(self, credential: str) -> None:
        """Count one request; `RateLimited` where none is left."""
        if not self.rate:
            return
        bucket = self._bucket(credential)
        if bucket.left < 1:
            seconds = math.ceil((1 - bucket.left) / self.rate)
            raise RateLimited(f"Too many requests: try again in {seconds} s.", seconds)
        bucket.left -= 1

    def charge(self, credential: str, requests: float) -> None:
        """Count as many requests more."""
        if self.rate:
            self._bucket(credential).left -= requests

    def _bucket(self, credential: str) -> Bucket:
        """The credential's bucket, refilled. The full ones are forgotten when there are many: a new one is full too."""
        now = self._clock()
        bucket = self._buckets.get(credential)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_REMEMBERED:
                self._buckets = {
                    name: kept for name, kept in self._buckets.items() if self._refill(kept, now) < self.burst
                }
            bucket = self._buckets[credential] = Bucket(self.burst, now)
        self._refill(bucket, now)
        return bucket

    def _refill(self, bucket: Bucket, now: float) -> float:
        bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.rate)
        bucket.at = now
        return bucket.left
