"""Clients that others wrote, with the packages that they need."""

from pathlib import Path

import pytest

from tests.support import npm

SOURCES = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    return npm.packages(SOURCES, pytestconfig)


@pytest.fixture
def clients(packages: Path, tmp_path: Path) -> Path:
    return npm.project(SOURCES, packages, tmp_path / "clients")
