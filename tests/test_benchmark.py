"""The benchmark compares what is comparable: every server gives the same answer, or there are no figures."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.database.address import parse_url
from gateway.database.engine import Database
from gateway.settings import Profile, Settings
from gateway.viewer import READ, READ_SECRETS
from gateway.writing.api_keys import create_key
from tests.benchmark import in_memory, plain, textbook
from tests.benchmark.client import Address, ask, send
from tests.benchmark.compare import compare_faces
from tests.benchmark.floors import Constant, Handwritten
from tests.benchmark.measure import Lane, Sample, compare, exchanges, ratio
from tests.benchmark.refusal import Refused
from tests.benchmark.requests import Question, get, post, questions
from tests.benchmark.rows import ORGANIZATION, Layout, fill
from tests.benchmark.targets import PARTS
from tests.support.serving import serving
from tests.support.twin import create_twin

KEY, SECRETS_KEY = "benchmark-key", "secrets-key"
LAYOUT = Layout.of(wide=(3, 4, 3), usual=(23, 2, 3))
APPS: dict[str, Callable[[str], Any]] = {
    "planned": lambda url: create_app(Settings(database_url=url, rate_limit=0)),
    "ordinary": lambda url: create_app(Settings(database_url=url, rate_limit=0)),
    "quiet": lambda url: create_app(Settings(database_url=url, rate_limit=0, access_log=False, metrics=False)),
    "development": lambda url: create_app(Settings(database_url=url, rate_limit=0, profile=Profile.DEVELOPMENT)),
    "textbook": textbook.create_app,
    "plain": plain.create_app,
    "fastapi": lambda url: create_twin(create_async_engine(url, poolclass=NullPool)),
    "handwritten": Handwritten,
    "constant": lambda _: Constant(),
}


@dataclass(frozen=True, slots=True)
class Arena:
    """All servers over the same rows, and what they are asked."""

    addresses: Mapping[str, Address]
    questions: Mapping[str, Question]


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return Address(str(parts.hostname), int(parts.port or 0))


@pytest.fixture(scope="module")
def arena(module_database_url: str) -> Iterator[Arena]:
    url = parse_url(module_database_url).url.render_as_string(hide_password=False)

    async def furnish() -> None:
        await fill(url, LAYOUT)
        database = Database(url)
        await create_key(database, ORGANIZATION, "benchmark", [READ], KEY)
        await create_key(database, ORGANIZATION, "secrets", [READ, READ_SECRETS], SECRETS_KEY)
        await database.close()

    asyncio.run(furnish())
    with ExitStack() as stack:
        addresses = {name: address_of(stack.enter_context(serving(app(url)))) for name, app in APPS.items()}
        yield Arena(addresses, questions(LAYOUT, KEY, SECRETS_KEY))


@pytest.mark.parametrize("part", PARTS)
async def test_every_server_of_a_part_gives_the_same_answer(arena: Arena, part: str) -> None:
    bodies = await compare(PARTS[part], arena.addresses, arena.questions)
    assert all(b'"errors"' not in body for answers in bodies.values() for body in answers)
    compare_faces(bodies)


async def test_a_page_is_full_and_a_history_long(arena: Arena) -> None:
    page = await ask(arena.addresses["handwritten"], arena.questions["page20"].requests[0])
    assert (page.body.count(b'"callbackDeliveries"'), page.body.count(b'"attemptNumber"')) == (20, 20 * 2 * 3)
    history = await ask(arena.addresses["fastapi"], arena.questions["rest50"].requests[0])
    assert history.body.count(b'"event":"batch.succeeded"') == 4


def answering(body: bytes) -> Any:
    """An app that answers this, whatever it is asked."""

    async def app(scope: Scope, receive: Receive, send_: Send) -> None:
        if scope["type"] == "lifespan":
            await Constant()(scope, receive, send_)
            return
        headers = [(b"content-length", b"%d" % len(body))]
        await send_({"type": "http.response.start", "status": 200, "headers": headers})
        await send_({"type": "http.response.body", "body": body})

    return app


async def test_an_answer_unlike_the_others_is_refused() -> None:
    with serving(Constant()) as one, serving(answering(b'{"data":{"__typename":"Mutation"}}')) as other:
        addresses = {"constant": address_of(one), "other": address_of(other)}
        asked = {"typename": Question("typename", [post("{ __typename }", KEY)])}
        with pytest.raises(Refused, match="other answers typename unlike constant"):
            await compare([Lane("constant", "typename"), Lane("other", "typename")], addresses, asked)


async def test_spaces_in_json_are_no_difference() -> None:
    with serving(Constant()) as one, serving(answering(b'{"data": {"__typename": "Query"}}')) as other:
        addresses = {"constant": address_of(one), "other": address_of(other)}
        asked = {"typename": Question("typename", [post("{ __typename }", KEY)])}
        await compare([Lane("constant", "typename"), Lane("other", "typename")], addresses, asked)


async def test_an_answer_that_changes_under_load_is_refused() -> None:
    question = Question("typename", [post("{ __typename }", KEY)])
    with serving(Constant()) as url, pytest.raises(Refused, match="another payload than before"):
        await send(address_of(url), exchanges(question, [b"{}"], 0), connections=2, seconds=60)


async def test_errors_under_load_are_refused() -> None:
    question = Question("typename", [post("{ __typename }", KEY)])
    with serving(answering(b'{"errors":[]}')) as url, pytest.raises(Refused, match="an answer with errors"):
        await send(address_of(url), exchanges(question, [], 0), connections=2, seconds=60)


async def test_another_status_is_refused(arena: Arena) -> None:
    with pytest.raises(Refused, match="401"):
        await ask(arena.addresses["planned"], get("/v1/batches/0/callback", "unknown-key"))


async def test_a_large_answer_in_pieces_is_taken_whole() -> None:
    body = b"x" * 3_000_000
    with serving(answering(body)) as url:
        assert (await ask(address_of(url), get("/", KEY))).body == body


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    ours = [Sample(requests, 1.0, cpu_seconds=1.0, client_seconds=0.0) for requests in (10, 1000, 30)]
    theirs = [Sample(10, 1.0, cpu_seconds=2.0, client_seconds=0.0)] * 3
    assert ratio(ours, theirs, "requests/s") == 3
    assert ratio(ours, theirs, "time") == pytest.approx(1 / 3)
    assert ratio(ours, theirs, "CPU") == pytest.approx(0.1 / 0.6)


def test_graphql_core_answers_the_page_in_memory() -> None:
    body = in_memory.graphql_core()()
    assert body.startswith(b'{"data":{"batches":{"nodes":[{"id":"')
    assert body.count(b'"attemptNumber":') == 600
