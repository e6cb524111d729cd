"""A document as operators may see it: what was asked for, and no value."""

from dataclasses import replace
from typing import Any

from graphql import (
    DocumentNode,
    FloatValueNode,
    FragmentDefinitionNode,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    VariableDefinitionNode,
    Visitor,
    print_ast,
    visit,
)

SHOWN_OF_DOCUMENT = 10_000  # characters of it that are shown

DESCRIBED = OperationDefinitionNode | FragmentDefinitionNode | VariableDefinitionNode


class _Empty(Visitor):
    """Takes the values away, and what people wrote beside them."""

    def enter(self, node: Node, *_: Any) -> Any:
        """What stands in the place of a node."""
        if isinstance(node, DESCRIBED) and node.description is not None:
            return replace(node, description=None)
        if isinstance(node, StringValueNode):
            return StringValueNode(value="", block=False)
        if isinstance(node, IntValueNode | FloatValueNode):
            return IntValueNode(value="0")
        if isinstance(node, ListValueNode):
            return ListValueNode(values=())
        if isinstance(node, ObjectValueNode):
            return ObjectValueNode(fields=())
        return None


def normalised(document: DocumentNode) -> str:
    """The document without literals: strings are empty, numbers 0, lists and objects hold nothing. No comments."""
    return print_ast(visit(document, _Empty()))[:SHOWN_OF_DOCUMENT]
