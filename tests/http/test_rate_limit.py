"""A credential's requests: so many at once, so many a second in the long run."""

import pytest

from gateway.errors import RateLimited
from gateway.http import rate_limit
from gateway.http.rate_limit import RateLimiter
from gateway.settings import HttpSettings


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(limiter: RateLimiter, credential: str) -> int:
    """How many requests are let through at once."""
    for count in range(100):
        try:
            limiter.admit(credential)
        except RateLimited:
            return count
    return 100


def test_a_burst_passes_and_then_as_many_as_come_back() -> None:
    clock = Clock()
    limiter = RateLimiter(HttpSettings(rate_limit=2, rate_limit_burst=5), clock=clock)
    assert admitted(limiter, "ada") == 5
    clock.now += 1.5
    assert admitted(limiter, "ada") == 3
    clock.now += 1000
    assert admitted(limiter, "ada") == 5


def test_credentials_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(HttpSettings(rate_limit=1, rate_limit_burst=2), clock=Clock())
    assert admitted(limiter, "ada") == admitted(limiter, "bob") == 2


def test_a_refusal_says_when_to_come_back() -> None:
    clock = Clock()
    limiter = RateLimiter(HttpSettings(rate_limit=0.5, rate_limit_burst=1), clock=clock)
    limiter.admit("ada")
    with pytest.raises(RateLimited, match="try again in 2 s"):
        limiter.admit("ada")
    clock.now += 2
    limiter.admit("ada")


def test_what_a_request_cost_beyond_one_is_waited_for() -> None:
    clock = Clock()
    limiter = RateLimiter(HttpSettings(rate_limit=1, rate_limit_burst=3), clock=clock)
    limiter.admit("ada")
    limiter.charge("ada", 4)
    clock.now += 2
    assert admitted(limiter, "ada") == 0
    clock.now += 1
    assert admitted(limiter, "ada") == 1


def test_no_rate_is_no_limit() -> None:
    limiter = RateLimiter(HttpSettings(rate_limit=0, rate_limit_burst=1), clock=Clock())
    limiter.charge("ada", 1000)
    assert admitted(limiter, "ada") == 100


def test_full_buckets_are_forgotten_and_others_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "BUCKETS_REMEMBERED", 2)
    clock = Clock()
    limiter = RateLimiter(HttpSettings(rate_limit=1, rate_limit_burst=10), clock=clock)
    limiter.charge("ada", 100)
    limiter.admit("bob")
    clock.now += 5
    limiter.admit("cyd")
    assert limiter._buckets.keys() == {"ada", "cyd"}
    assert admitted(limiter, "ada") == 0
