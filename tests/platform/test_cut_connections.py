"""Redeliveries in numbers, over connections that are cut at every point: nothing twice, nothing told wrongly."""

import asyncio
from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest

from gateway.database.engine import Database
from tests.support.acting import acting, ended
from tests.support.platform import REFUSALS, TAKEN, UNTAKEN, platform_over
from tests.support.rows import identifier, store

pytestmark = pytest.mark.anyio

AT_ONCE = 6
DOCUMENT = """mutation ($id: ID!) { redeliverCallback(input: {batchId: $id}) {
  __typename ... on RedeliveryMade { delivery { id } } } }"""
SELDOM = {"slow"}  # it takes as long as an answer may


@pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.thorough)])
async def test_none_is_sent_twice_and_none_is_told_refused_that_was_taken(
    database: Database, database_url: str, count: int
) -> None:
    random = Random(7)  # noqa: S311
    ways = [how for how in (*TAKEN, *UNTAKEN, *REFUSALS) for _ in range(1 if how in SELDOM else 5)]
    wanted = {identifier(0xBA, number): random.choice(ways) for number in range(1, count + 1)}
    await store(database, ended(count))
    told: dict[str, Any] = {}
    async with (
        platform_over(database, wanted.__getitem__) as platform,
        acting(database, database_url, platform.url, platform_at_once=AT_ONCE, platform_answer_seconds=4) as client,
    ):
        left = iter(wanted)

        async def some() -> None:
            for id_ in left:
                told[id_] = await again(client, id_)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    assert set(Counter(request.batch_id for request in platform.seen).values()) == {1}
    taken = {request.batch_id: request.delivery_id for request in platform.seen if request.delivery_id is not None}
    kinds = {id_: result["__typename"] for id_, result in told.items()}
    assert len(kinds) == count
    made = {id_: told[id_]["delivery"]["id"] for id_, kind in kinds.items() if kind == "RedeliveryMade"}
    of = {kind: {id_ for id_, told_kind in kinds.items() if told_kind == kind} for kind in set(kinds.values())}
    assert made == {id_: taken.get(id_) for id_ in made}
    assert not of["RedeliveryRefused"] & taken.keys()
    assert taken.keys() - made.keys() <= of["RedeliveryUnknown"]
    assert {wanted[id_] for id_ in of["RedeliveryRefused"]} >= set(REFUSALS)
    assert made


async def again(client: httpx.AsyncClient, id_: str) -> Any:
    answer = await client.post("/graphql", json={"query": DOCUMENT, "variables": {"id": id_}}, timeout=60)
    return answer.json()["data"]["redeliverCallback"]
