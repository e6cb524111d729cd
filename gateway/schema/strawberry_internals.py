"""What the gateway uses of Strawberry beyond what it documents, in one place.

Each function is the only user of the internal that its docstring names. `tests/schema/test_strawberry_internals.py`
holds each one, so that an upgrade which moves it fails there by its name. Beside these, `fields.SourcedField` overrides
members of `StrawberryField`, and `scalars` reads `DEFAULT_SCALAR_REGISTRY`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import EnumMeta
from inspect import Parameter, Signature
from typing import Any, NamedTuple, cast

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry.annotation import StrawberryAnnotation
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types import get_object_definition
from strawberry.types.arguments import StrawberryArgument, convert_arguments
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField


class ResolverFunction(NamedTuple):
    """The function of a field with a resolver."""

    function: Callable[..., Any]
    takes_info: bool
    is_async: bool


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """graphql-core's schema (`Schema._schema`)."""
    return schema._schema


def core_info(info: strawberry.Info[Any, Any]) -> GraphQLResolveInfo[Any]:
    """graphql-core's info of a resolver's (`Info._raw_info`)."""
    return info._raw_info


def declared_field(definition: GraphQLField) -> StrawberryField:
    """The declaration of a field of the schema (`GraphQLCoreConverter.DEFINITION_BACKREF`)."""
    return cast("StrawberryField", definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF])


def declared_class(type_: GraphQLObjectType) -> type[Any]:
    """The class of an object type (`GraphQLCoreConverter.DEFINITION_BACKREF`, then `.origin`)."""
    return cast("type[Any]", type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin)


def arguments_of(parameters: Iterable[Parameter]) -> list[StrawberryArgument]:
    """GraphQL's arguments for parameters of Python (`StrawberryArgument` and `StrawberryAnnotation`)."""
    return [
        StrawberryArgument(
            python_name=parameter.name,
            graphql_name=None,
            type_annotation=StrawberryAnnotation(parameter.annotation),
            default=strawberry.UNSET if parameter.default is Signature.empty else parameter.default,
        )
        for parameter in parameters
    ]


def converted(field: StrawberryField, given: Mapping[str, Any], schema: strawberry.Schema) -> dict[str, Any]:
    """A field's arguments as its resolver takes them (`convert_arguments`, `schema_converter.scalar_registry`)."""
    registry = schema.schema_converter.scalar_registry
    return convert_arguments(dict(given), field.arguments, scalar_registry=registry, config=schema.config)


def resolver_of(field: StrawberryField) -> ResolverFunction | None:
    """The resolver of a field (`base_resolver.wrapped_func`, `.info_parameter`, `.is_async`); None without one."""
    resolver = field.base_resolver
    if resolver is None:
        return None
    function = cast("Callable[..., Any]", resolver.wrapped_func)
    return ResolverFunction(function, resolver.info_parameter is not None, resolver.is_async)


def enum_definition(of: EnumMeta) -> StrawberryEnumDefinition:
    """What Strawberry knows of an enum (`__strawberry_definition__`)."""
    return cast("StrawberryEnumDefinition", cast("Any", of).__strawberry_definition__)


def is_leaf(field: StrawberryField) -> bool:
    """Whether a field is a scalar or an enum (`StrawberryField.type`, `StrawberryOptional`, `StrawberryList`)."""
    type_: Any = field.type
    while isinstance(type_, StrawberryOptional):
        type_ = type_.of_type
    return not isinstance(type_, StrawberryList) and get_object_definition(type_) is None
