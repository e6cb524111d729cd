"""Statistics: equal to what plain Python computes from the rows, one statement a group, buckets of local time."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.execution.run import GraphQLRequest, run
from gateway.reading import stats
from gateway.reading.filters import (
    CallbackAttemptFilter,
    CallbackAttemptsFilter,
    CallbackDeliveryFilter,
    IntFilter,
    TextFilter,
    TimeFilter,
)
from gateway.reading.reader import Reader
from gateway.reading.visibility import Visibility
from gateway.schema.context import Context
from gateway.schema.scalars import format_time
from gateway.viewer import READ, READ_SECRETS, Viewer
from tests.support.asking import DOCUMENTS, ask, data, statements
from tests.support.predicate import attempts_of, keeps
from tests.support.rows import OURS, START, THEIRS, Rows, attempt, batch, delivery, history, replace, store
from tests.support.strategies import as_variable, delivery_filters, histories, moments
from tests.support.tenancy import DIALECTS, assert_names_organization, builders

EVERYTHING = """
query ($filter: CallbackDeliveryFilter, $bucket: TimelineBucketSize!, $zone: String!, $hosts: Int!) {
  callbackStats(filter: $filter) {
    deliveries delivered failed inFlight overdue successRate
    attempts
    byStatus { statusCode deliveries }
    byFailureReason { failureReasonCode deliveries }
    byResponseStatus { statusCode attempts }
    byHost(first: $hosts) {
      host deliveries delivered failed inFlight successRate responseTimeMs { p50 p95 p99 max }
    }
    responseTimeMs { p50 p95 p99 max }
    timeline(bucket: $bucket, timeZone: $zone) { start end deliveries delivered failed inFlight successRate }
  }
}
"""

# Three days in which the clock of a zone moves, or none does.
CHANGES = (
    ("UTC", datetime(2026, 5, 6, 10, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 18, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, 18, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 5, 6, 10, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 2, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 2, tzinfo=UTC)),
    ("America/Caracas", datetime(2016, 4, 30, 12, tzinfo=UTC)),  # half past two was three
    ("America/Santiago", datetime(2026, 9, 5, 12, tzinfo=UTC)),  # a day that starts at one o'clock
)


def _counts(kept: Iterable[dict[str, Any]]) -> dict[str, Any]:
    kept = list(kept)
    done = [row for row in kept if row["completed_at"] is not None]
    delivered = sum(row["status_code"] == "delivered" for row in done)
    return {
        "deliveries": len(kept),
        "delivered": delivered,
        "failed": len(done) - delivered,
        "inFlight": len(kept) - len(done),
        "successRate": delivered / len(done) if done else None,
    }


def _percentiles(tries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    times = sorted(row["response_time_ms"] for row in tries if row["response_time_ms"] is not None)
    ranks = {f"p{p}": -(-p * len(times) // 100) for p in (50, 95, 99)} | {"max": len(times)}
    return {name: times[rank - 1] if times else None for name, rank in ranks.items()}


def _shares(values: Iterable[Any], name: str, counted: str) -> list[dict[str, Any]]:
    shares = sorted(Counter(values).items(), key=lambda share: (-share[1], share[0] is None, share[0] or 0))
    return [{name: value, counted: count} for value, count in shares]


def _timeline(
    kept: list[dict[str, Any]], asked: TimeFilter | None, bucket: str, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """Quarter by quarter: a bucket ends where the local date, or the local hour or the offset, is another."""
    tick, quarter = timedelta(microseconds=1), timedelta(minutes=15)
    asked = asked or TimeFilter()
    after = asked.gt and asked.gt + tick
    before = asked.lt and asked.lt - tick
    created = [row["created_at"] for row in kept]
    lowest = max((time for time in (asked.eq, asked.gte, after) if time), default=min(created, default=None))
    highest = min((time for time in (asked.eq, asked.lte, before) if time), default=max(created, default=None))
    if lowest is None or highest is None or lowest > highest:
        return []

    def label(time: datetime) -> Any:
        local = time.astimezone(zone)
        return local.date() if bucket == "DAY" else (local.date(), local.hour, local.utcoffset())

    start = datetime.fromtimestamp(lowest.timestamp() // 900 * 900, UTC)
    while label(start - quarter) == label(start):
        start -= quarter
    found = []
    while start <= highest:
        end = start + quarter
        while label(end) == label(start):
            end += quarter
        inside = [row for row in kept if start <= row["created_at"] < end]
        found.append({"start": format_time(start), "end": format_time(end), **_counts(inside)})
        start = end
    return found


def computed(
    rows: Rows, asked: CallbackDeliveryFilter, now: datetime, bucket: str, zone: str, hosts: int
) -> dict[str, Any]:
    """What `EVERYTHING` must answer."""
    ours = [row for row in rows[batch_callback_deliveries] if row["org_id"] == OURS]
    kept = [row for row in ours if keeps(asked, row, rows, now)]
    tries = {row["id"]: attempts_of(row, rows) for row in kept}
    every = [attempt for row in kept for attempt in tries[row["id"]]]
    due = [row["next_attempt_at"] for row in kept if row["completed_at"] is None]
    by_host: dict[str | None, list[dict[str, Any]]] = {}
    for row in kept:
        by_host.setdefault(row["callback_host"], []).append(row)
    most = sorted(by_host.items(), key=lambda item: (-len(item[1]), item[0] is None, item[0] or ""))[:hosts]
    return {
        **_counts(kept),
        "overdue": sum(time is not None and time < now for time in due),
        "attempts": len(every),
        "byStatus": _shares((row["status_code"] for row in kept), "statusCode", "deliveries"),
        "byFailureReason": _shares((row["failure_reason_code"] for row in kept), "failureReasonCode", "deliveries"),
        "byResponseStatus": _shares((row["status_code"] for row in every), "statusCode", "attempts"),
        "byHost": [
            {"host": host, **_counts(of), "responseTimeMs": _percentiles(a for row in of for a in tries[row["id"]])}
            for host, of in most
        ],
        "responseTimeMs": _percentiles(every),
        "timeline": _timeline(kept, asked.created_at, bucket, ZoneInfo(zone)),
    }


async def _answered(database: Database, now: datetime, **variables: Any) -> Any:
    context = Context(Viewer(OURS, frozenset({READ}), "test"), Reader(database, OURS, now))
    answer = (await run(GraphQLRequest(EVERYTHING, variables), DOCUMENTS, context)).body
    assert "errors" not in answer, answer["errors"]
    return answer["data"]["callbackStats"]


@st.composite
def _questions(draw: st.DrawFn) -> tuple[Rows, CallbackDeliveryFilter, datetime, str]:
    """Rows, a filter and a time now, all near a change of a zone's clock."""
    zone, base = draw(st.sampled_from(CHANGES))
    times = moments(base)
    return draw(histories(times)), draw(delivery_filters(times)), draw(st.sampled_from(times)), zone


# The database is shared by all examples on purpose: each replaces all of its rows.
@pytest.mark.no_cover
@given(question=_questions(), bucket=st.sampled_from(("HOUR", "DAY")), hosts=st.sampled_from((100, 2)))
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_statistics_are_what_plain_python_computes_from_the_rows(
    database: Database, question: tuple[Rows, CallbackDeliveryFilter, datetime, str], bucket: str, hosts: int
) -> None:
    rows, asked, now, zone = question
    await replace(database, rows)
    answer = await _answered(database, now, filter=as_variable(asked), bucket=bucket, zone=zone, hosts=hosts)
    assert answer == computed(rows, asked, now, bucket, zone, hosts)


GROUPS = {
    "__typename": 0,
    "deliveries delivered failed inFlight overdue successRate": 1,
    "attempts": 1,
    "byStatus { statusCode deliveries }": 1,
    "byFailureReason { failureReasonCode }": 1,
    "byResponseStatus { statusCode attempts }": 1,
    "byHost { host deliveries successRate }": 1,
    "byHost { host responseTimeMs { p50 max } }": 2,
    "responseTimeMs { p50 p95 p99 max }": 1,
    "timeline(bucket: DAY) { start }": 1,
    'days: timeline(bucket: DAY) { end } hours: timeline(bucket: HOUR, timeZone: "Asia/Tokyo") { start }': 1,
    "inFlight byStatus { deliveries }": 2,
    "successRate attempts responseTimeMs { p99 }": 3,
}


@pytest.mark.parametrize("selected", GROUPS)
@pytest.mark.parametrize("count", [1, 20])
async def test_a_group_costs_one_statement_and_what_is_not_selected_none(
    database: Database, selected: str, count: int
) -> None:
    await store(database, history(count))
    with statements(database) as seen:
        await data(database, f"{{ callbackStats {{ {selected} }} }}")
    assert len(seen) == GROUPS[selected]


async def test_nothing_is_null_where_it_is_unknown_and_zero_where_it_is_counted(database: Database) -> None:
    answer = await _answered(database, START, bucket="DAY", zone="UTC", hosts=10)
    times = {"p50": None, "p95": None, "p99": None, "max": None}
    counts = {"deliveries": 0, "delivered": 0, "failed": 0, "inFlight": 0, "overdue": 0, "attempts": 0}
    groups: dict[str, list[Any]] = {
        name: [] for name in ("byStatus", "byFailureReason", "byResponseStatus", "byHost", "timeline")
    }
    assert answer == {**counts, "successRate": None, **groups, "responseTimeMs": times}


async def test_statistics_are_of_the_viewers_organization(database: Database) -> None:
    await store(database, history(2, organization=THEIRS))
    asked = "{ callbackStats { deliveries attempts timeline(bucket: DAY) { deliveries } } }"
    none = {"deliveries": 0, "attempts": 0, "timeline": []}
    assert await data(database, asked) == {"callbackStats": none}
    theirs = {"deliveries": 4, "attempts": 12, "timeline": [{"deliveries": 4}]}
    assert await data(database, asked, THEIRS) == {"callbackStats": theirs}


async def test_statistics_need_a_credential() -> None:
    request = GraphQLRequest("{ callbackStats { deliveries attempts } }")
    (error,) = (await run(request, DOCUMENTS, Context(None, None))).body["errors"]
    assert (error["path"], error["extensions"]) == (["callbackStats"], {"code": "UNAUTHORIZED"})


async def test_a_delivery_is_delivered_failed_or_in_flight_and_never_two_of_them(database: Database) -> None:
    of, late = [batch(number) for number in range(4)], START - timedelta(seconds=1)
    rows = [
        delivery(of[0], 0, status_code="delivered"),
        delivery(of[1], 1, status_code="delivered", completed_at=None, next_attempt_at=late),
        delivery(of[2], 2, status_code="cancelled"),
        delivery(of[3], 3, status_code=None, completed_at=None, next_attempt_at=START),
    ]
    await store(database, {batches: of, batch_callback_deliveries: rows})
    answer = await _answered(database, START, bucket="DAY", zone="UTC", hosts=10)
    assert [answer[name] for name in ("deliveries", "delivered", "failed", "inFlight")] == [4, 1, 1, 2]
    assert (answer["overdue"], answer["successRate"]) == (1, 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 99, 100, 101, 200])
async def test_percentiles_are_by_nearest_rank(database: Database, count: int) -> None:
    of = delivery(batch(1), 1)
    tries = [attempt(of, number, response_time_ms=number * 7 % count) for number in range(count)]
    silent = [attempt(of, 500 + number, response_time_ms=None) for number in range(9)]
    rows = {batches: [batch(1)], batch_callback_deliveries: [of], batch_callback_delivery_attempts: tries + silent}
    await store(database, rows)
    answer = await data(database, "{ callbackStats { responseTimeMs { p50 p95 p99 max } } }")
    assert answer["callbackStats"]["responseTimeMs"] == _percentiles(tries)


async def test_hosts_with_equally_many_deliveries_come_by_name(database: Database) -> None:
    names = ["b.example", "B.example", "a_b.example", "a-b.example", "a.example", "é.example", None, "z.example"]
    of = batch(1)
    rows = [delivery(of, number, callback_host=name) for number, name in enumerate([*names, "z.example"])]
    await store(database, {batches: [of], batch_callback_deliveries: rows})
    asked = "query ($first: Int!) { callbackStats { byHost(first: $first) { host deliveries } } }"
    answer = (await data(database, asked, first=500))["callbackStats"]["byHost"]
    ordered = ["z.example", *sorted(name for name in names[:-1] if name), None]
    assert [row["host"] for row in answer] == ordered
    assert [row["deliveries"] for row in answer] == [2, *[1] * 7]
    assert (await data(database, asked, first=3))["callbackStats"]["byHost"] == answer[:3]


TIMELINE = """
query ($filter: CallbackDeliveryFilter, $bucket: TimelineBucketSize!, $zone: String!) {
  callbackStats(filter: $filter) { timeline(bucket: $bucket, timeZone: $zone) { start end deliveries } }
}
"""


async def _created(database: Database, *times: datetime) -> None:
    of = batch(1)
    rows = [delivery(of, number, created_at=time) for number, time in enumerate(times)]
    await store(database, {batches: [of], batch_callback_deliveries: rows})


async def _buckets(database: Database, bucket: str, zone: str, **created_at: str) -> list[tuple[str, str, int]]:
    answer = await data(database, TIMELINE, bucket=bucket, zone=zone, filter={"createdAt": created_at})
    return [(row["start"], row["end"], row["deliveries"]) for row in answer["callbackStats"]["timeline"]]


async def test_a_twice_shown_hour_is_two_buckets_of_a_day_of_25_hours(database: Database) -> None:
    await _created(
        database,
        *(datetime(2026, 10, 24 + hour // 24, hour % 24, 59, 59, 999999, tzinfo=UTC) for hour in range(22, 47)),
    )
    span = {"gte": "2026-10-25T00:00:00+02:00", "lt": "2026-10-26T00:00:00+01:00"}
    hours = await _buckets(database, "HOUR", "Europe/Berlin", **span)
    assert [count for *_, count in hours] == [1] * 25
    assert hours[2:4] == [
        ("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", 1),
        ("2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", 1),
    ]
    days = await _buckets(database, "DAY", "Europe/Berlin", **span)
    assert days == [("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25)]


async def test_before_1980_a_bucket_may_start_at_any_second(database: Database) -> None:
    # Monrovia was 44 minutes and 30 seconds behind until the seventh of January 1972.
    edge = datetime(1972, 1, 6, 0, 44, 30, tzinfo=UTC)
    await _created(database, edge - timedelta(microseconds=1), edge, datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC))
    days = await _buckets(database, "DAY", "Africa/Monrovia", gte="1972-01-05T12:00:00Z", lt="1972-01-08T00:00:00Z")
    assert days == [
        ("1972-01-05T00:44:30Z", "1972-01-06T00:44:30Z", 1),
        ("1972-01-06T00:44:30Z", "1972-01-07T00:44:30Z", 1),
        ("1972-01-07T00:44:30Z", "1972-01-08T00:00:00Z", 0),
    ]
    (oldest,) = await _buckets(database, "HOUR", "UTC", lt="1970-01-01T00:00:00Z")
    assert oldest == ("1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z", 1)


@pytest.mark.parametrize(
    ("created_at", "starts"),
    [
        ({}, ["07", "08", "09"]),
        ({"gte": "2026-05-06T00:00:00Z"}, ["06", "07", "08", "09"]),
        ({"lt": "2026-05-10T00:00:00Z"}, ["07", "08", "09"]),
        ({"lte": "2026-05-10T00:00:00Z"}, ["07", "08", "09", "10"]),
        ({"gt": "2026-05-07T23:59:59.999999Z", "lt": "2026-05-08T00:00:00.000001Z"}, ["08"]),
        ({"gte": "2026-05-07T23:59:59.999999Z", "lte": "2026-05-08T00:00:00Z"}, ["07", "08"]),
        ({"eq": "2026-05-08T12:00:00Z"}, ["08"]),
        ({"gte": "2026-05-09T12:00:00Z", "isNull": False}, ["09"]),
        ({"gte": "2026-05-10T00:00:00Z"}, []),
        ({"lt": "2026-05-07T00:00:00Z"}, []),
        ({"gte": "2026-05-10T00:00:00Z", "lt": "2026-05-12T00:00:00Z"}, ["10", "11"]),
        ({"gte": "2026-05-09T00:00:00Z", "lt": "2026-05-08T00:00:00Z"}, []),
        ({"gte": "2026-05-09T00:00:00Z", "lt": "2026-05-09T00:00:00Z"}, []),
    ],
)
async def test_a_timeline_runs_over_what_is_asked_and_else_over_what_there_is(
    database: Database, created_at: dict[str, str], starts: list[str]
) -> None:
    await _created(database, datetime(2026, 5, 7, 12, tzinfo=UTC), datetime(2026, 5, 9, 12, 7, tzinfo=UTC))
    days = await _buckets(database, "DAY", "UTC", **created_at)
    assert [start for start, *_ in days] == [f"2026-05-{day}T00:00:00Z" for day in starts]


@pytest.mark.parametrize(
    ("bucket", "zone", "created_at", "message"),
    [
        ("DAY", "Mars/Olympus", {}, "timeZone 'Mars/Olympus' is not an IANA time zone such as `Europe/Berlin`."),
        ("DAY", "../UTC", {}, "timeZone '../UTC' is not an IANA time zone such as `Europe/Berlin`."),
        ("DAY", "", {}, "timeZone '' is not an IANA time zone such as `Europe/Berlin`."),
        ("DAY", "localtime", {}, "timeZone 'localtime' is not an IANA time zone such as `Europe/Berlin`."),
        (
            "HOUR",
            "UTC",
            {"gte": "2026-01-01T00:00:00Z", "lt": "2026-03-25T08:00:01Z"},
            "A timeline has at most 2000 buckets: narrow `createdAt` in the filter, or ask for days.",
        ),
        (
            "DAY",
            "UTC",
            {"gte": "2000-01-01T00:00:00Z"},
            "A timeline has at most 2000 buckets: narrow `createdAt` in the filter, or ask for days.",
        ),
        (
            "DAY",
            "Asia/Tokyo",
            {"eq": "9999-12-31T23:00:00Z"},
            "createdAt in the filter must lie in the years 2 to 9998 for a timeline.",
        ),
        (
            "DAY",
            "America/New_York",
            {"lt": "0001-01-01T00:00:00Z"},
            "createdAt in the filter must lie in the years 2 to 9998 for a timeline.",
        ),
    ],
)
async def test_a_timeline_that_cannot_be_says_why(
    database: Database, bucket: str, zone: str, created_at: dict[str, str], message: str
) -> None:
    await _created(database, START)
    answer = await ask(database, TIMELINE, bucket=bucket, zone=zone, filter={"createdAt": created_at})
    (error,) = answer["errors"]
    assert (error["message"], error["extensions"]) == (message, {"code": "VALIDATION_ERROR"})
    assert error["path"] == ["callbackStats", "timeline"]


async def test_2000_buckets_are_allowed(database: Database) -> None:
    span = {"gte": "2026-01-01T00:00:00Z", "lt": "2026-03-25T08:00:00Z"}
    assert len(await _buckets(database, "HOUR", "UTC", **span)) == 2000


SCOPE = Visibility(OURS, START)
FULL = CallbackDeliveryFilter(
    status_code=TextFilter(eq="failed"),
    overdue=False,
    attempts=CallbackAttemptsFilter(some=CallbackAttemptFilter(status_code=IntFilter(gte=500))),
)
BUILDERS = {
    "totals": [stats.totals(SCOPE, where) for where in (None, FULL)],
    "attempt_count": [stats.attempt_count(SCOPE, where) for where in (None, FULL)],
    "deliveries_by": [stats.deliveries_by(SCOPE, where, "status_code") for where in (None, FULL)],
    "deliveries_by_host": [stats.deliveries_by_host(SCOPE, where, 10) for where in (None, FULL)],
    "deliveries_by_slot": [stats.deliveries_by_slot(SCOPE, where) for where in (None, FULL)],
    "attempts_by_status": [stats.attempts_by_status(SCOPE, where) for where in (None, FULL)],
    "response_times": [stats.response_times(SCOPE, where) for where in (None, FULL)],
    "response_time_counts": [
        stats.response_time_counts(SCOPE, where, by_host=by_host) for where in (None, FULL) for by_host in (False, True)
    ],
    "response_times_by_host": [
        stats.response_times_by_host(SCOPE, where, ["a.example"], nameless=nameless)
        for where in (None, FULL)
        for nameless in (False, True)
    ],
}


def test_names_are_ordered_alike_whatever_the_language_of_the_database() -> None:
    by_host = str(stats.deliveries_by_host(SCOPE, None, 10).compile(dialect=DIALECTS[1]))
    assert "ORDER BY deliveries DESC, batch_callback_deliveries.callback_host IS NULL, (" in by_host
    assert 'batch_callback_deliveries.callback_host COLLATE "C")' in by_host


def test_no_builder_is_left_out() -> None:
    assert set(builders(stats)) == {*BUILDERS, "timeline", "span", "times_of"}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_statement_names_the_organization_for_each_of_its_tables(name: str) -> None:
    for statement in BUILDERS[name]:
        assert_names_organization(statement)


async def test_label_of_a_host_that_is_a_secret_is_shown_to_who_may_see_it(database: Database) -> None:
    host = "eo2k8jxq4mzr7wt.m.pipedream.net"
    of = delivery(batch(1), 1, callback_url=f"https://{host}/", callback_host=host)
    tries = [attempt(of, 1, response_time_ms=7)]
    rows = {batches: [batch(1)], batch_callback_deliveries: [of], batch_callback_delivery_attempts: tries}
    await store(database, rows)
    query = "{ callbackStats { byHost { host deliveries responseTimeMs { max } } } }"
    for scopes, shown in ((frozenset[str](), "[masked].m.pipedream.net"), (frozenset({READ_SECRETS}), host)):
        found = (await data(database, query, scopes=scopes))["callbackStats"]["byHost"]
        assert found == [{"host": shown, "deliveries": 1, "responseTimeMs": {"max": 7}}]
