"""A field's arguments, as its source or resolver takes them."""

from collections.abc import Collection
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_argument_values,
)
from strawberry.types.field import StrawberryField

from gateway.schema.graphql_core_internals import VariableValues
from gateway.schema.query import schema
from gateway.schema.strawberry_internals import converted


class Arguments:
    """The arguments of one field of a document.

    Those without a variable in them are converted once. graphql-core converts the arguments of a field at once, so the
    others are given to it as a field of their own, which has no more arguments than these.
    """

    def __init__(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> None:
        self._field = field
        self._open = {argument.name.value for argument in node.arguments or () if _has_variable(argument.value)}
        self._opened = _restricted(definition, node, self._open)
        self._fixed = self._convert(*_restricted(definition, node, definition.args.keys() - self._open), None)

    @property
    def fixed(self) -> bool:
        """Whether they are the same for all requests."""
        return not self._open

    def of(self, variables: VariableValues | None) -> dict[str, Any]:
        """The arguments by their names in Python, not to be changed; None for the variables where they are fixed."""
        return {**self._fixed, **self._convert(*self._opened, variables)} if self._open else self._fixed

    def _convert(self, definition: GraphQLField, node: FieldNode, variables: VariableValues | None) -> dict[str, Any]:
        return converted(self._field, get_argument_values(definition, node, variables), schema)


def _restricted(definition: GraphQLField, node: FieldNode, names: Collection[str]) -> tuple[GraphQLField, FieldNode]:
    """The field as if it had these arguments alone."""
    args = {name: argument for name, argument in definition.args.items() if name in names}
    given = tuple(argument for argument in node.arguments or () if argument.name.value in names)
    return GraphQLField(definition.type, args), FieldNode(name=node.name, arguments=given)


def _has_variable(value: ValueNode) -> bool:
    """Whether there is a variable in a value."""
    if isinstance(value, ListValueNode):
        return any(map(_has_variable, value.values))
    if isinstance(value, ObjectValueNode):
        return any(_has_variable(field.value) for field in value.fields)
    return isinstance(value, VariableNode)
