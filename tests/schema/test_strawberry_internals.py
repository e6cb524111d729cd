"""Each internal of Strawberry that the gateway uses, by its name: an upgrade that moves one fails here."""

from copy import copy
from dataclasses import Field
from enum import Enum
from inspect import Parameter
from typing import Annotated, Any

import pytest
import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from gateway.schema import strawberry_internals as internals
from gateway.schema.fields import SourcedField
from gateway.schema.types import Batch


@strawberry.enum
class Size(Enum):
    """An enum."""

    SMALL = strawberry.enum_value("small", description="Little.")


@strawberry.input
class Where:
    """An input."""

    name_is: str


@strawberry.type
class Thing:
    """An attribute, two resolvers, and one that is a coroutine."""

    name: str

    @strawberry.field
    def shown(self, info: strawberry.Info[Any, Any]) -> str:
        seen.append(internals.core_info(info))
        return self.name

    @strawberry.field
    def found(self, where: Where) -> bool:
        return where.name_is == self.name

    @strawberry.field
    async def later(self) -> str:
        return self.name


@strawberry.type
class Query:
    """The root."""

    @strawberry.field
    def thing(self) -> Thing:
        return Thing(name="x")


seen: list[Any] = []
SCHEMA = strawberry.Schema(Query)
THING = internals.core_schema(SCHEMA).type_map["Thing"]
assert isinstance(THING, GraphQLObjectType)
FIELDS = THING.fields


def test_schema_is_graphql_cores_own() -> None:
    assert isinstance(SCHEMA._schema, GraphQLSchema)
    assert internals.core_schema(SCHEMA) is SCHEMA._schema


def test_info_raw_info_is_graphql_cores_own() -> None:
    seen.clear()
    assert SCHEMA.execute_sync("{ thing { shown } }").data == {"thing": {"shown": "x"}}
    (info,) = seen
    assert (info.schema, info.return_type) == (SCHEMA._schema, FIELDS["shown"].type)
    assert [node.name.value for node in info.field_nodes] == ["shown"]
    assert (info.fragments, dict(info.variable_values)) == ({}, {})


def test_definition_backref_leads_from_types_and_fields_to_their_declarations() -> None:
    assert GraphQLCoreConverter.DEFINITION_BACKREF in THING.extensions
    assert isinstance(THING, GraphQLObjectType)
    assert internals.declared_class(THING) is Thing
    assert internals.declared_field(FIELDS["name"]).python_name == "name"


def test_scalar_registry_and_convert_arguments_make_what_a_resolver_takes() -> None:
    given = {"where": {"nameIs": "x"}}
    assert internals.converted(internals.declared_field(FIELDS["found"]), given, SCHEMA) == {
        "where": Where(name_is="x")
    }


def test_strawberry_argument_takes_its_description_and_default_from_a_parameter() -> None:
    annotation: Any = Annotated[int, strawberry.argument(description="How many.")]
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation) for name in ("first", "last")]
    first, last = internals.arguments_of([parameters[0].replace(default=3), parameters[1]])
    assert (first.python_name, first.type, first.description, first.default) == ("first", int, "How many.", 3)
    assert last.default is strawberry.UNSET


def test_base_resolver_tells_the_function_and_whether_it_takes_info_and_is_async() -> None:
    assert internals.resolver_of(internals.declared_field(FIELDS["name"])) is None
    shown, later = (internals.resolver_of(internals.declared_field(FIELDS[name])) for name in ("shown", "later"))
    assert shown is not None
    assert later is not None
    assert (shown.function.__name__, shown.takes_info, shown.is_async) == ("shown", True, False)
    assert (later.function.__name__, later.takes_info, later.is_async) == ("later", False, True)


def test_strawberry_definition_of_an_enum_lists_its_values() -> None:
    (value,) = internals.enum_definition(Size).values
    assert (value.name, value.value, value.description) == ("SMALL", "small", "Little.")


def test_a_leaf_is_neither_an_object_nor_a_list() -> None:
    fields = {field.python_name: field for field in get_object_definition(Batch, strict=True).fields}
    leaves = {
        name: internals.is_leaf(fields[name]) for name in ("id", "cost", "callback_health", "callback_deliveries")
    }
    assert leaves == {"id": True, "cost": True, "callback_health": True, "callback_deliveries": False}
    assert not internals.is_leaf(fields["items"])


@pytest.mark.parametrize("name", ["is_basic_field", "is_async", "get_result", "__copy__", "arguments"])
def test_what_a_sourced_field_overrides_or_sets_is_there_to_be_overridden(name: str) -> None:
    assert name in vars(StrawberryField)
    assert name in vars(SourcedField) or name == "arguments"


def test_set_name_is_a_dataclass_fields_own() -> None:
    assert "__set_name__" in vars(Field)


def test_a_copied_field_is_made_by_its_constructor() -> None:
    made: list[dict[str, Any]] = []

    class Counted(StrawberryField):
        def __init__(self, **options: Any) -> None:
            made.append(options)
            super().__init__(**options)

    copy(Counted(python_name="x"))
    assert len(made) == 2


def test_the_default_scalar_registry_holds_json() -> None:
    assert strawberry.scalars.JSON in DEFAULT_SCALAR_REGISTRY
