"""Random rows and random filters that often meet: every value comes from a few, ties, nulls and odd ones among them."""

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.reading import filters
from gateway.reading.hosts import host_of
from tests.support.rows import OURS, START, THEIRS, Rows, attempt, batch, delivery, identifier

T = TypeVar("T")

MOST_BATCHES = 4
MOST_DELIVERIES = 10
MOST_ATTEMPTS = 3

STATUSES = ("delivered", "failed", "retrying", "Delivered", "éclat", None)
REASONS = ("timeout", "Timeout", "http_5xx", "_", "😀", None)
EVENTS = ("batch.failed", "batch.succeeded", None)
URLS = (
    "https://a.example/x",
    "https://a.example/x?y=1",
    "https://A.example/x",
    "https://b.example/",
    "http://a.example:8080/x%_",
    "no URL",
    None,
)
HOSTS = tuple(sorted({host_of(url) for url in URLS}, key=str))
ERRORS = ("timed out", "Timed Out", "100% refused", "r_fused", "", None)
ANSWERS = (200, 204, 404, 500, 503, None)
MILLISECONDS = (0, 1, 5, 5, 100, 3000, None)
METADATA: tuple[dict[str, Any] | None, ...] = (
    None,
    {},
    {"tier": "gold", "a.b": 1},
    {"tier": 1, "customer": {"tier": "gold", "0": True}},
    {"tier": True, "customer": ["gold"]},
    {"tier": 0.5, "customer": {"tier": None}},
    {"tier": "1", "customer": {"tier": False}},
    {"tier": None, "é": {"ü": "é"}},
)
PATHS = (("tier",), ("a.b",), ("a", "b"), ("customer", "tier"), ("customer", "0"), ("customer",), ("é", "ü"))
METADATA_VALUES = ("gold", "1", 1, 1.0, 0, 0.5, True, False, "é", "")


def moments(base: datetime) -> tuple[datetime, ...]:
    """A few instants in the three days after one, some of them an instant apart."""
    minutes = (0, 1, 59, 60, 375, 480, 720, 780, 795, 900, 1439, 1440, 2010, 2880)
    return tuple(sorted({base + timedelta(minutes=m, microseconds=u) for m in minutes for u in (0, -1)}))


MOMENTS = moments(START)


@st.composite
def histories(draw: st.DrawFn, times: Sequence[datetime] = MOMENTS) -> Rows:
    """Batches with deliveries and attempts, most of them ours."""
    time, maybe = st.sampled_from(times), st.none() | st.sampled_from(times)
    parents = [
        batch(
            number,
            draw(st.sampled_from((OURS, OURS, OURS, THEIRS))),
            created_at=draw(time),
            completed_at=draw(maybe),
            status_code=draw(st.sampled_from(STATUSES)),
            failure_code=draw(st.sampled_from(REASONS)),
            metadata=draw(st.sampled_from(METADATA)),
        )
        for number in range(draw(st.integers(1, MOST_BATCHES)))
    ]
    children: list[dict[str, Any]] = []
    tries: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, MOST_DELIVERIES))):
        of = draw(st.sampled_from(parents))
        waits = any(child["batch_id"] == of["id"] and child["completed_at"] is None for child in children)
        url = draw(st.sampled_from(URLS))
        children.append(
            delivery(
                of,
                number,
                created_at=draw(time),
                completed_at=draw(time if waits else maybe),  # one of a batch is in flight at the most
                next_attempt_at=draw(maybe),
                status_code=draw(st.sampled_from(STATUSES)),
                failure_reason_code=draw(st.sampled_from(REASONS)),
                is_automatic=draw(st.sampled_from((True, False, None))),
                attempt_count=draw(st.sampled_from((0, 1, 5, None))),
                callback_url=url,
                callback_host=host_of(url),
                event=draw(st.sampled_from(EVENTS)),
            )
        )
        tries += [
            attempt(
                children[-1],
                of_delivery,
                created_at=draw(time),
                status_code=draw(st.sampled_from(ANSWERS)),
                response_time_ms=draw(st.sampled_from(MILLISECONDS)),
                error_message=draw(st.sampled_from(ERRORS)),
            )
            for of_delivery in range(1, draw(st.integers(0, MOST_ATTEMPTS)) + 1)
        ]
    return {batches: parents, batch_callback_deliveries: children, batch_callback_delivery_attempts: tries}


@st.composite
def _some_of(draw: st.DrawFn, /, make: Callable[..., T], most: int, **values: st.SearchStrategy[Any]) -> T:
    """One made with a few of these arguments."""
    names = draw(st.lists(st.sampled_from(sorted(values)), max_size=most, unique=True))
    return make(**{name: draw(values[name]) for name in names})


def _values(values: Sequence[T | None]) -> st.SearchStrategy[T]:
    return st.sampled_from([value for value in values if value is not None])


def _ids(kind: int, numbers: Sequence[int]) -> st.SearchStrategy[filters.IdFilter]:
    id_ = st.sampled_from(numbers).map(lambda number: identifier(kind, number))
    many = st.lists(id_, max_size=4).map(tuple)
    return _some_of(filters.IdFilter, 2, eq=id_, in_=many, not_in=many)


def _texts(values: Sequence[str | None]) -> st.SearchStrategy[filters.TextFilter]:
    many = st.lists(_values(values), max_size=3).map(tuple)
    return _some_of(filters.TextFilter, 2, eq=_values(values), in_=many, not_in=many, is_null=st.booleans())


def _compared(make: Callable[..., T], values: Sequence[Any]) -> st.SearchStrategy[T]:
    bounds = {name: _values(values) for name in ("eq", "gte", "gt", "lte", "lt")}
    return _some_of(make, 2, **bounds, is_null=st.booleans())


def attempt_filters(times: Sequence[datetime] = MOMENTS) -> st.SearchStrategy[filters.CallbackAttemptFilter]:
    """Filters of attempts."""
    contained = st.sampled_from(("Timed", "%", "_", "out", ""))
    numbers = [of * 1000 + number for of in range(MOST_DELIVERIES) for number in range(1, MOST_ATTEMPTS + 1)]
    return _some_of(
        filters.CallbackAttemptFilter,
        2,
        id=_ids(0xA7, numbers),
        delivery_id=_ids(0xDE, range(MOST_DELIVERIES + 1)),
        attempt_number=_compared(filters.IntFilter, range(1, MOST_ATTEMPTS + 1)),
        status_code=_compared(filters.IntFilter, ANSWERS),
        response_time_ms=_compared(filters.IntFilter, MILLISECONDS),
        error_message=_some_of(filters.ContainsFilter, 1, contains=contained, is_null=st.booleans()),
        created_at=_compared(filters.TimeFilter, times),
    )


def delivery_filters(times: Sequence[datetime] = MOMENTS) -> st.SearchStrategy[filters.CallbackDeliveryFilter]:
    """Filters of deliveries."""
    start = st.sampled_from(
        ("https://a.example/", "https://A.example/", "http://a.example:8080/", "https://b.example/")
    )
    time = _compared(filters.TimeFilter, times)
    return _some_of(
        filters.CallbackDeliveryFilter,
        3,
        id=_ids(0xDE, range(MOST_DELIVERIES + 1)),
        batch_id=_ids(0xBA, range(MOST_BATCHES + 1)),
        status_code=_texts(STATUSES),
        failure_reason_code=_texts(REASONS),
        is_automatic=st.booleans(),
        in_flight=st.booleans(),
        overdue=st.booleans(),
        created_at=time,
        completed_at=time,
        next_attempt_at=time,
        attempt_count=_compared(filters.IntFilter, (0, 1, 5)),
        callback_url=_some_of(filters.UrlFilter, 2, eq=_values(URLS), starts_with=start, is_null=st.booleans()),
        callback_host=_texts(HOSTS),
        event=_texts(EVENTS),
        attempts=_some_of(filters.CallbackAttemptsFilter, 1, some=attempt_filters(times)),
    )


def batch_filters(times: Sequence[datetime] = MOMENTS) -> st.SearchStrategy[filters.BatchFilter]:
    """Filters of batches."""
    time = _compared(filters.TimeFilter, times)
    children = delivery_filters(times)
    return _some_of(
        filters.BatchFilter,
        2,
        id=_ids(0xBA, range(MOST_BATCHES + 1)),
        status_code=_texts(STATUSES),
        created_at=time,
        completed_at=time,
        failure_code=_texts(REASONS),
        metadata=st.builds(filters.MetadataFilter, path=st.sampled_from(PATHS), eq=st.sampled_from(METADATA_VALUES)),
        callback_deliveries=_some_of(filters.CallbackDeliveriesFilter, 2, some=children, none=children),
    )


def as_variable(filter_: Any) -> Any:
    """A filter as a client writes it in JSON."""
    if is_dataclass(filter_):
        shown = get_object_definition(filter_, strict=True).fields
        values = {field.graphql_name or to_camel_case(field.name): getattr(filter_, field.name) for field in shown}
        return {name: as_variable(value) for name, value in values.items() if value is not None}
    if isinstance(filter_, datetime):
        return filter_.isoformat()
    return list(filter_) if isinstance(filter_, tuple) else filter_
