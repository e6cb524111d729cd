"""Each internal of graphql-core that the gateway uses, by its name: an upgrade that moves one fails here."""

import inspect

import pytest
from graphql import (
    GraphQLSyntaxError,
    OperationDefinitionNode,
    build_schema,
    execute,
    parse,
    validate,
)
from graphql.execution.values import VariableValues

from gateway.schema import graphql_core_internals as internals

SCHEMA = build_schema("type Query { a(of: Int): Query b: Int }")


def operation(text: str) -> OperationDefinitionNode:
    """The only operation of a document."""
    (definition,) = parse(text).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


def test_remaining_complexity_budget_ends_validation_with_validation_aborted_error() -> None:
    many = " ".join(f"a(of: {number}) {{ b }}" for number in range(300))
    mistakes = validate(SCHEMA, parse(f"{{ {many} }}"), internals.RULES, 100_000)
    assert internals.is_aborted(mistakes)
    assert not internals.is_aborted(validate(SCHEMA, parse("{ c }"), internals.RULES))


def test_too_many_mistakes_end_with_validation_aborted_error() -> None:
    assert internals.is_aborted(validate(SCHEMA, parse("{ c d e }"), internals.RULES, 1))


def test_the_text_of_a_syntax_error_tells_too_many_tokens() -> None:
    with pytest.raises(GraphQLSyntaxError) as many:
        parse("{ b b b }", max_lexical_tokens=3)
    with pytest.raises(GraphQLSyntaxError) as other:
        parse("{ b")
    assert [internals.has_too_many_tokens(raised.value) for raised in (many, other)] == [True, False]


def test_get_variable_values_gives_variable_values_or_what_is_wrong() -> None:
    asked = operation("query ($of: Int!) { a(of: $of) { b } }")
    found = internals.variable_values(SCHEMA, asked, {"of": 1})
    assert isinstance(found, VariableValues)
    assert found.coerced == {"of": 1}
    assert isinstance(internals.variable_values(SCHEMA, asked, {"of": "x"}), list)
    assert internals.variable_values(SCHEMA, operation("{ b }"), {}) is internals.NO_VARIABLES


def test_the_executor_takes_max_coercion_errors_and_validation_hides_suggestions() -> None:
    assert "hide_suggestions" in inspect.signature(validate).parameters
    result = execute(
        SCHEMA, parse("query ($x: [Int!]) { b }"), variable_values={"x": ["a", "b"]}, max_coercion_errors=1
    )
    assert "Too many" in str(result.errors[-1])  # type: ignore[union-attr, index]
