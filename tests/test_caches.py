"""Caches that count."""

from gateway.caches import CountedCache


def test_what_was_used_last_stays_and_answers_are_counted() -> None:
    cache: CountedCache[str, int] = CountedCache(2)
    cache["a"], cache["b"] = 1, 2
    assert cache.get("a") == 1
    cache["c"] = 3
    assert "b" not in cache
    assert cache.get("b") is None
    assert (len(cache), cache.hits, cache.misses) == (2, 1, 1)
