"""What the gateway uses of graphql-core beyond what it documents, in one place.

`tests/schema/test_graphql_core_internals.py` holds each name, so that an upgrade which moves one fails there by its
name. Beside these, `run` passes the executor `max_coercion_errors` and `hide_suggestions`.
"""

from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    specified_rules,
)
from graphql.execution import values
from graphql.validation.validate import ValidationAbortedError

OVERLAPS = 20_000  # steps that checking whether fields of one name agree may take: a document of any use needs hundreds
VariableValues = values.VariableValues
NO_VARIABLES = VariableValues({}, {})
TOO_MANY_TOKENS = "Syntax Error: Document contains more than"  # no other sign tells this syntax error from others


class OverlappingFields(OverlappingFieldsCanBeMergedRule):
    """The one rule whose work grows faster than the document, on a budget (`remaining_complexity_budget`)."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = OVERLAPS


RULES = tuple(OverlappingFields if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules)


def is_aborted(mistakes: list[GraphQLError]) -> bool:
    """Whether validation ended before it was done (`ValidationAbortedError` comes last): at too many mistakes, or at
    the end of the budget."""
    return bool(mistakes) and isinstance(mistakes[-1], ValidationAbortedError)


def has_too_many_tokens(error: GraphQLSyntaxError) -> bool:
    """Whether a document was not read to its end for having too many tokens (the text of the error)."""
    return error.message.startswith(TOO_MANY_TOKENS)


def variable_values(
    schema: GraphQLSchema, operation: OperationDefinitionNode, given: dict[str, Any], **options: Any
) -> VariableValues | list[GraphQLError]:
    """The values of an operation's variables, or what is wrong with those that were given (`get_variable_values`, whose
    `options` are `max_errors` and `hide_suggestions`)."""
    definitions = operation.variable_definitions
    return values.get_variable_values(schema, definitions, given, **options) if definitions else NO_VARIABLES
