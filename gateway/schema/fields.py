"""How a field is declared: once, by a source that says where its values come from.

A source is a plain value on the field. Two interpreters read it: the ordinary executor by `value`, for one object at a
time, and the plans of `execution.plan` by its type, for all objects of a level at once. The arguments of a field are
the parameters of its source, and its cost stands beside it:

    callback_deliveries: list[BatchCallbackDelivery] = loaded(
        deliveries_of_batch, key="id", description="The callbacks of this batch that the filter keeps."
    )

A field that no source fits is a method under `resolved`, which the plan calls object by object; not so on a type whose
objects are rows, where each field names the columns that it reads.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import Parameter, iscoroutinefunction, signature
from typing import Any, Self, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from strawberry.types.field import StrawberryField

from gateway.reading.masking import TextMask
from gateway.reading.previews import Preview, PreviewedText, Wanted
from gateway.reading.questions import Question
from gateway.schema.context import Info
from gateway.schema.inputs import LARGEST_PREVIEW, IdArgument, IdsArgument, MaxBytes, preview_size
from gateway.schema.scalars import canonical_id
from gateway.schema.selection import selected_fields, selection_sets
from gateway.schema.strawberry_internals import arguments_of, converted, core_info, declared_class, declared_field

PREVIEW_SIZE = 512  # bytes, where a client names none

ID = Parameter("id", Parameter.KEYWORD_ONLY, annotation=IdArgument)
IDS_ARGUMENT = Parameter("ids", Parameter.KEYWORD_ONLY, annotation=IdsArgument)
MAX_BYTES = Parameter("max_bytes", Parameter.KEYWORD_ONLY, default=PREVIEW_SIZE, annotation=MaxBytes)
MASKED = "Credentials in it are replaced by `[masked]` for viewers without the scope `batches:read_secrets`."
COLUMNS = "columns"  # the parameter by which a question learns what is selected of its rows


class Source:
    """Where a field's values come from."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The field's arguments, by their names in Python."""
        return ()

    @property
    def varies(self) -> bool:
        """Whether `columns` depends on the arguments."""
        return False

    def named(self, _name: str, /) -> "Source":
        """The source of a field of that name."""
        return self

    def columns(self, given: Mapping[str, Any], /) -> Sequence[Wanted]:
        """What the field reads of its object's row."""
        raise NotImplementedError

    def value(self, parent: Any, info: Info, given: dict[str, Any], /) -> Any:
        """The field's value for one object, as the ordinary executor asks for it, or a coroutine of it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Column(Source):
    """A column's value; it is the column of the field's own name where none is given."""

    name: str = ""

    def named(self, name: str, /) -> "Column":
        return self if self.name else Column(name)

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return (self.name,)

    def value(self, parent: Any, _info: Info | None, _given: dict[str, Any], /) -> Any:
        return parent.row[self.name]


@dataclass(frozen=True)
class Masked(Source):
    """A column of text or JSON in which credentials are masked for viewers who may not see them."""

    mask: Callable[[Any], Any]
    column: str = ""

    def named(self, name: str, /) -> "Masked":
        return self if self.column else Masked(self.mask, name)

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return (self.column,)

    def value(self, parent: Any, info: Info, _given: dict[str, Any], /) -> Any:
        return info.context.unless_secret(self.mask, parent.row[self.column])


@dataclass(frozen=True)
class Derived(Source):
    """What a function makes of the values of columns and of nothing else, but for the request's instant `with_now`,
    which it takes last."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    with_now: bool = False

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return self.names

    def value(self, parent: Any, info: Info, _given: dict[str, Any], /) -> Any:
        now = (info.context.reader.scope.now,) if self.with_now else ()
        return self.function(*(parent.row[name] for name in self.names), *now)


@dataclass(frozen=True)
class Previewed(Source):
    """The beginning of a column of text, as long as the argument `maxBytes` says; credentials in it are masked."""

    column: str
    mask: TextMask | None = None

    @property
    def parameters(self) -> Sequence[Parameter]:
        return (MAX_BYTES,)

    @property
    def varies(self) -> bool:
        return True

    def columns(self, given: Mapping[str, Any], /) -> Sequence[Wanted]:
        # A size out of bounds is the field's own error, so none is read.
        return (Preview(self.column, min(max(given["max_bytes"], 0), LARGEST_PREVIEW)),)

    def value(
        self, parent: Any, info: Info, given: dict[str, Any], /
    ) -> PreviewedText | Awaitable[PreviewedText] | None:
        preview = Preview(self.column, preview_size(**given))
        found = preview.text(parent.row[preview.label], parent.row[preview.length_label])
        if found is None or self.mask is None:
            return found
        shown = info.context.unless_secret(self.mask, found.text)
        return found.showing(shown) if isinstance(shown, str) else _when_masked(found, shown)


async def _when_masked(preview: PreviewedText, text: Awaitable[str]) -> PreviewedText:
    return preview.showing(await text)


@dataclass(frozen=True)
class QuestionSource(Source):
    """What a question answers. Its builder takes the field's arguments, and `columns` where the answers are rows."""

    question: Callable[..., Question[Any]]

    @cached_property
    def parameters(self) -> Sequence[Parameter]:
        return [each for each in self._signature if each.name != COLUMNS]

    @cached_property
    def takes_columns(self) -> bool:
        """Whether the answers are rows, of which only the columns are read that are selected."""
        return any(each.name == COLUMNS for each in self._signature)

    @cached_property
    def _signature(self) -> Sequence[Parameter]:
        return tuple(signature(self.question, eval_str=True).parameters.values())

    def ids(
        self, column: Callable[[str], Sequence[str]], given: dict[str, Any], /
    ) -> tuple[Sequence[str], dict[str, Any]]:
        """The ids that are asked about, from a column of the parents or an argument, and the question's arguments."""
        raise NotImplementedError

    def asked(self, info: Info, given: Mapping[str, Any]) -> Question[Any]:
        """The question with a field's arguments, for the ordinary executor."""
        return self.question(columns_of(info), **given) if self.takes_columns else self.question(**given)

    def shown(self, info: Info, answer: Any) -> Any:
        """An answer as the field's type has it: rows as objects, and the first alone where the type is no list."""
        if not self.takes_columns:
            return answer
        type_ = core_info(info).return_type
        of = declared_class(_object_type(type_))
        if not isinstance(answer, list):
            return None if answer is None else of.of(answer._mapping)
        objects = [of.of(row._mapping) for row in answer]
        return objects if is_list_type(get_nullable_type(type_)) else next(iter(objects), None)


@dataclass(frozen=True)
class Loaded(QuestionSource):
    """What a question answers about the value of the column `key`: one statement for all objects of a level."""

    key: str

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return (self.key,)

    def ids(
        self, column: Callable[[str], Sequence[str]], given: dict[str, Any], /
    ) -> tuple[Sequence[str], dict[str, Any]]:
        return column(self.key), given

    async def value(self, parent: Any, info: Info, given: dict[str, Any], /) -> Any:
        question = self.asked(info, given)
        return self.shown(info, await info.context.reader.load(question, parent.row[self.key]))


@dataclass(frozen=True)
class LoadedById(QuestionSource):
    """What a question answers about the argument `id`, at the root."""

    @cached_property
    def parameters(self) -> Sequence[Parameter]:
        return (ID, *super().parameters)

    def columns(self, _given: Mapping[str, Any], /) -> Sequence[Wanted]:
        return ()

    def ids(
        self, _column: Callable[[str], Sequence[str]], given: dict[str, Any], /
    ) -> tuple[Sequence[str], dict[str, Any]]:
        rest = dict(given)
        return [canonical_id(rest.pop("id"))], rest

    async def value(self, _parent: Any, info: Info, given: dict[str, Any], /) -> Any:
        id_ = given.pop("id")
        question = self.asked(info, given)
        return self.shown(info, await info.context.reader.load(question, canonical_id(id_)))


class SourcedField(StrawberryField):
    """A field of the schema with a source, or with a resolver of its own, and a cost.

    `cost` is what the field costs by itself, in objects: `execution.limits` adds it to the cost of an operation.
    """

    def __init__(self, *args: Any, source: Source | None = None, cost: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = source
        self.cost = cost
        if source is not None:
            self.init = self.repr = self.compare = False  # as a dataclass's field: its value is not the object's own
            self.arguments = arguments_of(source.parameters)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        if self.source is not None:
            self.source = self.source.named(name)

    def __copy__(self) -> Self:
        copied = super().__copy__()  # calls the constructor, for types with type parameters
        copied.source, copied.cost = self.source, self.cost
        return copied

    @property
    def is_basic_field(self) -> bool:
        """Whether `get_result` needs neither info nor arguments, which saves the ordinary executor making them."""
        return super().is_basic_field if self.source is None else isinstance(self.source, Column)

    @cached_property
    def is_async(self) -> bool:
        """Whether `get_result` returns a coroutine."""
        return super().is_async if self.source is None else iscoroutinefunction(self.source.value)

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """The field's value for one object."""
        if self.source is None:
            return super().get_result(source, info, args, kwargs)
        return self.source.value(source, cast("Info", info), kwargs)


def column(*, description: str) -> Any:
    """A field that is the column of its own name."""
    return SourcedField(source=Column(), description=description)


def masked(mask: Callable[[Any], Any], *, description: str) -> Any:
    """A field that is the column of its own name, credentials in it masked, which its description says, too."""
    return SourcedField(source=Masked(mask), description=f"{description} {MASKED}")


def derived(function: Callable[..., Any], *columns: str, description: str, with_now: bool = False) -> Any:
    """A field that is what a function makes of some columns' values, and of the request's instant `with_now`."""
    return SourcedField(source=Derived(function, columns, with_now), description=description)


def previewed(of: str, mask: TextMask | None = None, *, description: str) -> Any:
    """A field that is the beginning of a column of text; what `mask` masks, the description says, too."""
    described = description if mask is None else f"{description} {MASKED}"
    return SourcedField(source=Previewed(of, mask), description=described)


def loaded(question: Callable[..., Question[Any]], *, key: str, description: str, cost: int | None = None) -> Any:
    """A field that is what a question answers about the value of the column `key`."""
    return SourcedField(source=Loaded(question, key), description=description, cost=cost)


def loaded_by_id(question: Callable[..., Question[Any]], *, description: str) -> Any:
    """A field at the root that is what a question answers about its argument `id`."""
    return SourcedField(source=LoadedById(question), description=description)


def resolved(*, description: str, cost: int | None = None) -> Any:
    """Decorates a method that is a field's resolver; its first parameter is the object, as `self`."""
    return SourcedField(description=description, cost=cost)


def source_of(definition: GraphQLField) -> Source | None:
    """The source of a field of the schema; None where it is an attribute, or has a resolver."""
    field = declared_field(definition)
    return field.source if isinstance(field, SourcedField) else None


@cache
def costs_of(schema: GraphQLSchema) -> Mapping[tuple[str, str], int]:
    """What fields cost by themselves, in objects, by the names of their type and of the field."""
    objects = (type_ for type_ in schema.type_map.values() if isinstance(type_, GraphQLObjectType))
    declared = (
        ((type_.name, name), declared_field(definition))
        for type_ in objects
        for name, definition in type_.fields.items()
        if definition.extensions
    )
    return {
        place: field.cost for place, field in declared if isinstance(field, SourcedField) and field.cost is not None
    }


def columns_of(info: Info, *path: str, of: GraphQLObjectType | None = None) -> frozenset[Wanted]:
    """What the ordinary executor has to read for the selection of the current field.

    The rows are the field's own value, or stand at the end of a path of fields below it; `of` is their type where the
    field's is an interface.
    """
    raw = core_info(info)
    sets, type_ = selection_sets(raw.field_nodes), of or _object_type(raw.return_type)
    for name in path:
        fields = selected_fields(sets, type_, raw.fragments, raw.variable_values)
        sets = selection_sets(node for node in fields if node.name.value == name)
        type_ = _object_type(type_.fields[name].type)
    wanted: set[Wanted] = set()
    for node in selected_fields(sets, type_, raw.fragments, raw.variable_values):
        definition = type_.fields.get(node.name.value)
        source = None if definition is None else source_of(definition)
        if source is not None:
            given = _arguments(info, definition, node) if source.varies else {}
            wanted.update(source.columns(given))
    return frozenset(wanted)


def _object_type(type_: GraphQLOutputType) -> GraphQLObjectType:
    return cast("GraphQLObjectType", get_named_type(type_))


def _arguments(info: Info, definition: GraphQLField, node: FieldNode) -> dict[str, Any]:
    given = get_argument_values(definition, node, core_info(info).variable_values)
    return converted(declared_field(definition), given, info.schema)
