"""What operators see of a running gateway: logs."""

import logging
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside of one."""


def configure_logging(level: str) -> None:
    """Send the gateway's log lines to stderr, one line a record. `level` is a name of the `logging` module."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the schema's revision
