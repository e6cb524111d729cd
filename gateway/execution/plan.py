"""From a checked operation to a plan: how to answer it with one statement a level and no work for each value.

A plan is a tree of selections. Each takes many parents at once, as columns, and makes one object of each, level by
level: leaves are checked and written by the column (`columns`), and what a field asks of the read path is asked for all
parents by the question that its resolver asks, too. Fields that are more than a column or a question are resolved by
their own resolvers. So a plan knows no field by name, but for those of a connection.

`plan_of` returns None for a document outside what plans support. A value outside of it raises `Unplannable` at run
time: the ordinary executor answers then, from the start, since reading has no side effects.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from itertools import chain
from operator import attrgetter
from types import NoneType
from typing import Any, cast

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_argument_values,
    is_leaf_type,
)
from graphql.execution.values import VariableValues
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from gateway.database.types import AnyRow
from gateway.execution.batches import DictBatch, ObjectBatch, PageBatch, Parents, RowBatch
from gateway.execution.columns import ENCODER, Unplannable, Values, Write, writer
from gateway.execution.documents import Operation
from gateway.reading.loaders import NodeById, Question, Reader, RowById, RowsOf
from gateway.reading.masking import AWAY, mask_text, mask_texts
from gateway.reading.pages import Page
from gateway.schema.connections import Connection, PageArguments, PageInfo
from gateway.schema.context import Context
from gateway.schema.inputs import canonical_ids
from gateway.schema.query import schema as SCHEMA  # noqa: N812 - not to be taken for GraphQL's own of the same name
from gateway.schema.scalars import canonical_id
from gateway.schema.selection import ASKS, COLUMNS, LISTS, MAKES, MASKS, Lists, columns_by_field, is_included
from gateway.schema.types import NODES, Node

logger = logging.getLogger(__name__)

TYPENAME = "__typename"
INTROSPECTION = ("__schema", "__type")
MOST_PLANS = 16  # of one operation
CONNECTION_FIELDS = ("nodes", "edges", "pageInfo")


class RequestInfo(msgspec.Struct, frozen=True):
    """One request: what its fields may use. It stands in for the `info` of resolvers, too."""

    context: Context
    reader: Reader
    variables: VariableValues


class Arguments:
    """A field's arguments as its resolver takes them. What no variable is in is converted once and for all."""

    def __init__(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> None:
        self._definition = definition
        self._field = field
        self._node = node
        given = node.arguments or ()
        self._open = {argument.name.value for argument in given if _has_variable(argument.value)}
        self._opened = self._part(node, self._open)
        self._fixed = self._convert(*self._part(node, definition.args.keys() - self._open), None)

    @property
    def fixed(self) -> bool:
        """Whether they are the same for all requests."""
        return not self._open

    def of(self, run: RequestInfo | None) -> dict[str, Any]:
        """The arguments by name."""
        return {**self._fixed, **self._convert(*self._opened, run)} if self._open else self._fixed

    def named_by_client(self, run: RequestInfo | None) -> dict[str, Any]:
        """The arguments by their names in GraphQL."""
        return get_argument_values(self._definition, self._node, None if run is None else run.variables)

    def _part(self, node: FieldNode, names: Collection[str]) -> tuple[GraphQLField, FieldNode]:
        """The field as if it had these arguments alone."""
        args = {name: argument for name, argument in self._definition.args.items() if name in names}
        given = tuple(argument for argument in node.arguments or () if argument.name.value in names)
        return GraphQLField(self._definition.type, args), FieldNode(name=node.name, arguments=given)

    def _convert(self, definition: GraphQLField, node: FieldNode, run: RequestInfo | None) -> dict[str, Any]:
        given = get_argument_values(definition, node, None if run is None else run.variables)
        registry = SCHEMA.schema_converter.scalar_registry
        return convert_arguments(given, self._field.arguments, scalar_registry=registry, config=SCHEMA.config)


class Selection:
    """The fields that are selected of one object type."""

    def __init__(self, plan: "_Compiler", type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> None:
        self.type_name = type_.name
        self.origin: type[Any] = _definition(type_).origin
        self._read_by = columns_by_field(self.origin)
        self._columns: set[str] = set()
        self._varying: list[tuple[Callable[[dict[str, Any]], str], Arguments]] = []
        fields = plan.collect(sets, type_)
        self._fields = [self._field(plan, type_, nodes) for nodes in fields.values()]
        later = [(index, field) for index, field in enumerate(self._fields) if isinstance(field, Later)]
        self._made = [(index, field) for index, field in later if not field.waits]
        self._asking = [(index, field) for index, field in later if field.waits]
        names = [f"f{index}" for index in range(len(fields))]
        self._make: Callable[..., Any] = msgspec.defstruct(
            type_.name, names, rename=dict(zip(names, fields, strict=True)), gc=False
        )
        self._fixed = frozenset(self._columns)

    def columns(self, run: RequestInfo | None) -> frozenset[str]:
        """The columns of its rows that the selection needs; without a run, `Unplannable` where they depend on one."""
        if not self._varying:
            return self._fixed
        if run is None:
            raise Unplannable("the columns depend on variables")
        return self._fixed | {column(arguments.named_by_client(run)) for column, arguments in self._varying}

    async def objects(self, parents: Parents, run: RequestInfo) -> Sequence[Any]:
        """An object for each parent, ready to be written."""
        if not parents.size or not self._fields:
            return [self._make() for _ in range(parents.size)]
        filled: list[Values] = [field.now(parents, run) if isinstance(field, Now) else () for field in self._fields]
        for index, made in self._made:
            filled[index] = await made.later(parents, run)
        asking = self._asking
        if len(asking) == 1:
            index, field = asking[0]
            filled[index] = await field.later(parents, run)
        elif asking:
            answers = await _together(field.later(parents, run) for _, field in asking)
            for (index, _), answer in zip(asking, answers, strict=True):
                filled[index] = answer
        return list(map(self._make, *filled))

    @property
    def waits(self) -> bool:
        """Whether anything below is waited for."""
        return bool(self._asking)

    def _field(self, plan: "_Compiler", type_: GraphQLObjectType, nodes: list[FieldNode]) -> "Now | Later":
        name = nodes[0].name.value
        if name == TYPENAME:
            return Typename(type_.name)
        if name in INTROSPECTION:
            raise Unplannable(name)
        definition = type_.fields[name]
        sets = [each.selection_set for each in nodes if each.selection_set is not None]
        if name in CONNECTION_FIELDS and issubclass(self.origin, Connection):
            return plan.of_connection(name, definition, sets)
        field: StrawberryField = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        arguments = Arguments(definition, field, nodes[0])
        self._read(name, arguments)
        if (question := field.metadata.get(ASKS)) is not None:
            return plan.asked(question, self._read_by[name][0], type_, definition, arguments, sets)
        if (rows := field.metadata.get(LISTS)) is not None:
            return Listed(plan, rows, definition, arguments, sets)
        return self._resolved(field, arguments, plan.completed(definition.type, sets))

    def _resolved(self, field: StrawberryField, arguments: Arguments, complete: "Completed") -> "Now | Later":
        """A field that is a column, or what its resolver makes of an object."""
        resolver = field.base_resolver
        if resolver is None and isinstance(complete, Leaf):
            return Column(field.python_name, complete.write)
        if (mask := field.metadata.get(MASKS)) is not None and isinstance(complete, Leaf):
            return Masked(field.python_name, mask, complete.write)
        if (make := field.metadata.get(MAKES)) is not None:
            (column,) = field.metadata[COLUMNS]
            made = Made(make, column)
            return MadeLeaf(made, complete.write) if isinstance(complete, Leaf) else MadeObjects(made, complete)
        resolve: Any = attrgetter(field.python_name) if resolver is None else resolver.wrapped_func
        takes_info = resolver is not None and resolver.info_parameter is not None
        if isinstance(complete, Leaf) and resolver is not None and not resolver.is_async:
            return Computed(resolve, self.origin, arguments, takes_info, complete.write)
        return Resolved(resolve, self.origin, arguments, takes_info, complete)

    def _read(self, name: str, arguments: Arguments) -> None:
        """Remember which columns a field needs."""
        for column in self._read_by.get(name, ()):
            if isinstance(column, str):
                self._columns.add(column)
            elif arguments.fixed:
                self._columns.add(column(arguments.named_by_client(None)))
            else:
                self._varying.append((column, arguments))


class Now:
    """A field whose values are there."""

    def now(self, parents: Parents, run: RequestInfo) -> Values:
        """A value for each parent."""
        raise NotImplementedError


class Later:
    """A field whose values take more than a column: they are waited for, or made of other objects."""

    @property
    def waits(self) -> bool:
        """Whether it waits for the read path."""
        return True

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        """A value for each parent."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Typename(Now):
    """`__typename`."""

    name: str

    def now(self, parents: Parents, run: RequestInfo) -> Values:  # noqa: ARG002
        return [self.name] * parents.size


@dataclass(frozen=True, slots=True)
class Column(Now):
    """A leaf that is a column."""

    name: str
    write: Write

    def now(self, parents: Parents, run: RequestInfo) -> Values:  # noqa: ARG002
        return self.write(parents.column(self.name))


@dataclass(frozen=True, slots=True)
class Masked(Later):
    """A text or a JSON value in which credentials are masked: each text once, what may take long beside the loop."""

    name: str
    mask: Callable[[Any], Any]
    write: Write

    @property
    def waits(self) -> bool:
        return False

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        values = parents.column(self.name)
        if run.reader.scope.sees_secrets:
            return self.write(values)
        if not set(map(type, values)) <= {str, NoneType}:
            return self.write(await asyncio.to_thread(self._trees, values))
        texts = set(values)
        texts.discard(None)
        long = sum(map(len, texts)) > AWAY
        hidden = await asyncio.to_thread(self._hidden, texts) if long else self._hidden(texts)
        # Most pages have no secret, and are left as they are: 800 values cost 40 µs then.
        return self.write([hidden.get(text, text) for text in values] if hidden else values)

    def _hidden(self, texts: Collection[str]) -> dict[str, str]:
        """What is shown for each text that has a secret in it."""
        if self.mask is mask_text:
            return mask_texts(texts)
        return {text: shown for text in texts if (shown := self.mask(text)) != text}

    def _trees(self, values: Values) -> Values:
        return [self.mask(value) if type(value) in {dict, list, str} else value for value in values]


@dataclass(frozen=True, slots=True)
class Made:
    """What a function makes of each value of a column."""

    make: Callable[[Any], Any]
    column: str

    def of(self, parents: Parents) -> Values:
        """A value for each parent."""
        return list(map(self.make, parents.column(self.column)))


@dataclass(frozen=True, slots=True)
class MadeLeaf(Now):
    """A leaf that is made of a column."""

    made: Made
    write: Write

    def now(self, parents: Parents, run: RequestInfo) -> Values:  # noqa: ARG002
        return self.write(self.made.of(parents))


@dataclass(frozen=True, slots=True)
class Computed(Now):
    """A leaf that a resolver makes of an object."""

    resolve: Callable[..., Any]
    of: type[Any]
    arguments: Arguments
    takes_info: bool
    write: Write

    def now(self, parents: Parents, run: RequestInfo) -> Values:
        given = self.arguments.of(run)
        if self.takes_info:
            given = {**given, "info": run}
        return self.write([self.resolve(thing, **given) for thing in parents.objects(self.of)])


@dataclass(frozen=True, slots=True)
class Resolved(Later):
    """What a resolver makes of an object: a coroutine's leaf, or objects in turn."""

    resolve: Callable[..., Any]
    of: type[Any]
    arguments: Arguments
    takes_info: bool
    complete: "Completed"

    @property
    def waits(self) -> bool:
        return iscoroutinefunction(self.resolve) or self.complete.waits

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        given = self.arguments.of(run)
        if self.takes_info:
            given = {**given, "info": run}
        values: Values = [self.resolve(thing, **given) for thing in parents.objects(self.of)]
        if values and asyncio.iscoroutine(values[0]):
            values = [await values[0]] if len(values) == 1 else await _together(values)
        return await self.complete.values(values, run)


@dataclass(frozen=True, slots=True)
class MadeObjects(Later):
    """Objects that are made of a column."""

    made: Made
    complete: "Completed"

    @property
    def waits(self) -> bool:
        return self.complete.waits

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        return await self.complete.values(self.made.of(parents), run)


class Completed:
    """What a field's type makes of its values."""

    @property
    def waits(self) -> bool:
        """Whether anything below is waited for."""
        return False

    async def values(self, values: Values, run: RequestInfo) -> Values:
        """The values, ready to be written."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Leaf(Completed):
    """A scalar or an enum."""

    write: Write

    async def values(self, values: Values, run: RequestInfo) -> Values:  # noqa: ARG002
        return self.write(values)


@dataclass(frozen=True, slots=True)
class Objects(Completed):
    """An object type."""

    selection: Selection
    nullable: bool

    @property
    def waits(self) -> bool:
        return self.selection.waits

    async def values(self, values: Values, run: RequestInfo) -> Values:
        there = [value for value in values if value is not None]
        made = iter(await self.selection.objects(ObjectBatch(there), run))
        return _nullable((None if value is None else next(made) for value in values), self.nullable)


@dataclass(frozen=True, slots=True)
class Many(Completed):
    """A list."""

    entries: Completed
    nullable: bool

    @property
    def waits(self) -> bool:
        return self.entries.waits

    async def values(self, values: Values, run: RequestInfo) -> Values:
        if not {type(value) for value in values} <= {list, NoneType}:
            raise Unplannable("no list")
        made = iter(await self.entries.values(list(chain.from_iterable(value or () for value in values)), run))
        return _nullable((None if value is None else [next(made) for _ in value] for value in values), self.nullable)


@dataclass(frozen=True, slots=True)
class Asked(Later):
    """What is asked of the read path for all parents at once. Without a `key` the field's arguments tell the ids."""

    question: Callable[..., Question[Any]]
    key: str | None
    arguments: Arguments

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        given = self.arguments.of(run)
        if self.key is not None:
            return await self.answers(parents.column(self.key), given, run)
        given = dict(given)
        if "ids" in given:
            return [await self.answers(canonical_ids(given.pop("ids")), given, run)]
        return await self.answers([canonical_id(given.pop("id"))], given, run)

    async def answers(self, ids: Values, given: Mapping[str, Any], run: RequestInfo) -> Values:
        """An answer for each id, ready to be written."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AskedValues(Asked):
    """Leaves."""

    write: Write

    async def answers(self, ids: Values, given: Mapping[str, Any], run: RequestInfo) -> Values:
        unique = list(dict.fromkeys(ids))
        answers = self.write(await run.reader.ask_many(self.question(**given), unique))
        if len(unique) == len(ids):
            return answers
        found = dict(zip(unique, answers, strict=True))
        return [found[id_] for id_ in ids]


@dataclass(frozen=True, slots=True)
class AskedRows(Asked):
    """Rows: by their ids, or those of each parent."""

    selection: Selection
    many: bool
    nullable: bool

    async def answers(self, ids: Values, given: Mapping[str, Any], run: RequestInfo) -> Values:
        question = self.question(self.selection.columns(run), **given)
        if not ids:
            return []
        unique = list(dict.fromkeys(ids))
        rows = RowBatch(*await run.reader.read(question, unique))
        made = await self.selection.objects(rows, run)
        if isinstance(question, RowById):
            found = dict(zip(rows.column("id"), made, strict=True))
            return _nullable(map(found.get, ids), self.nullable)
        if not isinstance(question, RowsOf):
            raise Unplannable(question)
        children: dict[str, list[Any]] = {id_: [] for id_ in unique}
        add = {id_: few.append for id_, few in children.items()}
        for id_, child in zip(rows.column(question.parent.name), made, strict=True):
            add[id_](child)
        if self.many:
            return [children[id_] for id_ in ids]
        return _nullable((next(iter(children[id_]), None) for id_ in ids), self.nullable)


@dataclass(frozen=True, slots=True)
class AskedNodes(Asked):
    """Rows of any table, by their ids."""

    selections: Mapping[type[Node], Selection]
    nullable: bool

    async def answers(self, ids: Values, given: Mapping[str, Any], run: RequestInfo) -> Values:  # noqa: ARG002
        question = NodeById(tuple((table, self.selections[of].columns(run)) for table, of in NODES.items()))
        found = await run.reader.ask_many(question, ids)
        made: list[Any] = [None] * len(ids)
        for table, of in NODES.items():
            places = [place for place, row in enumerate(found) if row is not None and row[0] is table]
            rows = DictBatch([cast("tuple[Any, Mapping[str, Any]]", found[place])[1] for place in places])
            for place, object_ in zip(places, await self.selections[of].objects(rows, run), strict=True):
                made[place] = object_
        return _nullable(made, self.nullable)


class Listed(Later):
    """A connection at the root. Its page is read where anything of it is selected."""

    def __init__(
        self,
        plan: "_Compiler",
        rows: Lists,
        definition: GraphQLField,
        arguments: Arguments,
        sets: Iterable[SelectionSetNode],
    ) -> None:
        type_ = _bare(definition.type)
        self._lists = rows
        self._arguments = arguments
        self._selection = Selection(plan, type_, sets)
        shown = [field for field in self._selection._fields if isinstance(field, OfPage)]
        self._has_page = bool(shown)
        self._selections = [selection for field in shown for selection in field.selections]

    async def later(self, parents: Parents, run: RequestInfo) -> Values:  # noqa: ARG002
        given = self._arguments.of(run)
        asked = PageArguments(**{name: given[name] for name in ("first", "after", "last", "before")})
        columns = frozenset(chain.from_iterable(selection.columns(run) for selection in self._selections))
        connection: Connection[Any] = Connection.over(self._lists, columns, given["filter"], given["order_by"], asked)
        if not self._has_page:
            return await self._selection.objects(ObjectBatch([connection]), run)
        question = connection.question
        prepared, raw = await run.reader.read(question, [run.reader.organization])
        page = Page.of(question.asked, cast("Sequence[AnyRow]", raw))
        prepared.columns(raw[question.asked.size :])  # the row beyond the page must be readable, too
        rows = RowBatch(prepared, page.rows)
        return await self._selection.objects(PageBatch(connection, rows, page), run)


class OfPage(Later):
    """A field of a connection that shows its page."""

    selections: Sequence[Selection] = ()

    @property
    def waits(self) -> bool:
        return any(selection.waits for selection in self.selections)

    async def later(self, parents: Parents, run: RequestInfo) -> Values:
        return [await self.of(cast("PageBatch", parents), run)]

    async def of(self, page: PageBatch, run: RequestInfo) -> Any:
        """The field's value for one page."""
        raise NotImplementedError


class PageNodes(OfPage):
    """`nodes`."""

    def __init__(self, selection: Selection) -> None:
        self.selections = (selection,)

    async def of(self, page: PageBatch, run: RequestInfo) -> Any:
        return await self.selections[0].objects(page.rows, run)


class PageEdges(OfPage):
    """`edges`: cursors and nodes, side by side."""

    def __init__(self, plan: "_Compiler", type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> None:
        fields = plan.collect(sets, type_)
        self._type_name = type_.name
        self._fields: list[Selection | str] = []
        for nodes in fields.values():
            inner = [node.selection_set for node in nodes if node.selection_set is not None]
            name = nodes[0].name.value
            self._fields.append(Selection(plan, _bare(type_.fields[name].type), inner) if name == "node" else name)
        self.selections = [field for field in self._fields if isinstance(field, Selection)]
        names = [f"f{index}" for index in range(len(fields))]
        self._make = msgspec.defstruct(type_.name, names, rename=dict(zip(names, fields, strict=True)), gc=False)

    async def of(self, page: PageBatch, run: RequestInfo) -> Any:
        size = page.rows.size
        filled: list[Values] = []
        for field in self._fields:
            if isinstance(field, Selection):
                filled.append(await field.objects(page.rows, run))
            elif field == "cursor":
                filled.append(page.cursors_of(range(size)))
            else:
                filled.append([self._type_name] * size)
        return list(map(self._make, *filled))


class PageInformation(OfPage):
    """`pageInfo`."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    async def of(self, page: PageBatch, run: RequestInfo) -> Any:
        size = page.rows.size
        info = PageInfo.of(page.page, page.cursors_of((0, size - 1)) if size else ())
        return (await self._selection.objects(ObjectBatch([info]), run))[0]


class Plan:
    """An operation that is understood."""

    def __init__(self, root: Selection) -> None:
        self._root = root

    async def answer(self, context: Context, variables: VariableValues) -> bytes:
        """The `data` of the answer, as JSON in UTF-8. Raises `Unplannable`, or what went wrong."""
        run = RequestInfo(context, context.reader, variables)
        (data,) = await self._root.objects(ObjectBatch([None]), run)
        return ENCODER.encode(data)


def plan_of(
    operation: Operation, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues
) -> Plan | None:
    """The plan of a checked operation, or None where it is not understood. Compiled once for each set of switches."""
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
    if schema is not SCHEMA._schema or schema.query_type is None or definition.operation is not OperationType.QUERY:
        return None
    try:
        compiler = _Compiler(schema, document, variables)
        return Plan(Selection(compiler, schema.query_type, [definition.selection_set]))
    except Exception as odd:  # noqa: BLE001 - the ordinary executor knows what to say of it
        logger.debug("no plan: %r", odd)
        return None


class _Compiler:
    """What compiling one operation needs everywhere."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues) -> None:
        self.schema = schema
        self.variables = variables
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def collect(self, sets: Iterable[SelectionSetNode], type_: GraphQLObjectType) -> dict[str, list[FieldNode]]:
        """The fields selected on an object type by their response keys, in the order of their first places."""
        fields: dict[str, list[FieldNode]] = {}
        seen: set[str] = set()
        for selected in sets:
            self._collect(selected, type_, fields, seen)
        return fields

    def _collect(
        self, selected: SelectionSetNode, type_: GraphQLObjectType, fields: dict[str, list[FieldNode]], seen: set[str]
    ) -> None:
        for node in selected.selections:
            if not is_included(node, self.variables):
                continue
            if isinstance(node, FieldNode):
                fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
                continue
            fragment: Any = node
            if not isinstance(node, InlineFragmentNode):
                name = cast("Any", node).name.value
                if name in seen:
                    continue
                seen.add(name)
                fragment = self.fragments[name]
            condition = fragment.type_condition
            if condition is None or self._applies(condition.name.value, type_):
                self._collect(fragment.selection_set, type_, fields, seen)

    def _applies(self, name: str, type_: GraphQLObjectType) -> bool:
        return name == type_.name or any(interface.name == name for interface in type_.interfaces)

    def completed(self, type_: GraphQLOutputType, sets: Sequence[SelectionSetNode]) -> Completed:
        """What a type makes of the values of a field."""
        nullable = not isinstance(type_, GraphQLNonNull)
        inner: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if is_leaf_type(inner):
            return Leaf(writer(inner, nullable))
        if isinstance(inner, GraphQLList):
            return Many(self.completed(inner.of_type, sets), nullable)
        if isinstance(inner, GraphQLObjectType):
            return Objects(Selection(self, inner, sets), nullable)
        raise Unplannable(inner)

    def asked(
        self,
        question: Callable[..., Question[Any]],
        key: Any,
        type_: GraphQLObjectType,
        definition: GraphQLField,
        arguments: Arguments,
        sets: Sequence[SelectionSetNode],
    ) -> Asked:
        """A field that asks the read path."""
        key = None if type_ is self.schema.query_type else key
        nullable = not isinstance(definition.type, GraphQLNonNull)
        of: Any = definition.type.of_type if isinstance(definition.type, GraphQLNonNull) else definition.type
        if is_leaf_type(of):
            return AskedValues(question, key, arguments, writer(of, nullable))
        many = isinstance(of, GraphQLList)
        if many:
            nullable, of = not isinstance(of.of_type, GraphQLNonNull), _bare(of)
        if isinstance(of, GraphQLInterfaceType):
            selections = {
                node: Selection(self, cast("GraphQLObjectType", self.schema.type_map[node.__name__]), sets)
                for node in NODES.values()
            }
            return AskedNodes(question, key, arguments, selections, nullable)
        return AskedRows(question, key, arguments, Selection(self, of, sets), many, nullable)

    def of_connection(self, name: str, definition: GraphQLField, sets: Sequence[SelectionSetNode]) -> OfPage:
        """A field of a connection that shows its page."""
        type_ = _bare(definition.type)
        if name == "edges":
            return PageEdges(self, type_, sets)
        selection = Selection(self, type_, sets)
        return PageNodes(selection) if name == "nodes" else PageInformation(selection)


async def _together(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The results of all, begun at once; where one fails, the others are stopped."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def _nullable(values: Iterable[Any], nullable: bool) -> Values:
    made = list(values)
    if not nullable and any(value is None for value in made):
        raise Unplannable("null")
    return made


def _bare(type_: Any) -> Any:
    """The type without what is wrapped around it."""
    while isinstance(type_, GraphQLNonNull | GraphQLList):
        type_ = type_.of_type
    return type_


def _definition(type_: GraphQLObjectType) -> Any:
    return type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]


def _has_variable(value: ValueNode) -> bool:
    """Whether there is a variable in a value."""
    if isinstance(value, ListValueNode):
        return any(map(_has_variable, value.values))
    if isinstance(value, ObjectValueNode):
        return any(_has_variable(field.value) for field in value.fields)
    return isinstance(value, VariableNode)
