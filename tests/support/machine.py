"""What a test needs of the machine it runs on."""

import os

import pytest


def lacking(reason: str) -> None:
    """Skip a test for what the machine lacks; where GATEWAY_TEST_COMPLETE is set, as in CI, that is a failure."""
    if os.environ.get("GATEWAY_TEST_COMPLETE"):
        pytest.fail(reason)
    pytest.skip(reason)
