"""How stored periods and what rows tell of the rest become one answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from gateway.counting.asked import OUTCOME, Asked, Remainder, TotalsOfRemainder
from gateway.database.dialects import SLOT
from gateway.reading import stats
from gateway.reading.health import DELIVERED
from gateway.reading.questions import Question

UNLIMITED = 2**31 - 1

Parts = Sequence[Mapping[str, Any]]


class NotStored(Exception):
    """Stored periods do not answer this; rows do."""


Recipe = tuple[Sequence[str], Callable[[Remainder], Question[Any]], Callable[[Parts, Any], Any]]


def recipe_of(asked: Asked, question: Any) -> Recipe:
    """The columns that answer a question, the question to the rows, and how the two are put together."""
    return RECIPES[type(question)](asked, question)


def _totals(asked: Asked, _question: Any) -> Recipe:
    if asked.names_host or asked.names_outcome:
        column = _counts_column(asked)
        return (
            (column,),
            TotalsOfRemainder,
            lambda parts, rest: stats.Totals(_counts(_kept(asked, parts, column)) + rest.counts, rest.overdue),
        )
    names = ("deliveries", "completed", "delivered")
    return (
        names,
        TotalsOfRemainder,
        lambda parts, rest: stats.Totals(
            stats.Counts(*(sum(part[name] for part in parts) for name in names)) + rest.counts, rest.overdue
        ),
    )


def _attempt_count(asked: Asked, question: Any) -> Recipe:
    if asked.names_host or asked.names_outcome:
        column = _counts_column(asked)
        return (
            (column,),
            _about(question),
            lambda parts, rest: sum(sum(row[-1].values()) for row in _kept(asked, parts, column)) + rest,
        )
    return ("attempts",), _about(question), lambda parts, rest: sum(part["attempts"] for part in parts) + rest


def _deliveries_by(asked: Asked, question: Any) -> Recipe:
    column, place = _counts_column(asked), OUTCOME.index(question.column)
    return (
        (column,),
        _about(question),
        lambda parts, rest: _shares([(row[place], row[-2]) for row in _kept(asked, parts, column)], rest),
    )


def _attempts_by_status(asked: Asked, question: Any) -> Recipe:
    column = _counts_column(asked)
    return (
        (column,),
        _about(question),
        lambda parts, rest: _shares((each for row in _kept(asked, parts, column) for each in row[-1].items()), rest),
    )


def _deliveries_by_host(asked: Asked, question: Any) -> Recipe:
    return (
        ("cells",),
        _about(question, first=UNLIMITED),
        lambda parts, rest: _hosts(_kept(asked, parts, "cells"), rest)[: question.first],
    )


def _deliveries_by_slot(asked: Asked, question: Any) -> Recipe:
    if asked.names_host or asked.names_outcome:
        raise NotStored
    return ("slots",), _about(question), _slots


def _response_times(asked: Asked, _question: Any) -> Recipe:
    if asked.names_host and asked.names_outcome:
        raise NotStored
    if not (asked.names_host or asked.names_outcome):
        return (
            ("times",),
            _times_of_remainder,
            lambda parts, rest: stats.times_of(_times([part["times"] for part in parts], rest[None])),
        )
    column = "times_by_host" if asked.names_host else "times_by_outcome"
    keeps = asked.keeps if asked.names_outcome else lambda key: asked.keeps_host(key[0])
    return (
        (column,),
        _times_of_remainder,
        lambda parts, rest: stats.times_of(_times(_kept_times(parts, column, keeps), rest[None])),
    )


def _response_times_by_host(asked: Asked, question: Any) -> Recipe:
    if asked.names_outcome:
        raise NotStored
    return (
        ("times_by_host",),
        _times_of_remainder_by_host,
        lambda parts, rest: _times_by_host(question.hosts, parts, rest),
    )


RECIPES: Mapping[type[Any], Callable[[Asked, Any], Recipe]] = {
    stats.TotalsOf: _totals,
    stats.AttemptCount: _attempt_count,
    stats.DeliveriesBy: _deliveries_by,
    stats.DeliveriesByHost: _deliveries_by_host,
    stats.DeliveriesBySlot: _deliveries_by_slot,
    stats.AttemptsByStatus: _attempts_by_status,
    stats.ResponseTimesOf: _response_times,
    stats.ResponseTimesByHost: _response_times_by_host,
}
"""By the kind of a statistic: `NotStored` where its filter asks for what periods do not hold."""


def _counts_column(asked: Asked) -> str:
    """The column that tells apart what is asked, and has the fewest rows."""
    return "cells" if asked.names_host else "outcomes"


def _kept(asked: Asked, parts: Parts, column: str) -> Iterable[Any]:
    return (row for part in parts for row in part[column] if asked.keeps(row[:-2]))


def _about(question: Any, **values: Any) -> Callable[[Remainder], Question[Any]]:
    """The same question about the remainder."""
    return lambda rest: cast("Question[Any]", replace(question, where=cast("Any", rest), **values))


def _times_of_remainder(rest: Remainder) -> Question[Any]:
    return stats.ResponseTimeCounts(cast("Any", rest))


def _times_of_remainder_by_host(rest: Remainder) -> Question[Any]:
    return stats.ResponseTimeCounts(cast("Any", rest), by_host=True)


def _times_by_host(
    hosts: Sequence[str | None], parts: Parts, rest: Mapping[str | None, Mapping[int, int]]
) -> dict[str | None, stats.ResponseTimes]:
    found: dict[str | None, list[Mapping[int, int]]] = {host: [rest.get(host, {})] for host in hosts}
    for part in parts:
        for host, times in part["times_by_host"]:
            if host in found:
                found[host].append(times)
    return {host: stats.times_of(_times(times, {})) for host, times in found.items()}


def _counts(rows: Iterable[Any]) -> stats.Counts:
    deliveries_, completed, delivered = 0, 0, 0
    for row in rows:
        deliveries_ += row[-2]
        completed += 0 if row[4] else row[-2]
        delivered += row[-2] if row[0] == DELIVERED and not row[4] else 0
    return stats.Counts(deliveries_, completed, delivered)


def _shares(stored: Iterable[tuple[Any, int]], rest: Iterable[stats.Share]) -> list[stats.Share]:
    total: dict[Any, int] = {}
    for value, count in (*stored, *rest):
        total[value] = total.get(value, 0) + count
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0] is None, item[0] if item[0] is not None else 0))
    return [stats.Share(value, count) for value, count in ordered]


def _hosts(
    stored: Iterable[Any], rest: Iterable[tuple[str | None, stats.Counts]]
) -> list[tuple[str | None, stats.Counts]]:
    by_host: dict[str | None, list[Any]] = {}
    for row in stored:
        by_host.setdefault(row[5], []).append(row)
    total = {host: _counts(rows) for host, rows in by_host.items()}
    for host, counts in rest:
        total[host] = total.get(host, stats.Counts()) + counts
    return sorted(total.items(), key=lambda item: (-item[1].deliveries, item[0] is None, item[0] or ""))


def _slots(parts: Parts, rest: stats.SlotCounts) -> stats.SlotCounts:
    """Stored periods hold no quarter that is read from rows, and no two the same: they stand one behind the other."""
    chunks = [([number * SLOT for number in numbers], counts) for numbers, *counts in (part["slots"] for part in parts)]
    chunks += [([slot], [[count] for count in counts]) for slot, *counts in rest.rows()]
    chunks.sort(key=lambda chunk: chunk[0])
    slots = [slot for numbers, _ in chunks for slot in numbers]
    return stats.SlotCounts(slots, *([n for _, counts in chunks for n in counts[place]] for place in range(3)))


def _kept_times(parts: Parts, column: str, keeps: Callable[[Any], bool]) -> Iterable[dict[int, int]]:
    return (row[-1] for part in parts for row in part[column] if keeps(row[:-1]))


def _times(stored: Iterable[Mapping[int, int]], rest: Mapping[int, int]) -> dict[int, int]:
    total = dict(rest)
    get = total.get
    for times in stored:
        for ms, count in times.items():
            total[ms] = get(ms, 0) + count
    return total
