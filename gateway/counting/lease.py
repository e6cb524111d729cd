"""Who counts: one process of all gateways, which writes down again and again that it is there.

Whoever waits looks at the row by a clock of its own, so that no two clocks are compared: a beat that stays the same for
`SECONDS_TO_TAKE_OVER` is that of a process that is gone.
"""

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.database.engine import Database
from gateway.database.tables import counting_lease as lease

SECONDS_TO_TAKE_OVER = 30.0
SECONDS_BETWEEN_LOOKS = 1.0
COMMAND = "gateway count"
SERVER = "gateway serve"


class Lease:
    """The right to count in a database, for a process that is `kind`, and what is known of who has it."""

    def __init__(self, database: Database, kind: str = SERVER, clock: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self.kind = kind
        self.holder = f"{kind} {uuid4().hex}"
        self._clock = clock
        self._seen: tuple[str | None, int] | None = None
        self._since = 0.0

    async def acquire(self, *, from_servers: bool = False) -> bool:
        """Have it, if nobody has it, or who had it is gone; or, `from_servers`, if it is no command that has it."""
        rows = await self.database.fetch(select(lease.c.holder, lease.c.beat).where(lease.c.id == 1), newest=True)
        if not rows:
            await self._make()
            return await self.acquire(from_servers=from_servers)
        seen = rows[0].holder, rows[0].beat
        if seen != self._seen:
            self._seen, self._since = seen, self._clock()
        holder, beat = seen
        if holder == self.holder:
            return True
        gone = self._clock() - self._since >= SECONDS_TO_TAKE_OVER
        if holder is None or gone or (from_servers and not holder.startswith(COMMAND)):
            return await self._swap(beat)
        return False

    async def outlast(self, *, from_servers: bool = False, pause: float = SECONDS_BETWEEN_LOOKS) -> bool:
        """Have it once whoever has it proves to be gone; False as soon as they write again that they are there."""
        first = None
        while not await self.acquire(from_servers=from_servers):
            first = first or self._seen
            if self._seen != first:
                return False
            await asyncio.sleep(pause)
        return True

    async def release(self) -> None:
        """Leave it to whoever comes next, at once."""
        async with self.database.transaction() as connection:
            await connection.execute(
                update(lease).where(lease.c.id == 1, lease.c.holder == self.holder).values(holder=None)
            )

    async def _swap(self, beat: int) -> bool:
        async with self.database.transaction() as connection:
            swapped = await connection.execute(
                update(lease)
                .where(lease.c.id == 1, lease.c.beat == beat)
                .values(holder=self.holder, beat=lease.c.beat + 1)
            )
            return bool(swapped.rowcount == 1)

    async def _make(self) -> None:
        try:
            async with self.database.transaction() as connection:
                await connection.execute(insert(lease).values(id=1, holder=None, beat=0))
        except IntegrityError:
            pass  # another one was quicker
