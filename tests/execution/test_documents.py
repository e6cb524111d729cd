"""From the text of a document to one that is known: what is said of mistakes, what is remembered, what is trusted."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import (
    DocumentNotTrusted,
    OperationNotFound,
    PersistedQueryHashMismatch,
    PersistedQueryNotFound,
    TrustedDocumentsUnreadable,
)
from gateway.execution.documents import CheckedDocument, Documents, WeightedLru, read_manifest
from gateway.schema.query import schema
from tests.support.unlimited import unlimited_documents

SCHEMA = schema._schema
TYPENAME = "{ __typename }"


def documents(**options: Any) -> Documents:
    return unlimited_documents(SCHEMA, **options)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def codes(checked: CheckedDocument) -> list[str]:
    return [error["extensions"]["code"] for error in checked.errors]


def test_a_document_that_fits_has_its_operations() -> None:
    checked = documents().check("query a {__typename} query b {batch(id:1){id}}")
    assert checked.errors == ()
    assert set(checked.operations) == {"a", "b"}
    assert checked.operation("b").kind.value == "query"


@pytest.mark.parametrize("name", [None, "c"])
def test_which_of_two_operations_to_run_must_be_said(name: str | None) -> None:
    with pytest.raises(OperationNotFound):
        documents().check("query a {__typename} query b {__typename}").operation(name)


def test_an_operation_that_is_not_there_is_not_replaced_by_the_only_one() -> None:
    with pytest.raises(OperationNotFound):
        documents().check(TYPENAME).operation("a")


def test_a_document_that_is_none_says_where() -> None:
    assert documents().check("{").errors == [
        {
            "message": "Syntax Error: Expected Name, found <EOF>.",
            "locations": [{"line": 1, "column": 2}],
            "extensions": {"code": "GRAPHQL_PARSE_FAILED"},
        }
    ]


def test_development_helps_with_mistakes() -> None:
    (error,) = documents().check("{btch(id:1){id}}").errors
    assert error["message"] == "Cannot query field 'btch' on type 'Query'. Did you mean 'batch'?"
    assert error["locations"] == [{"line": 1, "column": 2}]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    "mistake",
    [
        "{btch}",
        "{batch}",
        "{batch(id:1)}",
        "{batch(ide:1){id}}",
        "{batch(id:1){idd}}",
        "{batch(id:1){id{x}}}",
        "{batch(id:1){...on Btch{id}}}",
        "{batch(id:1){...on Viewer{id}}}",
        "{batch(id:1){...f}}",
        "query($x:Btch){batch(id:$x){id}}",
        "{batch(id:1){callbackDeliveries(orderBy:{field:CREATED_ATT}){id}}}",
        "{batch(id:1){callbackDeliveries(orderBy:{fild:CREATED_AT}){id}}}",
        "{batch(id:1){id @includ(if:true)}}",
        "mutation{a}",
        "subscription{a}",
        "type Batch{id:ID}",
    ],
)
def test_production_tells_nothing_about_the_schema(mistake: str) -> None:
    assert documents(is_open=False).check(mistake).errors == [
        {"message": "The document does not fit the schema.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
    ]


@pytest.mark.parametrize(
    "question", ["{__schema{queryType{name}}}", '{a:__type(name:"Batch"){name}}', "{...{__schema{x}}}"]
)
def test_production_does_not_describe_its_schema(question: str) -> None:
    assert codes(documents(is_open=False).check(question)) == ["INTROSPECTION_DISABLED"]


def test_only_so_many_errors_are_reported() -> None:
    checked = documents(max_errors=2).check("{a b c d}")
    assert codes(checked) == ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_VALIDATION_FAILED", "ERROR_LIMIT_EXCEEDED"]
    assert checked.errors[-1]["extensions"]["limit"] == 2


@pytest.mark.parametrize(
    ("text", "limits", "extensions"),
    [
        ("{ab}", {"max_document_length": 3}, {"code": "LENGTH_LIMIT_EXCEEDED", "limit": 3, "actual": 4}),
        ("{a b}", {"max_tokens": 3}, {"code": "TOKEN_LIMIT_EXCEEDED", "limit": 3, "actual": None}),
        ("{a}#\n#\n#\n#", {"max_tokens": 3}, {"code": "TOKEN_LIMIT_EXCEEDED", "limit": 3, "actual": 4}),
    ],
)
def test_texts_are_limited_before_they_are_understood(
    text: str, limits: dict[str, int], extensions: dict[str, Any]
) -> None:
    (error,) = documents(**limits).check(text).errors
    assert error["extensions"] == extensions


def test_checking_that_fields_agree_is_on_a_budget() -> None:
    (error,) = documents().check("{batch(id:1){" + "id " * 300 + "}}").errors
    assert error["extensions"]["code"] == "OVERLAP_LIMIT_EXCEEDED"
    assert documents().check("{batch(id:1){" + "id " * 100 + "}}").errors == ()


def test_documents_and_refusals_are_remembered() -> None:
    known = documents()
    assert known.check(TYPENAME) is known.check(TYPENAME)
    assert known.check("{") is known.check("{")


def test_memory_holds_what_was_used_last() -> None:
    memory: WeightedLru[int] = WeightedLru(2, 100)
    memory.put("a", 1, 1)
    memory.put("b", 2, 1)
    assert memory.get("a") == 1
    memory.put("c", 3, 1)
    assert (memory.get("a"), memory.get("b"), memory.get("c"), len(memory)) == (1, None, 3, 2)


def test_memory_holds_only_so_much_weight() -> None:
    memory: WeightedLru[int] = WeightedLru(10, 100)
    for number in range(5):
        memory.put(str(number), number, 40)
    memory.put("too heavy", 9, 101)
    assert [memory.get(key) for key in ("2", "3", "4", "too heavy")] == [None, 3, 4, None]


def test_a_hash_finds_the_document_that_came_with_it() -> None:
    known = documents()
    with pytest.raises(PersistedQueryNotFound, match=r"^PersistedQueryNotFound$"):
        known.find(None, sha256(TYPENAME))
    assert known.find(TYPENAME, sha256(TYPENAME)).errors == ()
    assert known.find(None, sha256(TYPENAME)) is known.check(TYPENAME)


def test_a_hash_must_be_the_documents() -> None:
    known = documents()
    with pytest.raises(PersistedQueryHashMismatch):
        known.find(TYPENAME, sha256("{other}"))
    with pytest.raises(PersistedQueryNotFound):
        known.find(None, sha256("{other}"))


def test_documents_that_do_not_fit_are_not_kept_by_their_hash() -> None:
    known = documents()
    known.find("{nothing}", sha256("{nothing}"))
    with pytest.raises(PersistedQueryNotFound):
        known.find(None, sha256("{nothing}"))


def test_trusted_documents_are_found_by_whatever_names_them() -> None:
    known = documents(trusted={"md5-1": TYPENAME})
    assert known.find(None, "md5-1").errors == ()
    assert known.find(TYPENAME, "md5-1").errors == ()
    with pytest.raises(PersistedQueryHashMismatch):
        known.find("{viewer{id}}", "md5-1")


def test_all_but_trusted_documents_can_be_refused() -> None:
    known = documents(trusted={"1": TYPENAME}, trusted_documents_only=True)
    assert known.find(None, "1") is known.find(TYPENAME, None)
    for text, hash_ in (("{batch}", None), (None, "2"), ("{batch}", sha256("{batch}"))):
        with pytest.raises(DocumentNotTrusted):
            known.find(text, hash_)


@pytest.mark.parametrize(
    "manifest",
    [
        {"1": TYPENAME},
        {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [{"id": "1", "name": "A", "type": "query", "body": TYPENAME}],
        },
    ],
)
def test_manifests_of_relay_and_apollo_are_read(manifest: object, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    assert read_manifest(path) == {"1": TYPENAME}


@pytest.mark.parametrize("content", ["", "[1]", "5", '{"1":2}', '{"operations":[{"id":"1"}]}', '{"operations":[1]}'])
def test_a_file_that_is_no_manifest_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(TrustedDocumentsUnreadable, match=r"manifest\.json[^\n]+$"):
        read_manifest(path)
    with pytest.raises(TrustedDocumentsUnreadable, match="No such file"):
        read_manifest(tmp_path / "missing.json")
