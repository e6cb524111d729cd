"""Connections that statements take in turn.

At most `database_pool_size` are open. Who finds none free waits in line, no longer than `database_wait_seconds`; where
`LONGEST_LINE` wait for each connection, the next one is turned away at once: work beyond what the database can take is
refused, and does not pile up.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from gateway.errors import Overloaded
from gateway.settings import DatabaseSettings

C = TypeVar("C")

LONGEST_LINE = 50  # with statements of 40 ms, the last one's turn comes after 2 s
SHORTEST_LINE = 200  # one request may ask dozens of statements at once
SECONDS_TO_STOP = 2.0  # that a connection has to be closed in order, and an abandoned statement to end


class Pool(Generic[C]):
    """Lends connections that `connect` opens, and forgets those that `is_closed`."""

    def __init__(
        self,
        connect: Callable[[], Coroutine[Any, Any, C]],
        is_closed: Callable[[C], bool],
        settings: DatabaseSettings,
    ) -> None:
        self.size = settings.database_pool_size
        self.patience = settings.database_wait_seconds
        self.line = max(SHORTEST_LINE, LONGEST_LINE * self.size)
        self._connect = connect
        self._is_closed = is_closed
        self._idle: list[C] = []
        self._lent: set[C] = set()
        self._opening: set[asyncio.Future[C]] = set()
        self._settling: set[asyncio.Future[None]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_use(self) -> int:
        """Connections that are lent or being opened."""
        return len(self._lent) + len(self._opening)

    @property
    def idle(self) -> int:
        """Connections that are open and not lent."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiting)

    async def take(self) -> C:
        """A connection, to be given back; `Overloaded` where none comes free in time."""
        if self._waiting or not self._has_room():
            await self._wait()
        while self._idle:
            connection = self._idle.pop()
            if not self._is_closed(connection):
                self._lent.add(connection)
                return connection
        # By a task of its own: who leaves while it is opened leaves it to the next one.
        opening = asyncio.ensure_future(self._connect())
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._keep)
            raise
        self._lent.add(connection)
        return connection

    def settle(self, settling: Coroutine[Any, Any, None]) -> None:
        """Begin what ends the work on a connection that its borrower has left, and gives it back."""
        task = asyncio.ensure_future(settling)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def come_to_rest(self) -> None:
        """Wait for what settles, and a while for what is being opened."""
        await asyncio.gather(*self._settling)
        if self._opening:
            await asyncio.wait(self._opening, timeout=SECONDS_TO_STOP)

    def _opened(self, opening: asyncio.Future[C]) -> None:
        self._opening.discard(opening)
        if opening.cancelled() or opening.exception() is not None:
            self._wake()

    def _keep(self, opening: asyncio.Future[C]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.give(opening.result())

    def give(self, connection: C) -> None:
        """Take a connection back, for the next one to use unless it is closed."""
        self._lent.discard(connection)
        if not self._is_closed(connection):
            self._idle.append(connection)
        self._wake()

    def empty_idle(self) -> list[C]:
        """Forget the connections that nobody uses, and return them to be closed."""
        idle, self._idle = self._idle, []
        return idle

    def empty(self) -> list[C]:
        """Forget all connections, those that are lent included, and return them to be closed."""
        return [*self.empty_idle(), *self._lent]

    def _has_room(self) -> bool:
        return bool(self._idle) or self.in_use < self.size

    async def _wait(self) -> None:
        """Wait in line until there is room."""
        if len(self._waiting) >= self.line:
            raise Overloaded(f"{len(self._waiting)} others wait for the database already.")
        try:
            async with asyncio.timeout(self.patience):
                await self._turn(self._waiting.append)
                while not self._has_room():  # somebody who did not wait was quicker
                    await self._turn(self._waiting.appendleft)
        except TimeoutError:
            raise Overloaded(f"No connection to the database came free in {self.patience:g} s.") from None

    async def _turn(self, line_up: Callable[[asyncio.Future[None]], None]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line_up(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                self._wake()  # the turn was given, and nobody takes it
            raise

    def _wake(self) -> None:
        """Let the next in line look."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
