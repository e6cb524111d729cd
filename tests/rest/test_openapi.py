"""The published OpenAPI document: generated from what serves, equal to the platform's.

`contract/get-batch-callback.json` is the platform's operation and every component it reaches, as facts: descriptions
are emptied, everything else stands as it was published, names, titles, order and double spaces included.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from gateway.app import create_app
from gateway.settings import Settings

FORMS = ("ndjson", "csv")
REFERENCE = json.loads((Path(__file__).parent / "contract/get-batch-callback.json").read_text(encoding="utf-8"))


def without_prose(value: Any) -> Any:
    """The value with every description emptied; whether there is one still counts."""
    if isinstance(value, dict):
        return {
            key: "" if key == "description" and isinstance(child, str) else without_prose(child)
            for key, child in value.items()
        }
    return [without_prose(child) for child in value] if isinstance(value, list) else value


async def published() -> Any:
    transport = httpx.ASGITransport(create_app(Settings(database_url="sqlite+aiosqlite:///unopened.db")))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get("/api/openapi.public.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_operation_and_components_equal_the_reference() -> None:
    document = await published()
    (frozen,) = REFERENCE["paths"]
    assert without_prose(document["paths"][frozen]) == REFERENCE["paths"][frozen]
    assert without_prose(document["components"]) == REFERENCE["components"]
    assert document["openapi"] == REFERENCE["openapi"]


async def test_properties_stand_in_the_order_of_the_reference() -> None:
    served = (await published())["components"]["schemas"]
    for name, schema in REFERENCE["components"]["schemas"].items():
        assert list(served[name].get("properties", ())) == list(schema.get("properties", ())), name


async def test_the_document_names_the_gateway_and_no_other_server() -> None:
    document = await published()
    assert document["info"]["title"] == "Callback gateway"
    assert "servers" not in document
    assert [tag["name"] for tag in document["tags"]] == ["Batches", "Exports"]


async def test_it_has_each_list_in_each_format_beside_the_frozen_operation() -> None:
    paths = (await published())["paths"]
    lists = {"batches", "callback-deliveries", "callback-attempts"}
    assert set(paths) - set(REFERENCE["paths"]) == {f"/exports/{name}.{form}" for name in lists for form in FORMS}
    names = {parameter["name"] for parameter in paths["/exports/batches.csv"]["get"]["parameters"]}
    assert names == {"link", "X-Organization-Id", "filter", "orderBy", "fields", "after"}


async def test_every_description_says_something() -> None:
    def empty(value: Any) -> bool:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return (isinstance(value, dict) and value.get("description") == "") or any(map(empty, children))

    document = await published()
    assert not empty(document["paths"])
    assert not empty(document["components"])
