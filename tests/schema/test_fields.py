"""A field is declared once: what its source makes of it, and what is refused at import."""

from collections.abc import Callable
from typing import Any

import pytest
import strawberry
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from gateway.database.tables import batches
from gateway.execution.plan.compiler import compile_plan
from gateway.reading.masking import mask_text
from gateway.reading.previews import Preview
from gateway.schema import nodes
from gateway.schema.fields import Loaded, Previewed, column, costs_of, derived, loaded, masked, previewed, source_of
from gateway.schema.nodes import NODES, Node, row_type
from gateway.schema.query import SCHEMA
from gateway.schema.types import deliveries_of_batch, latest_of_delivery
from tests.support.asking import DOCUMENTS
from tests.support.rows import identifier


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "NODES", dict(NODES))


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (lambda: column(description="?"), "wrong"),
        (lambda: derived(str, "id", "status_cod", description="?"), "status_cod"),
        (lambda: previewed("outputs", description="?"), "outputs"),
        (lambda: loaded(latest_of_delivery, key="delivery_id", description="?"), "delivery_id"),
        (lambda: masked(mask_text, description="?"), "wrong"),
    ],
    ids=["column", "derived", "previewed", "loaded", "masked"],
)
def test_a_column_that_the_table_has_not_is_an_error_at_import(make: Callable[[], Any], missing: str) -> None:
    class Wrong(Node):
        wrong: str = make()

    with pytest.raises(TypeError) as refused:
        row_type(batches, description="?")(Wrong)
    assert str(refused.value) == f"Wrong.wrong reads the column '{missing}', which the table batches does not have"


def test_a_field_of_a_row_without_a_source_is_an_error_at_import() -> None:
    class Wrong(Node):
        @strawberry.field
        def shout(self) -> str:
            return str(self.id)

    with pytest.raises(TypeError) as refused:
        row_type(batches, description="?")(Wrong)
    assert str(refused.value).startswith("Wrong.shout has no source: declare it by column,")


def test_every_field_of_a_row_has_a_source_and_every_document_of_one_field_a_plan() -> None:
    for node in NODES.values():
        type_ = SCHEMA.type_map[node.__name__]
        assert isinstance(type_, GraphQLObjectType)
        for name, definition in type_.fields.items():
            assert source_of(definition) is not None, name
            selected = _selected(definition)
            text = f'{{ node(id: "{identifier(0xBA, 1)}") {{ ... on {node.__name__} {{ {name} {selected} }} }} }}'
            checked = DOCUMENTS.check(text)
            assert checked.document is not None, text
            operation = checked.operation(None)
            variables = operation.variables(SCHEMA, {})
            assert not isinstance(variables, list)
            assert compile_plan(SCHEMA, checked.document, operation.definition, variables) is not None, text


def _selected(definition: GraphQLField) -> str:
    return "{ __typename }" if isinstance(get_named_type(definition.type), GraphQLObjectType) else ""


def test_arguments_come_from_the_signature_of_the_question() -> None:
    names = [parameter.name for parameter in Loaded(deliveries_of_batch, "id").parameters]
    assert names == ["first", "filter", "order_by"]
    type_ = SCHEMA.type_map["Batch"]
    assert isinstance(type_, GraphQLObjectType)
    arguments = type_.fields["callbackDeliveries"].args
    assert list(arguments) == ["first", "filter", "orderBy"]
    assert arguments["first"].description == "How many rows to return at the most: 1 to 500."


def test_a_preview_wants_the_beginning_that_its_argument_names() -> None:
    source = Previewed("payload_bytes")
    assert source.varies
    assert source.columns({"max_bytes": 7}) == (Preview("payload_bytes", 7),)
    assert source.columns({"max_bytes": 10**9}) == (Preview("payload_bytes", 65_536),)


def test_costs_stand_beside_the_fields() -> None:
    costs = costs_of(SCHEMA)
    assert costs == {
        ("Batch", "callbackDeliveryCount"): 1,
        ("Query", "callbackStats"): 1_000,
        ("BatchConnection", "totalCount"): 10,
        ("BatchCallbackDeliveryConnection", "totalCount"): 10,
        ("BatchCallbackDeliveryAttemptConnection", "totalCount"): 10,
        ("Mutation", "redeliverCallback"): 100,
        ("Mutation", "redeliverCallbacks"): 10_000,
    }
