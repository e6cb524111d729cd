"""Reading from several PostgreSQL servers that hold the same: replicas, and the primary that they follow.

Each server has its pool, and a heart: a connection on which it is asked once a second whether it is there and how far
it has come. A server that gives no answer is left out until it answers again, and whoever waits for it goes on to the
next one at once: what is read has no side effects. So is a replica that is too far behind.

How far that is, is told by the primary's positions in its log, each with the time when it had come there. A replica's
own word is worth less: one that has lost the primary has replayed all that it ever received.
"""

import asyncio
import logging
import math
from bisect import bisect_right
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from asyncpg.exceptions import PostgresError

from gateway.database.postgresql import LOST, PostgreSQL, close
from gateway.errors import Overloaded, StatementTimeout, Unavailable
from gateway.settings import DatabaseSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS_BETWEEN = 1.0  # two looks at a server
SECONDS_TO_ANSWER = 1.0
SECONDS_TO_REACH = 2.0
PULSE = """
SELECT pg_is_in_recovery(),
  CAST(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')
    AS bigint),
  pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(),
  CAST(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) AS float8)
"""


class Heartbeat(NamedTuple):
    """What a server says of itself.

    `position` counts bytes of the log: those written on a primary, those replayed on a replica. A replica is `drained`
    when it has replayed all that it received; `age` is how many seconds ago its newest transaction was committed. Each
    is None where the server does not know.
    """

    in_recovery: bool
    position: int | None
    drained: bool | None
    age: float | None


@dataclass(slots=True)
class Affinity:
    """The server that the reads of one request go to, while it answers: the first that has answered one."""

    server: "Server | None" = None


class WalHistory:
    """Where the primary was, and when; as far back as `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._positions: list[int] = []
        self._times: list[float] = []  # the last at which it was seen there

    def note(self, position: int, at: float) -> None:
        """The primary has come at least there by that time."""
        if self._positions and position < self._positions[-1]:  # another server, which lacks what the last one had
            self._positions, self._times = [], []
        if self._positions and position == self._positions[-1]:
            self._times[-1] = at
            return
        self._positions.append(position)
        self._times.append(at)
        old = bisect_right(self._times, at - self._seconds)
        del self._positions[:old], self._times[:old]

    def lag(self, pulse: Heartbeat) -> float:
        """How many seconds a replica is behind what is known of the primary: nothing it lacks is older."""
        known = math.inf if pulse.age is None else max(pulse.age, 0.0)
        if pulse.position is None:
            return known
        if not self._positions:  # the primary was never seen, so that the replica's word has to do
            return 0.0 if pulse.drained else known
        passed = bisect_right(self._positions, pulse.position)
        return known if passed == 0 else self._times[-1] - self._times[passed - 1]


class Server:
    """One server, and what is known of it. `name` tells it from others in the log."""

    def __init__(self, name: str, source: PostgreSQL) -> None:
        self.name = name
        self.source = source
        self.is_up = True
        self.pulse: Heartbeat | None = None
        self.reason = ""  # why it is not up
        self._doubted = False  # a read failed since it was looked at
        self._heart: Any = None
        self._reads: set[asyncio.Timeout] = set()

    @property
    def is_well(self) -> bool:
        """Whether it may be asked."""
        return self.is_up and not self._doubted

    @property
    def load(self) -> int:
        """How many statements it has, or is about to have."""
        return self.source.pool.in_use + self.source.pool.waiting

    async def run(self, text: str, arguments: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows of one statement. `Unavailable` where it does not answer, or is found silent meanwhile."""
        try:
            async with asyncio.timeout(None) as read:
                if self.is_up:
                    self._reads.add(read)
                return await self.source.run(text, arguments)
        except TimeoutError:
            raise Unavailable("The database does not answer just now.") from None
        except Overloaded:
            raise
        except Unavailable:
            self._doubted = True
            raise
        finally:
            self._reads.discard(read)

    async def look(self) -> None:
        """See whether it answers. Where it does not any more, whoever waits for it learns so."""
        try:
            self.pulse = await self._pulse()
        except Exception as failure:  # noqa: BLE001 - whatever it is, this server cannot be relied on
            self._stop_heart()
            if self.is_up:
                self.reason = (str(failure).strip().splitlines() or ["it is silent"])[0]
                logger.warning("the %s is left out: %s", self.name, self.reason)
                self._fall()
            return
        if not self.is_up:
            logger.warning("the %s answers again", self.name)
        self.is_up, self._doubted = True, False

    async def close(self) -> None:
        """Close its connections."""
        if self._heart is not None:
            await close(self._heart)
        await self.source.close()

    async def _pulse(self) -> Heartbeat:
        if self._heart is not None:
            try:
                return await self._ask()
            except TimeoutError:
                raise
            except LOST:
                self._stop_heart()  # perhaps this connection alone was ended
        async with asyncio.timeout(SECONDS_TO_REACH):
            self._heart = await self.source.connect()
        return await self._ask()

    async def _ask(self) -> Heartbeat:
        return Heartbeat(*await _in_time(self._heart.fetchrow(PULSE), SECONDS_TO_ANSWER))

    def _stop_heart(self) -> None:
        if self._heart is not None:
            self._heart.terminate()
            self._heart = None

    def _fall(self) -> None:
        self.is_up = False
        self.source.cut()
        now = asyncio.get_running_loop().time()
        for read in self._reads:
            read.reschedule(now)
        self._reads.clear()


class Replica(Server):
    """A server that follows the primary, whose `course` tells by how much."""

    def __init__(self, name: str, source: PostgreSQL, course: WalHistory, max_lag: float) -> None:
        super().__init__(name, source)
        self.lag = 0.0  # seconds; infinite where nothing is known
        self.max_lag = max_lag
        self._course = course
        self._follows = True

    @property
    def is_well(self) -> bool:
        """Whether it may be asked."""
        return super().is_well and self._follows

    async def look(self) -> None:
        """See whether it answers, follows, and is near enough."""
        await super().look()
        if not self.is_up or self.pulse is None:
            return
        self.lag = self._course.lag(self.pulse)
        follows = self.pulse.in_recovery and self.lag <= self.max_lag
        if follows != self._follows:
            if follows:
                logger.warning("the %s has caught up", self.name)
            elif self.pulse.in_recovery:
                logger.warning("the %s is left out: it is %.0f s behind", self.name, self.lag)
            else:
                logger.warning("the %s is left out: it follows no other server", self.name)
        self._follows = follows


class Primary(Server):
    """The server that replicas follow; it writes down its course."""

    def __init__(self, name: str, source: PostgreSQL, course: WalHistory) -> None:
        super().__init__(name, source)
        self._course = course

    async def look(self) -> None:
        """See whether it answers, and where it is."""
        asked = asyncio.get_running_loop().time()
        await super().look()
        if self.is_up and self.pulse is not None and self.pulse.position is not None:
            self._course.note(self.pulse.position, asked)


class Pools:
    """The pools of several servers, as one."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._pools = [server.source.pool for server in servers]

    @property
    def size(self) -> int:
        """Connections that may be open."""
        return sum(pool.size for pool in self._pools)

    @property
    def in_use(self) -> int:
        """Connections that are lent or being opened."""
        return sum(pool.in_use for pool in self._pools)

    @property
    def idle(self) -> int:
        """Connections that are open and not lent."""
        return sum(pool.idle for pool in self._pools)

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return sum(pool.waiting for pool in self._pools)


class Replicas:
    """Reads from `replicas`, and from `primary` where none of them answers; none is further behind than allowed.

    The reads of a request go to one server while that is well, so that a parent and its children are of one time.
    """

    def __init__(self, primary: PostgreSQL, replicas: Sequence[PostgreSQL], settings: DatabaseSettings) -> None:
        max_lag = settings.database_replica_max_lag_seconds
        course = WalHistory(max_lag + 60)
        self.primary = Primary("primary", primary, course)
        self.replicas = [Replica(f"replica {n}", source, course, max_lag) for n, source in enumerate(replicas)]
        self.servers: list[Server] = [self.primary, *self.replicas]
        self.pool = Pools(self.servers)
        self._turn = 0
        self._begun: asyncio.Future[None] | None = None
        self._hearts: list[asyncio.Task[None]] = []

    async def run(
        self, text: str, arguments: Sequence[Any], affinity: Affinity | None = None
    ) -> Sequence[Sequence[Any]]:
        """The rows of one statement, as asyncpg's records. `Unavailable` where no server answers that may be asked.

        The server of the `affinity` is asked first, and the one that answers is noted there.
        """
        await self.begin()
        for server in self._in_turn(None if affinity is None else affinity.server):
            try:
                rows = await server.run(text, arguments)
            except (StatementTimeout, Overloaded):
                raise
            except (Unavailable, PostgresError) as failure:
                # A replica may also end a statement that stands in the way of what it replays, or lack a table yet.
                if server is self.primary:
                    raise
                logger.info("what the %s did not answer is asked elsewhere: %s", server.name, type(failure).__name__)
                continue
            if affinity is not None:
                affinity.server = server
            return rows
        raise AssertionError("the primary comes last")

    async def newest(self, text: str, arguments: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The same, from the primary while it answers: nothing that is committed is missing."""
        await self.begin()
        if self.primary.is_well:
            try:
                return await self.primary.run(text, arguments)
            except Overloaded:
                raise
            except Unavailable:
                if not any(replica.is_well for replica in self.replicas):
                    raise
        return await self.run(text, arguments)

    async def begin(self) -> None:
        """Look at each server, the first time; from then on hearts beat."""
        if self._begun is None:
            self._begun = asyncio.ensure_future(self._begin())
        if not self._begun.done():
            await asyncio.shield(self._begun)

    async def close(self) -> None:
        """Stop the hearts and close every connection; a silent server is not waited for."""
        tasks = [*self._hearts, *(() if self._begun is None else (self._begun,))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in self.servers))

    def cut(self) -> None:
        """Cut every connection: whoever waits for an answer learns now that there will be none."""
        for server in self.servers:
            server.source.cut()

    def _in_turn(self, kept: Server | None) -> Sequence[Server]:
        """The servers to ask, one after the other: first the one that is kept, then those that have least to do."""
        self._turn += 1
        start = self._turn % len(self.replicas)
        well = [server for server in (*self.replicas[start:], *self.replicas[:start]) if server.is_well]
        return *sorted(well, key=lambda server: (server is not kept, server.load)), self.primary

    async def _begin(self) -> None:
        await self.primary.look()  # before those that are compared with it
        await asyncio.gather(*(replica.look() for replica in self.replicas))
        self._hearts = [asyncio.ensure_future(_beat(server)) for server in self.servers]


async def _beat(server: Server) -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN)
        await server.look()


async def _in_time(work: Awaitable[T], seconds: float) -> T:
    """The result of some work, or `TimeoutError`.

    It is looked for twice: where this process itself had no time for so long, the answer may have come meanwhile.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(2):
            await asyncio.wait({task}, timeout=seconds / 2)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
