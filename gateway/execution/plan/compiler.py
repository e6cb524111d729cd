"""From a checked operation to its plan.

`plan_of` returns None for a document outside of what plans support: the ordinary executor answers it.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import singledispatchmethod
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_leaf_type,
)

from gateway.execution.documents import Operation
from gateway.execution.plan.arguments import Arguments
from gateway.execution.plan.batches import ObjectBatch
from gateway.execution.plan.columns import ENCODER, Unplannable, Write, writer
from gateway.execution.plan.connections import (
    ConnectionField,
    EdgeNodeField,
    PageEdgesField,
    PageInfoField,
    PageNodesField,
)
from gateway.execution.plan.fields import (
    ColumnField,
    CompletedField,
    Completion,
    DerivedField,
    Leaf,
    ListOf,
    LoadedLeaves,
    LoadedRows,
    MaskedField,
    NodesField,
    Objects,
    PlannedField,
    PreviewedField,
    RequestInfo,
    ResolvedField,
    Selection,
    TypenameField,
)
from gateway.reading.previews import Wanted
from gateway.schema.connections import EdgeNode, PageEdges, PageNodes, PagePlace, Paginated
from gateway.schema.context import Context
from gateway.schema.fields import Column, Derived, Masked, Previewed, QuestionSource, Source, source_of
from gateway.schema.graphql_core_internals import NO_VARIABLES, VariableValues
from gateway.schema.nodes import NODES, LoadedNodes
from gateway.schema.query import SCHEMA
from gateway.schema.selection import selected_fields, selection_sets
from gateway.schema.strawberry_internals import declared_field, resolver_of

logger = logging.getLogger(__name__)

TYPENAME = "__typename"
INTROSPECTION = ("__schema", "__type")
MOST_PLANS = 16  # of one operation


class Plan:
    """An operation that is understood."""

    def __init__(self, root: Selection) -> None:
        self._root = root

    async def answer(self, context: Context, variables: VariableValues) -> bytes:
        """The `data` of the answer, as JSON in UTF-8. Raises `Unplannable`, or what went wrong."""
        request = RequestInfo(context, context.reader, variables)
        (data,) = await self._root.objects(ObjectBatch([None]), request)
        return ENCODER.encode(data)


def plan_of(
    operation: Operation, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues
) -> Plan | None:
    """The plan of a checked operation, or None where it is not understood.

    It is compiled once for each set of values of the variables that directives take.
    """
    switched = tuple(variables.coerced.get(name) for name in operation.directive_variables)
    try:
        return cast("Plan | None", operation.plans[switched])
    except KeyError:
        plan = compile_plan(schema, document, operation.definition, variables)
        if len(operation.plans) < MOST_PLANS:
            operation.plans[switched] = plan
        return plan


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode, variables: VariableValues
) -> Plan | None:
    """The plan, which depends on the variables that directives take and on no others."""
    if schema is not SCHEMA or schema.query_type is None or definition.operation is not OperationType.QUERY:
        return None
    try:
        return Plan(_Compiler(document, variables).selection(schema.query_type, [definition.selection_set]))
    except Exception as odd:  # noqa: BLE001 - the ordinary executor knows what to say of it
        logger.debug("no plan: %r", odd)
        return None


def selection_of(type_: GraphQLObjectType, names: Sequence[str]) -> Selection:
    """What is selected of a type by the names of its fields alone. Raises `Unplannable`."""
    nodes = tuple(FieldNode(name=NameNode(value=name)) for name in names)
    return _Compiler(DocumentNode(definitions=()), NO_VARIABLES).selection(type_, [SelectionSetNode(selections=nodes)])


class Occurrence(NamedTuple):
    """A field as it stands in a document: its definition, its arguments, and what is selected of it."""

    definition: GraphQLField
    arguments: Arguments
    sets: Sequence[SelectionSetNode]

    @property
    def type_(self) -> GraphQLOutputType:
        """The field's type."""
        return self.definition.type


class _Compiler:
    """Makes the nodes of one operation's plan, from the root to the leaves."""

    def __init__(self, document: DocumentNode, variables: VariableValues) -> None:
        self._variables = variables
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def selection(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> Selection:
        """What is selected of an object type."""
        selected: dict[str, list[FieldNode]] = {}
        for node in selected_fields(sets, type_, self._fragments, self._variables):
            selected.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        fields: dict[str, PlannedField | ColumnField] = {}
        columns: set[Wanted] = set()
        varying: list[tuple[Source, Arguments]] = []
        for key, nodes in selected.items():
            name = nodes[0].name.value
            if name == TYPENAME:
                fields[key] = TypenameField(type_.name)
                continue
            if name in INTROSPECTION:
                raise Unplannable(name)
            definition = type_.fields[name]
            arguments = Arguments(definition, declared_field(definition), nodes[0])
            source = source_of(definition)
            fields[key] = self._field(source, Occurrence(definition, arguments, selection_sets(nodes)))
            if source is not None and source.varies and not arguments.fixed:
                varying.append((source, arguments))
            elif source is not None:
                columns.update(source.columns(arguments.of(None) if source.varies else {}))
        return Selection(type_.name, fields, columns, varying)

    @singledispatchmethod
    def _field(self, source: Source, _field: Occurrence) -> PlannedField | ColumnField:
        """The node of a field, by its source."""
        raise Unplannable(source)

    @_field.register
    def _without_source(self, _source: None, field: Occurrence) -> PlannedField | ColumnField:
        """An attribute, or what a resolver makes of an object."""
        declared = declared_field(field.definition)
        resolver = resolver_of(declared)
        if resolver is None:
            return self._column(Column(declared.python_name), field)
        completion = self._completion(field.type_, field.sets)
        return ResolvedField(resolver.function, resolver.takes_info, resolver.is_async, field.arguments, completion)

    @_field.register
    def _column(self, source: Column, field: Occurrence) -> PlannedField | ColumnField:
        completion = self._completion(field.type_, field.sets)
        if isinstance(completion, Leaf):
            return ColumnField(source.name, completion.write)
        return CompletedField(source.name, completion)

    @_field.register
    def _masked(self, source: Masked, field: Occurrence) -> PlannedField | ColumnField:
        return MaskedField(source.column, source.mask, self._completion(field.type_, field.sets))

    @_field.register
    def _derived(self, source: Derived, field: Occurrence) -> PlannedField | ColumnField:
        return DerivedField(source, self._completion(field.type_, field.sets))

    @_field.register
    def _previewed(self, source: Previewed, field: Occurrence) -> PlannedField | ColumnField:
        return PreviewedField(source, field.arguments, self._completion(field.type_, field.sets))

    @_field.register
    def _loaded(self, source: QuestionSource, field: Occurrence) -> PlannedField | ColumnField:
        if not source.takes_columns:
            return LoadedLeaves(source, field.arguments, _writer(field.type_))
        of, nullable = _unwrapped(field.type_)
        return LoadedRows(source, field.arguments, self._named(field), isinstance(of, GraphQLList), nullable)

    @_field.register
    def _loaded_nodes(self, source: LoadedNodes, field: Occurrence) -> PlannedField | ColumnField:
        of, nullable = _unwrapped(field.type_)
        if isinstance(of, GraphQLList):
            _, nullable = _unwrapped(of.of_type)
        types: Any = SCHEMA.type_map
        selections = {node: self.selection(types[node.__name__], field.sets) for node in NODES.values()}
        return NodesField(source.many, field.arguments, selections, nullable)

    @_field.register
    def _connection(self, source: Paginated, field: Occurrence) -> PlannedField | ColumnField:
        return ConnectionField(source, field.arguments, self._named(field))

    @_field.register
    def _page_nodes(self, _source: PageNodes, field: Occurrence) -> PlannedField | ColumnField:
        return PageNodesField(self._named(field))

    @_field.register
    def _page_edges(self, _source: PageEdges, field: Occurrence) -> PlannedField | ColumnField:
        return PageEdgesField(self._named(field))

    @_field.register
    def _edge_node(self, _source: EdgeNode, field: Occurrence) -> PlannedField | ColumnField:
        return EdgeNodeField(self._named(field))

    @_field.register
    def _page_place(self, _source: PagePlace, field: Occurrence) -> PlannedField | ColumnField:
        return PageInfoField(self._named(field))

    def _named(self, field: Occurrence) -> Selection:
        """What is selected of the object type in a field's type."""
        return self.selection(cast("GraphQLObjectType", get_named_type(field.type_)), field.sets)

    def _completion(self, type_: GraphQLOutputType, sets: Sequence[SelectionSetNode]) -> Completion:
        """What a type makes of the values of a field."""
        of, nullable = _unwrapped(type_)
        if is_leaf_type(of):
            return Leaf(writer(of, nullable))
        if isinstance(of, GraphQLList):
            return ListOf(self._completion(of.of_type, sets), nullable)
        if isinstance(of, GraphQLObjectType):
            return Objects(self.selection(of, sets), nullable)
        raise Unplannable(of)


def _unwrapped(type_: GraphQLOutputType) -> tuple[Any, bool]:
    """The type without its `!`, and whether it has none."""
    return (type_.of_type, False) if isinstance(type_, GraphQLNonNull) else (type_, True)


def _writer(type_: GraphQLOutputType) -> Write:
    """The function that writes the values of a leaf type."""
    of, nullable = _unwrapped(type_)
    if not is_leaf_type(of):
        raise Unplannable(of)
    return writer(of, nullable)
