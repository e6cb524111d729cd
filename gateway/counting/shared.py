"""What is asked by several at once is computed once."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, cast

from gateway.reading.reader import Reader


@dataclass(eq=False, slots=True)
class Computation:
    """One computation for all that wait for it, as of the `reader` who came last; the `first` one's it is to count."""

    reader: Reader
    first: Reader
    task: "asyncio.Task[Any] | None" = None
    waiting: int = 0


class SharedComputations:
    """Computes once what is asked at once.

    Nobody joins a computation that has begun, since it may not know what was written just before the question: who
    comes later shares the next one, which begins when the first has ended. So of each there are two at the most.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, Computation] = {}
        self._begun: dict[Hashable, Computation] = {}

    async def join(self, key: Hashable, reader: Reader, compute: Callable[[Reader], Any]) -> Any:
        """What `compute` returns, which is given a reader of its own, as of the last that joined."""
        computation = self._next.get(key)
        if computation is None:
            computation = self._next[key] = Computation(reader, reader)
            computation.task = asyncio.create_task(self._compute(key, computation, compute))
        elif reader.scope.now > computation.reader.scope.now:
            computation.reader = reader
        computation.waiting += 1
        task = cast("asyncio.Task[Any]", computation.task)
        try:
            return await asyncio.shield(task)
        finally:
            computation.waiting -= 1
            if computation.waiting == 0 and not task.done():
                if self._next.get(key) is computation:
                    del self._next[key]
                task.cancel()

    async def _compute(self, key: Hashable, computation: Computation, compute: Callable[[Reader], Any]) -> Any:
        while (before := self._begun.get(key)) is not None and before.task is not None:
            await asyncio.wait({before.task})
        self._next.pop(key, None)
        self._begun[key] = computation
        try:
            of = computation.reader
            reader = Reader(of.database, of.organization, of.scope.now, sees_secrets=of.scope.sees_secrets)
            answer = await compute(reader)
            computation.first.statements += reader.statements
            return answer
        finally:
            if self._begun.get(key) is computation:
                del self._begun[key]
