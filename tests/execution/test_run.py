"""From a request to an answer: what a client is told when something goes wrong, and what it is not."""

import asyncio
import logging
from typing import Any, NoReturn

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
)

from gateway.deadline import Deadline
from gateway.errors import BatchNotFound, MethodNotAllowed
from gateway.execution.documents import Documents
from gateway.execution.run import Answer, GraphQLRequest, Outcome, run
from gateway.observability import request_id
from gateway.schema.context import Context
from tests.support.unlimited import unlimited_documents

SECRET = "postgresql://app:secret@db/app"
NOBODY = Context(None, None)


def _fail(*_: object) -> NoReturn:
    raise RuntimeError(SECRET)


def _miss(*_: object) -> NoReturn:
    raise BatchNotFound("There is no batch with this id.")


async def _hang(*_: object) -> NoReturn:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.Event().wait())
    raise AssertionError


async def _hang_politely(*_: object) -> NoReturn:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise RuntimeError("cannot clean up") from None
    raise AssertionError


QUERY = GraphQLObjectType(
    "Query",
    {
        "ok": GraphQLField(GraphQLString, resolve=lambda *_: "ok"),
        "fail": GraphQLField(GraphQLString, resolve=_fail),
        "needed": GraphQLField(GraphQLNonNull(GraphQLString), resolve=_fail),
        "nothing": GraphQLField(GraphQLNonNull(GraphQLString), resolve=lambda *_: None),
        "miss": GraphQLField(GraphQLString, resolve=_miss),
        "large": GraphQLField(GraphQLInt, resolve=lambda *_: 2**40),
        "hang": GraphQLField(GraphQLString, resolve=_hang),
        "hangPolitely": GraphQLField(GraphQLString, resolve=_hang_politely),
        "fails": GraphQLField(GraphQLList(GraphQLString), resolve=lambda *_: [RuntimeError(SECRET)] * 9),
        "count": GraphQLField(
            GraphQLString,
            args={"of": GraphQLArgument(GraphQLNonNull(GraphQLInt), default_value=1)},
            resolve=lambda *_, of: str(of),
        ),
    },
)
SCHEMA = GraphQLSchema(QUERY, mutation=GraphQLObjectType("Mutation", {"change": GraphQLField(GraphQLString)}))


def documents(**options: Any) -> Documents:
    return unlimited_documents(SCHEMA, **options)


async def ask(query: str, known: Documents | None = None, **options: Any) -> Answer:
    variables = options.pop("variables", None)
    name = options.pop("operation_name", None)
    return await run(GraphQLRequest(query, variables, name), known or documents(), NOBODY, **options)


async def test_an_answer_without_errors_is_complete() -> None:
    assert await ask("{ok}") == Answer({"data": {"ok": "ok"}}, Outcome.COMPLETE)


async def test_mistakes_of_clients_pass_with_their_code() -> None:
    answer = await ask("{ok miss}")
    assert answer.outcome is Outcome.PARTIAL
    assert answer.body == {
        "data": {"ok": "ok", "miss": None},
        "errors": [
            {
                "message": "There is no batch with this id.",
                "locations": [{"line": 1, "column": 5}],
                "path": ["miss"],
                "extensions": {"code": "BATCH_NOT_FOUND"},
            }
        ],
    }


@pytest.mark.parametrize("field", ["fail", "needed", "nothing"])
async def test_failures_of_ours_are_masked_and_logged(field: str, caplog: pytest.LogCaptureFixture) -> None:
    request_id.set("request-7")
    answer = await ask("{" + field + "}")
    (error,) = answer.body["errors"]
    assert error["message"] == "An unexpected error occurred."
    assert error["extensions"] == {"code": "INTERNAL_ERROR", "requestId": "request-7"}
    assert error["path"] == [field]
    assert SECRET not in str(answer.body)
    assert str(2**40) not in str(answer.body)
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert "request-7" in record.getMessage()


async def test_a_value_that_no_scalar_takes_is_not_told_and_logged_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    request_id.set("request-8")
    answer = await ask("{large}")
    (error,) = answer.body["errors"]
    assert error["message"] == "The stored value does not fit the field's type."
    assert (error["extensions"], error["path"]) == ({"code": "UNREADABLE_VALUE"}, ["large"])
    assert str(2**40) not in str(answer.body)
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert record.getMessage() == "a value does not fit its field: request request-8 at ['large']"


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("value", [None, "x", 1.5, [1, 2], {"a": 1}, 2**40])
async def test_variables_that_do_not_fit_are_never_executed(value: object, is_open: bool) -> None:
    known = documents(is_open=is_open)
    answer = await ask("query ($n: Int!) {count(of: $n)}", known, variables={"n": value})
    assert answer.outcome is Outcome.INVALID
    (error,) = answer.body["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert error["message"].startswith("Variable '$n'" if is_open else "The variable $n does not fit its type.")


async def test_production_does_not_count_what_is_wrong_with_a_variable() -> None:
    known = documents(is_open=False)
    answer = await ask("query ($n: Int!, $m: Int!) {a: count(of: $n) b: count(of: $m)}", known)
    messages = [error["message"] for error in answer.body["errors"]]
    assert messages == ["The variable $n does not fit its type.", "The variable $m does not fit its type."]


@pytest.mark.parametrize(("is_open", "message"), [(True, "Argument 'of'"), (False, "An argument does not fit")])
async def test_arguments_that_only_the_executor_can_judge_are_mistakes(is_open: bool, message: str) -> None:
    known = documents(is_open=is_open)
    answer = await ask("query ($n: Int) {count(of: $n)}", known, variables={"n": None})
    (error,) = answer.body["errors"]
    assert answer.outcome is Outcome.PARTIAL
    assert error["message"].startswith(message)
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_only_so_many_failures_are_reported() -> None:
    answer = await ask("{fails}", documents(max_errors=3))
    codes = [error["extensions"]["code"] for error in answer.body["errors"]]
    assert codes == ["INTERNAL_ERROR"] * 3 + ["ERROR_LIMIT_EXCEEDED"]


@pytest.mark.parametrize("field", ["hang", "hangPolitely"])
async def test_the_deadline_answers_even_where_nothing_can_be_cleaned_up(field: str) -> None:
    answer = await ask("{ok " + field + "}", deadline=Deadline(0.01))
    assert answer.outcome is Outcome.TIMED_OUT
    assert answer.body["errors"][0]["extensions"] == {"code": "DEADLINE_EXCEEDED", "limit": 0.01, "actual": None}
    assert "fewer rows" in answer.body["errors"][0]["message"]
    assert "data" not in answer.body


async def test_an_answer_in_time_is_not_touched_by_the_deadline() -> None:
    assert (await ask("{ok}", deadline=Deadline(5))).outcome is Outcome.COMPLETE


async def test_who_gives_up_takes_the_work_along() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask("{hangPolitely}", deadline=Deadline(60)), 0.01)


async def test_what_may_only_read_runs_no_mutation() -> None:
    document = "query a {ok} mutation b {change}"
    assert (await ask(document, operation_name="a", reads_only=True)).executed
    with pytest.raises(MethodNotAllowed):
        await ask(document, operation_name="b", reads_only=True)
    with pytest.raises(MethodNotAllowed):
        await ask("mutation {unknown}", reads_only=True)


@pytest.mark.parametrize("reads_only", [True, False])
async def test_the_operation_to_run_must_be_there(reads_only: bool) -> None:
    answer = await ask("query a {ok} query b {ok}", reads_only=reads_only)
    assert answer.body["errors"][0]["extensions"] == {"code": "OPERATION_NOT_FOUND"}
    assert not answer.executed


@pytest.mark.parametrize(
    ("query", "outcome"),
    [("{", Outcome.UNPARSABLE), ("{zzz}", Outcome.INVALID), ("{ok{x}}", Outcome.INVALID)],
)
async def test_what_does_not_fit_has_no_data(query: str, outcome: Outcome) -> None:
    answer = await ask(query)
    assert answer.outcome is outcome
    assert set(answer.body) == {"errors"}


async def test_too_many_variables_are_refused_before_they_are_understood() -> None:
    known = documents(max_variable_values=3)
    answer = await ask("query ($n: Int!) {count(of: $n)}", known, variables={"n": [1, 2, 3]})
    assert answer.body["errors"][0]["extensions"] == {"code": "VARIABLE_LIMIT_EXCEEDED", "limit": 3, "actual": 4}
