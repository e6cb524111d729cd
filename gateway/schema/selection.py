"""What a field reads: the columns that it is made of, and what it asks of the read path.

Both stand in the field's metadata, once for the resolvers and for the plans of `execution`. A field that names no
columns is the column of its own name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLResolveInfo,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
)
from graphql.execution.values import VariableValues
from sqlalchemy import Table
from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from gateway.reading.pages import Order
from gateway.reading.questions import Question
from gateway.schema.context import Info

COLUMNS = "columns"
ASKS = "asks"
LISTS = "lists"
MASKS = "masks"
MAKES = "makes"


@dataclass(frozen=True, slots=True)
class Lists:
    """A connection over all rows of a table: the type that shows one, and the order where a client asks for none."""

    of: type
    table: Table
    usual: Order


def asks(question: Callable[..., Question[Any]], key: str | None = None) -> dict[str, Any]:
    """Metadata of a field that asks this about the value of the column `key`, or at the root about its arguments.

    `question` takes the columns that are selected of the rows it asks for, where it asks for rows, and the field's
    arguments by name.
    """
    return {ASKS: question} if key is None else {ASKS: question, COLUMNS: (key,)}


def lists(rows: Lists) -> dict[str, Any]:
    """Metadata of a field that is a connection."""
    return {LISTS: rows}


def masks(mask: Callable[[str], str]) -> dict[str, Any]:
    """Metadata of a field that is a column in which credentials are masked for viewers who may not see them."""
    return {MASKS: mask}


def makes(make: Callable[[Any], Any], column: str) -> dict[str, Any]:
    """Metadata of a field that is what a function makes of one column's value, and of nothing else."""
    return {MAKES: make, COLUMNS: (column,)}


def reads(*columns: str | Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Metadata of a field that is made of these columns; a function names one from the field's arguments."""
    return {COLUMNS: columns}


def columns_of(info: Info, of: type, *paths: tuple[str, ...]) -> frozenset[str]:
    """The columns that the current field's selection needs of the object type `of`.

    The objects are the field's own value, or stand at the ends of `paths` below it.
    """
    raw = info._raw_info
    columns = columns_by_field(of)
    needed: set[str] = set()
    for path in paths or ((),):
        sets = [node.selection_set for node in raw.field_nodes]
        for name in path:
            sets = [field.selection_set for field in _fields(raw, sets) if field.name.value == name]
        for field in _fields(raw, sets, of):
            for column in columns.get(field.name.value, ()):
                needed.add(column if isinstance(column, str) else column(_arguments(raw, of, field)))
    return frozenset(needed)


def _arguments(raw: GraphQLResolveInfo[Any], of: type, field: FieldNode) -> dict[str, Any]:
    shown: Any = raw.schema.type_map[get_object_definition(of, strict=True).name]
    return get_argument_values(shown.fields[field.name.value], field, raw.variable_values)


@cache
def columns_by_field(of: type) -> dict[str, tuple[str | Callable[[dict[str, Any]], str], ...]]:
    """The columns that each field of an object type is made of, by the field's name in GraphQL."""
    definition = get_object_definition(of, strict=True)
    return {
        field.graphql_name or to_camel_case(field.python_name): tuple(field.metadata.get(COLUMNS, (field.python_name,)))
        for field in definition.fields
    }


@cache
def _names(of: type) -> frozenset[str]:
    definition = get_object_definition(of, strict=True)
    return frozenset({definition.name, *(interface.name for interface in definition.interfaces)})


def is_included(node: SelectionNode, variables: VariableValues) -> bool:
    """Whether `@skip` and `@include` leave a field, a spread or an inline fragment in its place."""
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and (include is None or bool(include["if"]))


def _fields(
    raw: GraphQLResolveInfo[Any], sets: Iterable[SelectionSetNode | None], of: type | None = None
) -> Iterator[FieldNode]:
    """Every field selected on `of` (on whatever there is, for None), through fragments; each is walked once."""
    seen: set[str] = set()
    waiting = [node for node in sets if node is not None]
    while waiting:
        for node in waiting.pop().selections:
            if not is_included(node, raw.variable_values):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in seen:
                    continue
                seen.add(node.name.value)
                fragment: Any = raw.fragments[node.name.value]
            elif isinstance(node, InlineFragmentNode):
                fragment = node
            condition = fragment.type_condition
            if condition is None or of is None or condition.name.value in _names(of):
                waiting.append(fragment.selection_set)
