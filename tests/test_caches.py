"""Caches that count."""

from gateway.caches import CountedCache, ExpiringCache


def test_what_was_used_last_stays_and_answers_are_counted() -> None:
    cache: CountedCache[str, int] = CountedCache(2)
    cache["a"], cache["b"] = 1, 2
    assert cache.get("a") == 1
    cache["c"] = 3
    assert "b" not in cache
    assert cache.get("b") is None
    assert (len(cache), cache.hits, cache.misses) == (2, 1, 1)


def test_each_value_expires_at_its_time_and_the_oldest_makes_room() -> None:
    now = 0.0
    cache: ExpiringCache[str, int] = ExpiringCache(2, lambda: now)
    cache.put("a", 1, 10)
    assert (cache.get("a"), cache.get("b")) == (1, None)
    now = 9.0
    cache.put("b", 2, 10)
    cache.put("c", 3, 10)
    assert [cache.get(name) for name in "abc"] == [None, 2, 3]
    now = 19.0
    assert cache.get("b") is None
