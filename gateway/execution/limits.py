"""How much one operation may ask for.

A parsed document is walked once, before validation, whose rules are not all linear. A fragment is walked at its first
spread and counted at each: its measure is remembered, so that fragments which spread each other twice, level by level,
cost no more time than they have text.

The cost of an operation is the number of objects that its answer might hold if every list were as long as it may be.
It depends on the request's variables, so the walk leaves a bill, which each request adds up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast_untyped,
)

from gateway.errors import (
    AliasLimitExceeded,
    CostLimitExceeded,
    DepthLimitExceeded,
    DirectiveLimitExceeded,
    IntrospectionDisabled,
    LimitExceeded,
    RootFieldLimitExceeded,
    SelectionLimitExceeded,
    VariableLimitExceeded,
)
from gateway.schema.fields import costs_of
from gateway.settings import DocumentSettings

NESTING = 100  # selection sets in each other, fragments included: a bound for the recursion, not for clients
PAGE_SIZES = ("first", "last")
ASSUMED_SIZE = 100  # of a list of objects that says nothing about its length
LARGEST_NUMBER = 2**31 - 1
OBJECT_PRICE = 1
INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})


@dataclass(frozen=True, slots=True)
class VariableSize:
    """The length of a list that a variable tells: its number, or how many values it has."""

    name: str
    default: int

    def among(self, variables: Mapping[str, Any]) -> int:
        """The length with these variables."""
        return _length(variables.get(self.name), self.default)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one field costs. `per_entry` fields are paid for each entry of the connection around them."""

    price: int
    sizes: tuple[int | VariableSize, ...]
    is_connection: bool
    per_entry: bool
    inner: "Bill"


@dataclass(slots=True)
class Bill:
    """What the fields of a selection set cost, and which fragments are to be paid beside them."""

    charges: list[Charge] = field(default_factory=list)
    spreads: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.charges or self.spreads)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an operation as a function of its variables."""

    bill: Bill
    fragments: Mapping[str, Bill]
    defaults: Mapping[str, Any]

    def of(self, variables: Mapping[str, Any]) -> int:
        """The number of objects that the answer might hold."""
        totals: dict[str, tuple[int, int]] = {}
        return self._total(self.bill, {**self.defaults, **variables}, totals)[0]

    def _total(self, bill: Bill, variables: Mapping[str, Any], totals: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """What a bill comes to: once, and beside that for each entry of the connection that it stands in."""
        once = each = 0
        for charge in bill.charges:
            size = max(part if isinstance(part, int) else part.among(variables) for part in charge.sizes)
            inner_once, inner_each = self._total(charge.inner, variables, totals)
            if charge.is_connection:
                total = charge.price + inner_once + size * inner_each
            else:
                total = size * (charge.price + inner_once + inner_each)
            if charge.per_entry:
                each += total
            else:
                once += total
        for name in bill.spreads:
            if name not in totals:
                totals[name] = (0, 0)  # A fragment in itself counts nothing; validation refuses it.
                totals[name] = self._total(self.fragments[name], variables, totals)
            once, each = once + totals[name][0], each + totals[name][1]
        return once, each


@dataclass(slots=True)
class Measure:
    """What a selection set holds, the fragments that it spreads included."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    selections: int = 0
    introspects: bool = False
    bill: Bill = field(default_factory=Bill)

    def include(self, other: "Measure") -> None:
        """Count a fragment's selections as this set's own."""
        self.depth = max(self.depth, other.depth)
        self.fields += other.fields
        self.count(other)

    def count(self, inner: "Measure") -> None:
        """Count what is selected further in."""
        self.aliases += inner.aliases
        self.directives += inner.directives
        self.selections += inner.selections
        self.introspects |= inner.introspects


def check_document(
    document: DocumentNode, schema: GraphQLSchema, limits: DocumentSettings
) -> list[tuple[OperationDefinitionNode, Cost, tuple[str, ...]]]:
    """The operations of a document with their costs, and the variables that its directives take.

    Raises `LimitExceeded` or `IntrospectionDisabled`.
    """
    walk = _Walk(document, schema)
    operations = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            measure = walk.selections(definition.selection_set, schema.get_root_type(definition.operation), 1)
            measure.directives += len(definition.directives or ())
            measure.directives += sum(len(each.directives or ()) for each in definition.variable_definitions or ())
            _enforce(measure, limits, is_operation=True)
            defaults = {
                each.variable.name.value: value_from_ast_untyped(each.default_value)
                for each in definition.variable_definitions or ()
                if isinstance(each.default_value, IntValueNode | ListValueNode)
            }
            operations.append((definition, Cost(measure.bill, walk.bills, defaults)))
        elif isinstance(definition, FragmentDefinitionNode):
            measure = walk.fragment(definition.name.value, 1)
            _enforce(measure, limits, is_operation=False)
        else:
            continue
        if measure.introspects and not limits.is_development:
            raise IntrospectionDisabled("This gateway does not describe its schema; ask for it where it is developed.")
    directive_variables = tuple(sorted(walk.directive_variables))
    return [(definition, cost, directive_variables) for definition, cost in operations]


def check_variables(variables: Mapping[str, Any], limits: DocumentSettings) -> None:
    """Raise `VariableLimitExceeded` where the variables hold more values than allowed."""
    count = 0
    waiting: list[Iterable[Any]] = [variables.values()]
    while waiting:
        for value in waiting.pop():
            count += 1
            if isinstance(value, list):
                waiting.append(value)
            elif isinstance(value, dict):
                waiting.append(value.values())
        if count > limits.max_variable_values:
            raise VariableLimitExceeded(
                f"The variables hold more than {limits.max_variable_values} values.", limits.max_variable_values, count
            )


def check_cost(cost: int, limits: DocumentSettings) -> None:
    """Raise `CostLimitExceeded` where an operation may return more objects than allowed."""
    if cost > limits.max_cost:
        raise CostLimitExceeded(
            f"The answer might hold {cost} objects; {limits.max_cost} is the limit. Ask for fewer rows with `first`, "
            "or for fewer levels at once.",
            limits.max_cost,
            min(cost, LARGEST_NUMBER),
        )


def _enforce(measure: Measure, limits: DocumentSettings, *, is_operation: bool) -> None:
    """Raise for the first limit that a definition exceeds."""
    checks: list[tuple[type[LimitExceeded], str, int, int]] = [
        (DepthLimitExceeded, "Fields are nested too deeply", limits.max_depth, measure.depth),
        (AliasLimitExceeded, "There are too many aliases", limits.max_aliases, measure.aliases),
        (DirectiveLimitExceeded, "There are too many directives", limits.max_directives, measure.directives),
        (SelectionLimitExceeded, "Too much is selected", limits.max_selections, measure.selections),
    ]
    if is_operation:
        checks.insert(
            1, (RootFieldLimitExceeded, "There are too many root fields", limits.max_root_fields, measure.fields)
        )
    for kind, complaint, limit, counted in checks:
        if counted > limit:
            actual = min(counted, LARGEST_NUMBER)
            raise kind(f"{complaint}: {actual}, and {limit} is the limit.", limit, actual)


class _Walk:
    """One pass over a document. Every selection set is visited once."""

    def __init__(self, document: DocumentNode, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.definitions = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.measures: dict[str, Measure] = {}
        self.bills: dict[str, Bill] = {}
        self.directive_variables: set[str] = set()
        self.costs = costs_of(schema)
        node = schema.get_type("Node")
        self.objects = {
            type_
            for type_ in schema.type_map.values()
            if node is not None and (type_ is node or node in getattr(type_, "interfaces", ()))
        }

    def fragment(self, name: str, nesting: int) -> Measure:
        """The measure of a fragment; nothing for one that is unknown or spreads itself, which validation refuses."""
        if name not in self.measures:
            self.measures[name] = Measure()
            self.bills[name] = Bill()
            definition = self.definitions.get(name)
            if definition is not None:
                on = self.schema.get_type(definition.type_condition.name.value)
                measure = self.measures[name] = self.selections(definition.selection_set, on, nesting)
                measure.directives += len(definition.directives or ())
                self.bills[name] = measure.bill
        return self.measures[name]

    def selections(self, selected: SelectionSetNode, on: GraphQLNamedType | None, nesting: int) -> Measure:
        """The measure of a selection set on a type; None where the schema has no such type."""
        if nesting > NESTING:
            raise DepthLimitExceeded("Selections are nested too deeply.", NESTING, nesting)
        measure = Measure()
        for selection in selected.selections:
            measure.selections += 1
            measure.directives += len(selection.directives or ())
            for directive in selection.directives or ():
                values = (argument.value for argument in directive.arguments or ())
                self.directive_variables.update(value.name.value for value in values if isinstance(value, VariableNode))
            if isinstance(selection, FieldNode):
                self.field(selection, on, measure, nesting)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                measure.include(self.fragment(name, nesting + 1))
                if self.bills[name]:
                    measure.bill.spreads.append(name)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner_type = on if condition is None else self.schema.get_type(condition.name.value)
                inner = self.selections(selection.selection_set, inner_type, nesting + 1)
                measure.include(inner)
                measure.bill.charges += inner.bill.charges
                measure.bill.spreads += inner.bill.spreads
        return measure

    def field(self, node: FieldNode, on: GraphQLNamedType | None, measure: Measure, nesting: int) -> None:
        """Add a field, and what is selected of it, to the measure of its selection set."""
        name = node.name.value
        definition: GraphQLField | None = getattr(on, "fields", {}).get(name)
        type_ = None if definition is None else get_named_type(definition.type)
        inner = Measure() if node.selection_set is None else self.selections(node.selection_set, type_, nesting + 1)
        measure.fields += 1
        measure.aliases += node.alias is not None
        measure.depth = max(measure.depth, inner.depth + 1)
        measure.introspects |= name in INTROSPECTION_FIELDS
        measure.count(inner)
        price = OBJECT_PRICE if type_ in self.objects else 0
        if on is not None:
            price = self.costs.get((on.name, name), price)
        if definition is not None and (price or inner.bill):
            per_entry = name in {"edges", "nodes"} and _is_connection(on)
            sizes = (1,) if per_entry else self.sizes(node, definition)
            measure.bill.charges.append(Charge(price, sizes, _is_connection(type_), per_entry, inner.bill))

    def sizes(self, node: FieldNode, definition: GraphQLField) -> tuple[int | VariableSize, ...]:
        """How many objects a field may return: the largest of these."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        asked = [name for name in PAGE_SIZES if name in definition.args]
        if asked:
            sizes = (_size(given.get(name), definition.args[name].default_value) for name in asked)
            return tuple(size for size in sizes if size is not None) or (ASSUMED_SIZE,)
        if "ids" in definition.args:
            return (_size(given.get("ids"), None) or 0,)
        if is_list_type(get_nullable_type(definition.type)) and get_named_type(definition.type) in self.objects:
            return (ASSUMED_SIZE,)
        return (1,)


def _is_connection(type_: GraphQLNamedType | None) -> bool:
    return "pageInfo" in getattr(type_, "fields", ())


def _size(value: ValueNode | None, default: Any) -> int | VariableSize | None:
    """The length that an argument tells; None where it is not given and has no default."""
    known = default if isinstance(default, int) else None
    if isinstance(value, VariableNode):
        return VariableSize(value.name.value, ASSUMED_SIZE if known is None else known)
    if isinstance(value, ListValueNode):
        return len(value.values)
    if isinstance(value, IntValueNode):
        return int(value.value) if len(value.value) < 10 else LARGEST_NUMBER
    return known


def _length(value: Any, default: int) -> int:
    if isinstance(value, list):
        return len(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return max(value, 0) if isinstance(value, int) else default
