"""How much one operation may ask for: hostile documents are refused early, and a cost is what the answer might hold."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from graphql import get_introspection_query, parse

from gateway.errors import LimitExceeded, VariableLimitExceeded
from gateway.execution.documents import Documents
from gateway.execution.limits import NESTING, check_document, check_variables
from gateway.schema.query import schema
from gateway.settings import DocumentSettings, Profile
from tests.support.hostile import DOCUMENTS, bomb, inner_bomb
from tests.support.unlimited import unlimited

SCHEMA = schema._schema
PRODUCTION = DocumentSettings(profile=Profile.PRODUCTION)
DEVELOPMENT = DocumentSettings(profile=Profile.DEVELOPMENT)


def cost(query: str, **variables: Any) -> int:
    """The cost of a document's only operation."""
    ((_, cost, _),) = check_document(parse(query), SCHEMA, unlimited())
    return cost.of(variables)


def calls(work: Callable[[], object]) -> int:
    """How many functions the work calls."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", DOCUMENTS)
def test_hostile_documents_are_refused_with_their_code(name: str) -> None:
    document, code = DOCUMENTS[name]
    documents = Documents(SCHEMA, PRODUCTION)
    checked = documents.check(document)
    if code == "COST_LIMIT_EXCEEDED":
        assert checked.operation(None).cost.of({}) > PRODUCTION.max_cost
    else:
        assert checked.document is None
        assert [error["extensions"]["code"] for error in checked.errors] == [code]


@pytest.mark.parametrize("make", [bomb, inner_bomb])
def test_the_walk_over_a_bomb_grows_with_its_text(make: Callable[[int], str]) -> None:
    def walk(levels: int) -> int:
        document = parse(make(levels))
        return calls(lambda: check_document(document, SCHEMA, unlimited()))

    assert walk(24) < 2.2 * walk(12)
    assert walk(24) < 24 * 100


def test_a_bomb_is_counted_as_it_would_be_executed() -> None:
    with pytest.raises(LimitExceeded) as refused:
        check_document(parse(bomb(22)), SCHEMA, unlimited(max_root_fields=20))
    assert refused.value.extensions == {"code": "ROOT_FIELD_LIMIT_EXCEEDED", "limit": 20, "actual": 2**22}


def test_numbers_stay_such_as_every_client_can_read() -> None:
    with pytest.raises(LimitExceeded) as refused:
        check_document(parse(bomb(80)), SCHEMA, unlimited(max_selections=20))
    assert refused.value.actual == 2**31 - 1


@pytest.mark.parametrize(
    ("query", "limits", "extensions"),
    [
        ("{a{b{c}}}", unlimited(max_depth=2), {"code": "DEPTH_LIMIT_EXCEEDED", "limit": 2, "actual": 3}),
        ("{a ...{b}}", unlimited(max_root_fields=1), {"code": "ROOT_FIELD_LIMIT_EXCEEDED", "limit": 1, "actual": 2}),
        ("{x:a y:a}", unlimited(max_aliases=1), {"code": "ALIAS_LIMIT_EXCEEDED", "limit": 1, "actual": 2}),
        (
            "query ($v: Int @d) @d {a @d ...{b @d} ...f @d} fragment f on Q @d {c}",
            unlimited(max_directives=5),
            {"code": "DIRECTIVE_LIMIT_EXCEEDED", "limit": 5, "actual": 6},
        ),
        (
            "{a ...f ...f} fragment f on Q{b}",
            unlimited(max_selections=4),
            {"code": "SELECTION_LIMIT_EXCEEDED", "limit": 4, "actual": 5},
        ),
        (
            "{a} fragment f on Q{b{c}}",
            unlimited(max_depth=1),
            {"code": "DEPTH_LIMIT_EXCEEDED", "limit": 1, "actual": 2},
        ),
    ],
)
def test_each_limit_has_its_code_and_its_numbers(
    query: str, limits: DocumentSettings, extensions: dict[str, Any]
) -> None:
    with pytest.raises(LimitExceeded) as refused:
        check_document(parse(query), SCHEMA, limits)
    assert refused.value.extensions == extensions


def test_what_is_exactly_at_the_limits_passes() -> None:
    limits = unlimited(max_depth=2, max_root_fields=2, max_aliases=1, max_directives=1, max_selections=3)
    assert len(check_document(parse("{x:a @d b{c}}"), SCHEMA, limits)) == 1


def test_fragments_that_spread_themselves_end_the_walk() -> None:
    document = parse("{...f} fragment f on Query{batch(id:1){id} ...g} fragment g on Query{...f ...unknown}")
    ((_, cost, _),) = check_document(document, SCHEMA, unlimited())
    assert cost.of({}) == 1


def test_nesting_is_bounded_without_any_limit() -> None:
    deep = "{...on Query" * NESTING + "{a}" + "}" * NESTING
    with pytest.raises(LimitExceeded):
        check_document(parse(deep), SCHEMA, unlimited())


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{__typename}", {}, 0),
        ("{viewer{scopes}}", {}, 0),
        ("{batch(id:1){id}}", {}, 1),
        ("{batch(id:1){callbackDeliveries{id}}}", {}, 1 + 100),
        ("{batch(id:1){callbackDeliveries(first:7){attempts(first:3){id}}}}", {}, 1 + 7 * (1 + 3)),
        ("{batch(id:1){callbackDeliveries{latestAttempt{id} batch{id}}}}", {}, 1 + 100 * 3),
        ("query($n:Int!){batch(id:1){callbackDeliveries(first:$n){id}}}", {"n": 9}, 1 + 9),
        ("query($n:Int!){batch(id:1){callbackDeliveries(first:$n){id}}}", {"n": 9.0}, 1 + 9),
        ("query($n:Int=4){batch(id:1){callbackDeliveries(first:$n){id}}}", {}, 1 + 4),
        ("query($n:Int){batch(id:1){callbackDeliveries(first:$n){id}}}", {"n": None}, 1 + 100),
        ("query($n:Int){batch(id:1){callbackDeliveries(first:$n){id}}}", {"n": -5}, 1),
        ("query($n:Int){batch(id:1){callbackDeliveries(first:$n){id}}}", {"n": "many"}, 1 + 100),
        ('{nodes(ids:["a","b","c"]){...on Batch{callbackDeliveries(first:2){id}}}}', {}, 3 * (1 + 2)),
        ("query($ids:[ID!]!){nodes(ids:$ids){id}}", {"ids": ["a"] * 40}, 40),
        ('query($ids:[ID!]=["a","b"]){nodes(ids:$ids){id}}', {}, 2),
        ("{batches(first:5){nodes{id}}}", {}, 5),
        ("{batches(last:5){edges{node{id}}}}", {}, 5),
        ("{batches(first:5){edges{node{id}} nodes{id} pageInfo{hasNextPage}}}", {}, 10),
        ("{batches{nodes{callbackDeliveries(first:2){id}}}}", {}, 100 * (1 + 2)),
        (
            "{batches(first:5){...page}} fragment page on BatchConnection{nodes{...row}} fragment row on Batch{id}",
            {},
            5,
        ),
        ("{batch(id:1){...a ...a}} fragment a on Batch{callbackDeliveries(first:3){id}}", {}, 1 + 3 + 3),
        ("{batch(id:1){callbackDeliveries(first:99999999999999999999){id}}}", {}, 2**31),
        ("{zzz(first:1000){id}}", {}, 0),
        ("{__schema{types{fields{type{name}}}}}", {}, 0),
    ],
)
def test_cost_is_the_number_of_objects_that_the_answer_might_hold(
    query: str, variables: dict[str, Any], expected: int
) -> None:
    assert cost(query, **variables) == expected


def test_adding_up_a_bill_takes_each_fragment_once() -> None:
    fragments = " ".join(f"fragment f{n} on Batch{{...f{n + 1} ...f{n + 1}}}" for n in range(40))
    last = "fragment f40 on Batch{callbackDeliveries(first:1){id}}"
    ((_, cost, _),) = check_document(parse(f"{{batch(id:1){{...f0}}}} {fragments} {last}"), SCHEMA, unlimited())
    assert cost.of({}) == 1 + 2**40
    assert calls(lambda: cost.of({})) < 200


def test_variables_are_counted_with_what_they_hold() -> None:
    check_variables({"a": [1, 2], "b": {"c": None}}, unlimited(max_variable_values=5))
    with pytest.raises(VariableLimitExceeded) as refused:
        check_variables({"a": [1, 2], "b": {"c": [3]}}, unlimited(max_variable_values=5))
    assert refused.value.limit == 5


@pytest.mark.parametrize("everything", [True, False])
def test_introspection_passes_in_development(everything: bool) -> None:
    options = dict.fromkeys(
        ("specified_by_url", "directive_is_repeatable", "schema_description", "input_value_deprecation"), everything
    )
    checked = Documents(SCHEMA, DEVELOPMENT).check(get_introspection_query(**options))
    assert checked.errors == ()
    assert checked.operation("IntrospectionQuery").cost.of({}) == 0


def test_natural_questions_pass_with_the_sizes_that_are_left_out() -> None:
    everything = "{callbackDeliveries{id attempts{id delivery{id}}}}"
    assert cost(f"{{batch(id:1){everything}}}") < PRODUCTION.max_cost
    deliveries_and_attempts = "{callbackDeliveries{id attempts{id}}}"
    hundred = {"ids": ["a"] * 100}
    assert (
        cost(f"query($ids:[ID!]!){{nodes(ids:$ids){{...on Batch{deliveries_and_attempts}}}}}", **hundred) == 1_010_100
    )
    assert PRODUCTION.max_cost > 1_010_100
