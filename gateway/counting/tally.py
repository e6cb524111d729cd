"""What is counted of a period, and how it is kept.

A *cell* is what deliveries have in common: status, failure reason, event, automatic or not, in flight or not (together
the *outcome*), and the host. Counts are kept by cell; response times by outcome, by host and over all, since by cell
they would be as many as attempts. What two periods were counted to can be added up. Where there are so many different
values that adding them up is no better than reading rows, they are not kept: None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from gateway.errors import Uncountable
from gateway.reading.health import DELIVERED

K = TypeVar("K")

Outcome = tuple[str | None, str | None, str | None, bool | None, bool]
Cell = tuple[str | None, str | None, str | None, bool | None, bool, str | None]
StatusCounts = dict[int | None, int]  # attempts by their HTTP status
Times = dict[int, int]  # attempts by their response time in milliseconds
CellRow = tuple[str | None, str | None, str | None, bool | None, bool, str | None, int, StatusCounts]
OutcomeRow = tuple[str | None, str | None, str | None, bool | None, bool, int, StatusCounts]
OutcomeTimes = tuple[str | None, str | None, str | None, bool | None, bool, Times]
HostTimes = tuple[str | None, Times]

MOST_OUTCOMES = 2_000
MOST_CELLS = 20_000
MOST_TIMES = 500_000  # different values, by host or by outcome

_encoder = msgspec.msgpack.Encoder()
_slots = msgspec.msgpack.Decoder(tuple[list[int], list[int], list[int], list[int]])
_outcomes = msgspec.msgpack.Decoder(list[OutcomeRow])
_cells = msgspec.msgpack.Decoder(list[CellRow])
_times = msgspec.msgpack.Decoder(Times)
_times_by_outcome = msgspec.msgpack.Decoder(list[OutcomeTimes])
_times_by_host = msgspec.msgpack.Decoder(list[HostTimes])
DECODERS: Mapping[str, msgspec.msgpack.Decoder[Any]] = {
    "slots": _slots,
    "outcomes": _outcomes,
    "cells": _cells,
    "times": _times,
    "times_by_outcome": _times_by_outcome,
    "times_by_host": _times_by_host,
}
STORED_COLUMNS = tuple(DECODERS)


@dataclass(slots=True)
class Tally:
    """Counts of one period; `slots` are deliveries, completed and delivered by quarter."""

    slots: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    cells: dict[Cell, int] | None = field(default_factory=dict)
    answers: dict[Cell, StatusCounts] = field(default_factory=dict)
    outcomes: dict[Outcome, int] | None = field(default_factory=dict)
    outcome_answers: dict[Outcome, StatusCounts] = field(default_factory=dict)
    times: Times = field(default_factory=dict)
    times_by_outcome: dict[Outcome, Times] | None = field(default_factory=dict)
    times_by_host: dict[str | None, Times] | None = field(default_factory=dict)
    attempts: int = 0

    def add_deliveries(self, slot: int, cell: Cell, count: int) -> None:
        """So many deliveries of one quarter and cell."""
        _require(cell)
        before = self.slots.get(slot, (0, 0, 0))
        completed = 0 if cell[4] else count
        delivered = completed if cell[0] == DELIVERED else 0
        self.slots[slot] = before[0] + count, before[1] + completed, before[2] + delivered
        if self.cells is not None:
            self.cells[cell] = self.cells.get(cell, 0) + count

    def add_attempts(self, cell: Cell, code: int | None, milliseconds: int | None, count: int) -> None:
        """So many attempts of the deliveries of one cell, which got this answer after that time."""
        if not ((code is None or type(code) is int) and (milliseconds is None or type(milliseconds) is int)):
            raise Uncountable(f"{code!r} or {milliseconds!r} stands where a number should.")
        self.attempts += count
        answers = self.answers.get(cell)
        if answers is None:
            answers = self.answers[cell] = {}
        answers[code] = answers.get(code, 0) + count
        if milliseconds is not None and self.times_by_outcome is not None and self.times_by_host is not None:
            groups: tuple[tuple[Any, dict[Any, Times]], ...] = (
                (cell[:5], self.times_by_outcome),
                (cell[5], self.times_by_host),
            )
            for key, group in groups:
                times = group.get(key)
                if times is None:
                    times = group[key] = {}
                times[milliseconds] = times.get(milliseconds, 0) + count

    def finish(self) -> "Tally":
        """Add up what follows from cells and hosts, once all is added that belongs to a quarter."""
        if self.outcomes is not None:
            for cell, count in (self.cells or {}).items():
                self.outcomes[cell[:5]] = self.outcomes.get(cell[:5], 0) + count
        for cell, answers in self.answers.items():
            _add(self.outcome_answers.setdefault(cell[:5], {}), answers)
        for times in (self.times_by_host or {}).values():
            _add(self.times, times)
        return self

    def counts(self) -> tuple[int, int, int]:
        """Deliveries, completed, delivered."""
        return (
            sum(counts[0] for counts in self.slots.values()),
            sum(counts[1] for counts in self.slots.values()),
            sum(counts[2] for counts in self.slots.values()),
        )


def to_row(tally: Tally) -> dict[str, Any]:
    """The columns of `counted_periods` that hold it. Equal tallies make equal columns."""
    deliveries, completed, delivered = tally.counts()
    slots = sorted(tally.slots.items())
    kept: dict[str, Any] = {
        "slots": ([n for n, _ in slots], *([counts[n] for _, counts in slots] for n in range(3))),
        "outcomes": _counted(tally.outcomes, tally.outcome_answers, MOST_OUTCOMES),
        "cells": _counted(tally.cells, tally.answers, MOST_CELLS),
        "times": _in_order(tally.times),
        "times_by_outcome": _timed(tally.times_by_outcome, lambda key: key),
        "times_by_host": _timed(tally.times_by_host, lambda key: (key,)),
    }
    return {
        "deliveries": deliveries,
        "completed": completed,
        "delivered": delivered,
        "attempts": tally.attempts,
        **{name: None if value is None else _encoder.encode(value) for name, value in kept.items()},
    }


def sum_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of the period that is made up of these."""
    total = Tally()
    for row in rows:
        total.attempts += row["attempts"]
        numbers, *counts = _slots.decode(row["slots"])
        total.slots.update(zip(numbers, zip(*counts, strict=True), strict=True))
        _add(total.times, _times.decode(row["times"]))
        total.outcomes = _merged(total.outcomes, total.outcome_answers, row["outcomes"], _outcomes)
        total.cells = _merged(total.cells, total.answers, row["cells"], _cells)
        total.times_by_outcome = _merged_times(total.times_by_outcome, row["times_by_outcome"], _times_by_outcome)
        total.times_by_host = _merged_times(total.times_by_host, row["times_by_host"], _times_by_host, single=True)
    return to_row(total)


def decode(name: str, value: bytes) -> Any:
    """What a column holds."""
    return DECODERS[name].decode(value)


def _merged(into: Any, answers: Any, value: bytes | None, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    if value is None or into is None:
        return None
    for *key, count, got in decoder.decode(value):
        cell = tuple(key)
        _add(into, {cell: count})
        if got:
            _add(answers.setdefault(cell, {}), got)
    return into


def _merged_times(
    into: Any, value: bytes | None, decoder: msgspec.msgpack.Decoder[Any], *, single: bool = False
) -> Any:
    if value is None or into is None:
        return None
    for *key, times in decoder.decode(value):
        _add(into.setdefault(key[0] if single else tuple(key), {}), times)
    return into


def _add(into: dict[K, int], more: Mapping[K, int]) -> None:
    get = into.get
    for key, count in more.items():
        into[key] = get(key, 0) + count


def _counted(counts: Mapping[Any, int] | None, answers: Mapping[Any, StatusCounts], most: int) -> Any:
    if counts is None or len(counts) > most:
        return None
    return [(*key, counts[key], _in_order(answers.get(key, {}))) for key in sorted(counts, key=_order)]


def _timed(times: Mapping[Any, Times] | None, key_of: Any) -> Any:
    if times is None or sum(map(len, times.values())) > MOST_TIMES:
        return None
    return [(*key_of(key), _in_order(times[key])) for key in sorted(times, key=lambda key: _order(key_of(key)))]


def _in_order(counts: Mapping[Any, int]) -> dict[Any, int]:
    if None in counts:
        return dict(sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or 0)))
    return dict(sorted(counts.items()))


def _order(key: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, str(value)) for value in key)


def _require(cell: Cell) -> None:
    texts = (*cell[:3], cell[5])
    if not (all(text is None or type(text) is str for text in texts) and (cell[3] is None or type(cell[3]) is bool)):
        raise Uncountable(f"{cell!r} holds what its columns' types do not allow.")
