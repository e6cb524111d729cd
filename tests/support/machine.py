"""What a test needs of the machine it runs on."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def lacking(reason: str) -> None:
    """Skip a test for what the machine lacks; where GATEWAY_TEST_COMPLETE is set, as in CI, that is a failure."""
    if os.environ.get("GATEWAY_TEST_COMPLETE"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def machine_held(folder: Path, *, alone: bool) -> Iterator[None]:
    """Run beside what others run who hold the machine, or alone; the folder is that of all workers of a run."""
    with (folder / "machine").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)  # until the file is closed
        yield
