"""From the text of a document to one that is known to fit the schema and the limits.

The stages, cheapest first: its length, its tokens while it is parsed, its shape in one walk, then validation. What they
found is remembered by the text, refusals included, and a document can be asked for by its hash: one that a client has
sent before (automatic persisted queries), or one of the manifest (trusted documents).
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from gateway.errors import (
    ClientError,
    DocumentNotTrusted,
    ErrorLimitExceeded,
    LengthLimitExceeded,
    OperationNotFound,
    OverlapLimitExceeded,
    PersistedQueryHashMismatch,
    PersistedQueryNotFound,
    TokenLimitExceeded,
    TrustedDocumentsUnreadable,
)
from gateway.execution.limits import Cost, check_document
from gateway.execution.redacted import normalised
from gateway.schema.graphql_core_internals import (
    OVERLAPS,
    RULES,
    VariableValues,
    has_too_many_tokens,
    is_aborted,
    variable_values,
)
from gateway.settings import DocumentSettings

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
DOCUMENT_DEFAULTS = DocumentSettings()
NO_DOCUMENTS: Mapping[str, str] = MappingProxyType({})

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation does, and what it costs.

    `directive_variables` are the variables that its document's directives take: its `plans` are by the values of these.
    """

    definition: OperationDefinitionNode
    cost: Cost
    directive_variables: tuple[str, ...] = ()
    plans: dict[tuple[Any, ...], Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation

    def variables(self, schema: GraphQLSchema, given: dict[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values of the operation's variables, or what is wrong with those that were given."""
        return variable_values(schema, self.definition, given)


@dataclass(frozen=True)
class CheckedDocument:
    """A document that may run, or else the errors that a client is told, as they are sent."""

    document: DocumentNode | None = None
    operations: Mapping[str | None, Operation] = field(default_factory=dict)
    errors: Sequence[dict[str, Any]] = ()
    parsed: bool = True

    @cached_property
    def normalised(self) -> str:
        """The document as operators may see it, without values; empty where it may not run."""
        return "" if self.document is None else normalised(self.document)

    def operation(self, name: str | None) -> Operation:
        """The operation of that name, or the only one; `OperationNotFound`."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            raise OperationNotFound("Name the operation to run with `operationName`.")
        if name not in self.operations:
            raise OperationNotFound("The document has no operation of that `operationName`.")
        return self.operations[name]


class WeightedLru(Generic[V]):
    """The values used last: so many, and so much weight, at most."""

    def __init__(self, size: int, weight: int) -> None:
        self.size = size
        self.weight = weight
        self.hits = 0
        self.misses = 0
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> V | None:
        """The value, which counts as used now."""
        found = self._values.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: str, value: V, weight: int) -> None:
        """Remember a new value; one that is too heavy by itself is not."""
        if key in self._values or weight > self.weight:
            return
        self._values[key] = value, weight
        self._weight += weight
        while len(self._values) > self.size or self._weight > self.weight:
            self._weight -= self._values.popitem(last=False)[1][1]


class Documents:
    """Checks documents against one schema and remembers what it found.

    Outside of development errors say nothing about the schema: what a document guessed right cannot be told from what
    it guessed wrong. With `trusted_documents_only` no document runs but those of `trusted`, which are texts by hash.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        settings: DocumentSettings = DOCUMENT_DEFAULTS,
        trusted: Mapping[str, str] = NO_DOCUMENTS,
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.trusted = trusted
        self._trusted_texts = frozenset(trusted.values())
        self.cache: WeightedLru[CheckedDocument] = WeightedLru(
            settings.document_cache_size, settings.document_cache_length
        )
        self._persisted: WeightedLru[str] = WeightedLru(settings.document_cache_size, settings.document_cache_length)

    def find(self, text: str | None, hash_: str | None) -> CheckedDocument:
        """The document of a text, of a hash, or of both, which must agree; raises what is wrong with the hash."""
        known = None if hash_ is None else self.trusted.get(hash_)
        if known is None and self.settings.trusted_documents_only and text not in self._trusted_texts:
            raise DocumentNotTrusted("Only documents of the manifest are run.")
        if text is None:
            known = known or (None if hash_ is None else self._persisted.get(hash_))
            if known is None:
                raise PersistedQueryNotFound("PersistedQueryNotFound")
            return self.check(known)
        if known is not None and known != text:
            raise PersistedQueryHashMismatch("The hash is another document's.")
        checked = self.check(text)
        if hash_ is not None and known is None:
            if hashlib.sha256(text.encode()).hexdigest() != hash_:
                raise PersistedQueryHashMismatch("The hash is not the document's SHA-256.")
            if not checked.errors:
                self._persisted.put(hash_, text, len(text))
        return checked

    def check(self, text: str) -> CheckedDocument:
        """What is known of a document, parsed and validated at its first sight."""
        checked = self.cache.get(text)
        if checked is None:
            checked = self._check(text)
            self.cache.put(text, checked, len(text))
        return checked

    def _check(self, text: str) -> CheckedDocument:
        try:
            document = self._parse(text)
            found = check_document(document, self.schema, self.settings)
        except GraphQLSyntaxError as error:
            return CheckedDocument(errors=[_mistake(error, PARSE_FAILED)], parsed=False)
        except ClientError as error:
            return CheckedDocument(errors=[_refusal(error)])
        operations = {
            None if definition.name is None else definition.name.value: Operation(definition, cost, directive_variables)
            for definition, cost, directive_variables in found
        }
        errors = self._validate(document)
        return CheckedDocument(None if errors else document, operations, errors)

    def _parse(self, text: str) -> DocumentNode:
        limits = self.settings
        if len(text) > limits.max_document_length:
            message = f"The document has {len(text)} characters; {limits.max_document_length} is the limit."
            raise LengthLimitExceeded(message, limits.max_document_length, len(text))
        lines = text.count("\n") + text.count("\r") + 1  # which bounds comments, and what it takes to locate errors
        if lines > limits.max_tokens:
            message = f"The document has {lines} lines; {limits.max_tokens} is the limit."
            raise TokenLimitExceeded(message, limits.max_tokens, lines)
        try:
            return parse(text, max_lexical_tokens=limits.max_tokens)
        except GraphQLSyntaxError as error:
            if has_too_many_tokens(error):
                message = f"The document has more than {limits.max_tokens} tokens."
                raise TokenLimitExceeded(message, limits.max_tokens) from None
            raise

    def _validate(self, document: DocumentNode) -> Sequence[dict[str, Any]]:
        """The errors of a document; a single one that tells nothing where the schema is not to be known."""
        most = self.settings.max_errors if self.settings.is_development else 1
        mistakes = validate(self.schema, document, RULES, most, hide_suggestions=not self.settings.is_development)
        if not mistakes:
            return ()
        aborted = is_aborted(mistakes)
        if aborted and len(mistakes) <= most:
            message = "Too many fields share a name for the gateway to check that they agree."
            return [_refusal(OverlapLimitExceeded(message, OVERLAPS))]
        if not self.settings.is_development:
            return [{"message": "The document does not fit the schema.", "extensions": {"code": VALIDATION_FAILED}}]
        errors = [_mistake(mistake, VALIDATION_FAILED) for mistake in mistakes[:most]]
        return [*errors, more_errors(most)] if aborted else errors


def read_manifest(path: Path) -> dict[str, str]:
    """The texts of trusted documents by their hashes, from Relay's `persisted.json` or from Apollo's manifest."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest, dict) and isinstance(manifest.get("operations"), list):
            manifest = {operation["id"]: operation["body"] for operation in manifest["operations"]}
        texts = dict(manifest)
    except OSError as reason:
        raise TrustedDocumentsUnreadable(f"{path}: {reason.strerror}.") from reason
    except (ValueError, TypeError, KeyError) as reason:
        raise TrustedDocumentsUnreadable(f"{path} is no manifest of documents.") from reason
    if not all(isinstance(part, str) for entry in texts.items() for part in entry):
        raise TrustedDocumentsUnreadable(f"{path} must give the text of each document by its hash.")
    return texts


def more_errors(most: int) -> dict[str, Any]:
    """The error that stands for those that are not reported."""
    return _refusal(ErrorLimitExceeded(f"There are more errors; {most} are reported.", most))


def _refusal(error: ClientError) -> dict[str, Any]:
    return {"message": error.message, "extensions": error.extensions}


def _mistake(error: GraphQLError, code: str) -> dict[str, Any]:
    return {**error.formatted, "extensions": {"code": code}}
