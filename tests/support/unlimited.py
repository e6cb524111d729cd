"""Documents without limits, for tests that look at something else."""

import sys
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLSchema

from gateway.execution.documents import NO_DOCUMENTS, Documents
from gateway.settings import DocumentSettings, Profile

LIMITS = (
    "max_document_length",
    "max_tokens",
    "max_depth",
    "max_root_fields",
    "max_aliases",
    "max_directives",
    "max_selections",
    "max_cost",
    "max_variable_values",
)


def unlimited(**given: Any) -> DocumentSettings:
    """The settings of development with no limits but those that are given."""
    return DocumentSettings(
        **{"profile": Profile.DEVELOPMENT, "max_errors": 100, **dict.fromkeys(LIMITS, sys.maxsize), **given}
    )


def unlimited_documents(
    schema: GraphQLSchema, *, is_open: bool = True, trusted: Mapping[str, str] = NO_DOCUMENTS, **given: Any
) -> Documents:
    """Documents of a schema that are checked by such settings; those of production where it is not open."""
    profile = Profile.DEVELOPMENT if is_open else Profile.PRODUCTION
    return Documents(schema, unlimited(profile=profile, **given), trusted)
