"""When each API key was last used: kept in memory and written now and then, never once a request."""

import asyncio
import logging
from datetime import UTC, datetime

from sqlalchemy import bindparam, or_, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.database.engine import Database
from gateway.database.tables import api_keys

logger = logging.getLogger(__name__)

SECONDS_TO_WRITE = 10.0  # seconds for one writing
SQLITE_READONLY = 8
POSTGRES_READ_ONLY = {"25006", "42501"}  # read_only_sql_transaction, insufficient_privilege

STATEMENT = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key_id", type_=api_keys.c.id.type),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used_at")),
    )
    .values(last_used_at=bindparam("used_at", type_=api_keys.c.last_used_at.type))
)


class LastUsed:
    """Collects when keys are used. Where the database cannot be written to, it says so once and stops."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._marks: dict[str, datetime] = {}
        self._on = True

    def mark(self, key_id: str) -> None:
        """Note that a key is used now."""
        if self._on:
            self._marks[key_id] = datetime.now(UTC)

    async def write(self) -> None:
        """Store what was noted since the last time, a row a key. A failure is logged, and it is tried again later."""
        marks = dict(self._marks)
        if not marks:
            return
        try:
            async with asyncio.timeout(SECONDS_TO_WRITE), self.database.transaction() as connection:
                await connection.execute(STATEMENT, [{"key_id": key, "used_at": at} for key, at in marks.items()])
        except (SQLAlchemyError, OSError) as failure:
            self._on = not _is_read_only(failure)
            logger.warning(
                "last_used_at of API keys is not written%s: %s",
                "" if self._on else ", the database is read-only",
                type(failure).__name__,
            )
            if self._on:
                return
        for key, at in marks.items():
            if self._marks.get(key) == at:
                del self._marks[key]


def _is_read_only(failure: Exception) -> bool:
    original = failure.orig if isinstance(failure, DBAPIError) else None
    code = getattr(original, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & 0xFF == SQLITE_READONLY)
    return getattr(original, "sqlstate", None) in POSTGRES_READ_ONLY
