"""Walking what a client selected, for both interpreters: the plans of `execution`, and the ordinary executor."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_directive_values,
)

from gateway.schema.graphql_core_internals import VariableValues

Fragments = Mapping[str, FragmentDefinitionNode]


def selected_fields(
    sets: Iterable[SelectionSetNode], type_: GraphQLObjectType, fragments: Fragments, variables: VariableValues
) -> Iterator[FieldNode]:
    """The fields selected on an object type, through fragments, in the order of the document; each fragment once."""
    names = {type_.name, *(interface.name for interface in type_.interfaces)}
    seen: set[str] = set()

    def walk(selections: Sequence[SelectionNode]) -> Iterator[FieldNode]:
        for node in selections:
            if node.directives and not _is_included(node, variables):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: Any = node
            if not isinstance(node, InlineFragmentNode):
                name = fragment.name.value
                if name in seen:
                    continue
                seen.add(name)
                fragment = fragments[name]
            condition = fragment.type_condition
            if condition is None or condition.name.value in names:
                yield from walk(fragment.selection_set.selections)

    for selected in sets:
        yield from walk(selected.selections)


def selection_sets(nodes: Iterable[FieldNode]) -> list[SelectionSetNode]:
    """What is selected of fields that share a place in the answer."""
    return [node.selection_set for node in nodes if node.selection_set is not None]


def _is_included(node: SelectionNode, variables: VariableValues) -> bool:
    """Whether `@skip` and `@include` leave a field, a spread or an inline fragment in its place."""
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and (include is None or bool(include["if"]))
