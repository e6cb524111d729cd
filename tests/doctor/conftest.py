"""Tables that somebody else made, on which the doctor is tried."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.existing import Existing, existing_database


@pytest.fixture(params=["sqlite", "postgresql"])
def existing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Existing]:
    if request.param == "postgresql":
        request.getfixturevalue("postgres_url")
    with existing_database(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def postgres_existing(postgres_url: str, tmp_path: Path) -> Iterator[Existing]:
    assert postgres_url
    with existing_database("postgresql", tmp_path) as made:
        yield made
