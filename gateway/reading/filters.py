"""The filters, each declared once: what GraphQL shows as input, what a loader is keyed by, its conditions in SQL.

A filter keeps the rows that satisfy everything it names; what is null or left out does not restrict. Values reach SQL
as parameters only, and a list is one parameter however long: filters that differ in their values alone share one
statement, by `Filter.parameterised`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from gateway.database.dialects import (
    Texts,
    is_one_of,
    json_equals,
    json_scalar,
    or_greatest,
    position,
    starts_with,
    unindexed,
)
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.database.types import Id, UtcDateTime
from gateway.errors import PermissionDenied, ValidationFailed
from gateway.reading.hosts import host_of
from gateway.reading.masking import mask_url
from gateway.reading.visibility import Visibility

Conditions = Iterator[ColumnElement[bool]]
FilterValues = Mapping[str, Any]
F = TypeVar("F")
PLAIN_HOST = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?")


def given(
    description: str, type_: TypeEngine[Any] | None = None, *, name: str | None = None, is_column: bool = True
) -> Any:
    """A field of a filter, not restricting unless it is set.

    `type_` is that of the parameter which takes the value's place in a statement; a field without one is part of the
    statement: another filter, or a boolean. `name` is its name in GraphQL where that is not Python's in camelCase. A
    field of a filter of rows restricts the column of its name unless `is_column` is false.
    """
    return field(
        default=None, metadata={"description": description, "name": name, "type": type_, "is_column": is_column}
    )


class Filter(Protocol):
    """Keeps rows of one table."""

    def conditions(self, scope: Visibility) -> Conditions:
        """What a kept row satisfies."""
        ...

    def parameterised(self, scope: Visibility, name: str = "where") -> tuple["Filter", FilterValues]:
        """The same filter with parameters in the place of its values, and the values by the parameters' names.

        Filters that differ in values alone become equal, so that they share a compiled statement: 0.6 ms of CPU instead
        of 1.4 for a page. `PermissionDenied` where the viewer may not ask for it.
        """
        ...


class Parameterised:
    """A filter whose values can be exchanged for parameters."""

    def parameterised(self, scope: Visibility, name: str = "where") -> tuple[Self, FilterValues]:
        """The same with parameters in the place of its values, called `name` and the path to them."""
        exchanged = copy(self)
        values: dict[str, Any] = {}
        for field_, type_, _ in DECLARED[type(self)]:
            value = getattr(self, field_)
            if value is None:
                continue
            if isinstance(value, Parameterised):
                value, below = value.parameterised(scope, f"{name}_{field_}")
                values.update(below)
            elif type_ is not None:
                values[f"{name}_{field_}"] = value
                value = _parameter(f"{name}_{field_}", type_)
            object.__setattr__(exchanged, field_, value)
        return exchanged, values


class Declared(NamedTuple):
    """A field of a filter as `given` declares it."""

    name: str
    type: TypeEngine[Any] | None
    is_column: bool


# Strawberry makes fields of its own of a dataclass's when it shows a filter, so these are kept aside.
DECLARED: dict[type[Any], tuple[Declared, ...]] = {}


def keeps(table: Table | None = None) -> Callable[[type[F]], type[F]]:
    """A decorator of filters, of those that keep rows with their table.

    `TypeError` at import where a field of these is no column and does not say so: it would restrict nothing, and the
    filter keep every row.
    """

    def noted(filter_: type[F]) -> type[F]:
        read = [(field_.name, field_.metadata) for field_ in fields(filter_)]  # type: ignore[arg-type]
        DECLARED[filter_] = tuple(Declared(name, of.get("type"), of.get("is_column", True)) for name, of in read)
        if table is not None:
            for name, _, is_column in DECLARED[filter_]:
                if is_column != (name in table.c):
                    is_none = "is no column" if is_column else "is a column"
                    raise TypeError(f"{filter_.__name__}.{name} {is_none} of {table.name}")
        return filter_

    return noted


@cache  # one object for each name, since equal filters must hold the same one
def _parameter(name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=type_)


@keeps()
@dataclass(frozen=True)
class IdFilter(Parameterised):
    """Keeps rows by an id."""

    eq: str | None = given("Exactly this id.", Id())
    in_: tuple[str, ...] | None = given("One of these ids; an empty list keeps nothing.", Texts(), name="in")
    not_in: tuple[str, ...] | None = given("None of these ids.", Texts())

    def __post_init__(self) -> None:
        if self.eq is not None:
            object.__setattr__(self, "eq", _canonical(self.eq))
        for name in ("in_", "not_in"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _as_set(map(_canonical, getattr(self, name))))

    def on(self, column: ColumnElement[Any]) -> Conditions:
        yield from _listed(column, self.eq, self.in_, self.not_in)


@keeps()
@dataclass(frozen=True)
class TextFilter(Parameterised):
    """Keeps rows by a text, compared exactly."""

    eq: str | None = given("Exactly this text.", Text())
    in_: tuple[str, ...] | None = given("One of these texts; an empty list keeps nothing.", Texts(), name="in")
    not_in: tuple[str, ...] | None = given("None of these texts; rows without a text are kept.", Texts())
    is_null: bool | None = given("True keeps rows without a text, false those with one.")

    def __post_init__(self) -> None:
        for name in ("in_", "not_in"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _as_set(getattr(self, name)))
        _storable(self.eq, *(self.in_ or ()), *(self.not_in or ()))

    def on(self, column: ColumnElement[Any]) -> Conditions:
        yield from _listed(column, self.eq, self.in_, self.not_in)
        yield from _nullness(column, self.is_null)


@keeps()
@dataclass(frozen=True)
class IntFilter(Parameterised):
    """Keeps rows by a whole number; rows without one are kept by `isNull` only."""

    eq: int | None = given("Exactly this number.", Integer())
    gte: int | None = given("This number or more.", Integer())
    gt: int | None = given("More than this number.", Integer())
    lte: int | None = given("This number or less.", Integer())
    lt: int | None = given("Less than this number.", Integer())
    is_null: bool | None = given("True keeps rows without a number, false those with one.")

    def on(self, column: ColumnElement[Any]) -> Conditions:
        yield from _compared(column, self)


@keeps()
@dataclass(frozen=True)
class TimeFilter(Parameterised):
    """Keeps rows by an instant; rows without one are kept by `isNull` only."""

    eq: datetime | None = given("Exactly this instant.", UtcDateTime())
    gte: datetime | None = given("At this instant or later.", UtcDateTime())
    gt: datetime | None = given("Later than this instant.", UtcDateTime())
    lte: datetime | None = given("At this instant or earlier.", UtcDateTime())
    lt: datetime | None = given("Earlier than this instant.", UtcDateTime())
    is_null: bool | None = given("True keeps rows without an instant, false those with one.")

    def on(self, column: ColumnElement[Any]) -> Conditions:
        yield from _compared(column, self)


@keeps()
@dataclass(frozen=True)
class UrlFilter(Parameterised):
    """Keeps rows by a URL, compared exactly as it is stored."""

    eq: str | None = given("Exactly this URL.", Text())
    starts_with: str | None = given(
        "URLs that begin with this text: scheme, host and whole path segments, such as `https://hooks.example/in/`. "
        "Anything else needs the scope `batches:read_secrets`.",
        Text(),
    )
    is_null: bool | None = given("True keeps rows without a URL, false those with one.")

    def __post_init__(self) -> None:
        _storable(self.eq, self.starts_with)

    def on(self, column: ColumnElement[Any]) -> Conditions:
        if self.eq is not None:
            yield column == self.eq
        if self.starts_with is not None:
            yield starts_with(column, self.starts_with)
        yield from _nullness(column, self.is_null)


@keeps()
@dataclass(frozen=True)
class ContainsFilter(Parameterised):
    """Keeps rows by a part of a text; upper and lower case differ."""

    contains: str | None = given("Texts that contain this.", Text())
    is_null: bool | None = given("True keeps rows without a text, false those with one.")

    def __post_init__(self) -> None:
        _storable(self.contains)

    def on(self, column: ColumnElement[Any]) -> Conditions:
        if self.contains is not None:
            yield position(column, self.contains) > 0
        yield from _nullness(column, self.is_null)


@keeps()
@dataclass(frozen=True, eq=False)
class MetadataFilter(Parameterised):
    """Keeps batches by one value in their metadata."""

    path: tuple[str, ...] = field(
        metadata={"description": 'The keys that lead to the value, such as `["customer", "tier"]`.', "name": None}
    )
    eq: Any = field(metadata={"description": "The text, number or boolean that stands there.", "name": None})

    def parameterised(self, scope: Visibility, name: str = "where") -> tuple[Self, FilterValues]:
        value = json_scalar(self.eq)
        exchanged = copy(self)
        object.__setattr__(exchanged, "eq", bindparam(f"{name}_eq", type_=value.type))
        return exchanged, {f"{name}_eq": value.value}

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple(self.path))
        if not 1 <= len(self.path) <= 10 or not all(map(_is_plain_key, self.path)):
            raise ValidationFailed("metadata.path must be 1 to 10 keys without quotes, backslashes and controls.")
        if not isinstance(self.eq, str | int | float) or (not isinstance(self.eq, str) and abs(self.eq) > 2**53):
            raise ValidationFailed("metadata.eq must be a text, a boolean, or a number of at most 2^53.")
        _storable(*self.path, self.eq if isinstance(self.eq, str) else None)

    def __eq__(self, other: object) -> bool:
        # By what is written, since `true` and `1` are the same to Python.
        return isinstance(other, MetadataFilter) and (self.path, repr(self.eq)) == (other.path, repr(other.eq))

    def __hash__(self) -> int:
        return hash((self.path, repr(self.eq)))

    def on(self, column: ColumnElement[Any]) -> Conditions:
        yield json_equals(column, self.path, self.eq)


@keeps(attempts)
@dataclass(frozen=True)
class CallbackAttemptFilter(Parameterised):
    """Keeps attempts that satisfy everything named here."""

    id: IdFilter | None = given("By the attempt's id.")
    delivery_id: IdFilter | None = given("By the delivery that the attempt belongs to.")
    attempt_number: IntFilter | None = given("By the attempt's number in its delivery.")
    status_code: IntFilter | None = given(
        "By the HTTP status: `{gte: 500, lt: 600}` keeps server errors, `{isNull: true}` attempts without an answer.",
    )
    response_time_ms: IntFilter | None = given("By the milliseconds until the answer.")
    error_message: ContainsFilter | None = given("By the error message, as the viewer sees it.")
    created_at: TimeFilter | None = given("By when the attempt was made.")

    def __post_init__(self) -> None:
        _forget_empty(self)

    def conditions(self, scope: Visibility) -> Conditions:
        shown = func.coalesce(attempts.c.error_message_masked, attempts.c.error_message)
        seen = attempts.c.error_message if scope.sees_secrets else shown
        yield from _on_columns(self, {**attempts.c, "error_message": seen})


@keeps()
@dataclass(frozen=True)
class CallbackAttemptsFilter(Parameterised):
    """Keeps deliveries by their attempts."""

    some: CallbackAttemptFilter | None = given("At least one attempt satisfies this.")

    def conditions(self, scope: Visibility) -> Conditions:
        if self.some is not None:
            yield exists(
                select(attempts.c.id).where(
                    unindexed(attempts.c.org_id) == scope.organization,
                    attempts.c.delivery_id == deliveries.c.id,
                    *self.some.conditions(scope),
                )
            )


@keeps(deliveries)
@dataclass(frozen=True)
class CallbackDeliveryFilter(Parameterised):
    """Keeps deliveries that satisfy everything named here."""

    # True of a filter like it whose conditions name the rows: an index by organization is the long way to these.
    names_rows: ClassVar[bool] = False

    id: IdFilter | None = given("By the delivery's id.")
    batch_id: IdFilter | None = given("By the batch.")
    status_code: TextFilter | None = given("By how the delivery stands.")
    failure_reason_code: TextFilter | None = given("By why the last attempt failed.")
    is_automatic: bool | None = given("True keeps the platform's own deliveries, false redeliveries by hand.")
    in_flight: bool | None = given(
        "True keeps deliveries that are not completed, false completed ones.", is_column=False
    )
    overdue: bool | None = given(
        "True keeps deliveries in flight whose next attempt was due before now, false all others.", is_column=False
    )
    created_at: TimeFilter | None = given("By when the delivery was created.")
    completed_at: TimeFilter | None = given("By when the delivery succeeded or was given up.")
    next_attempt_at: TimeFilter | None = given("By when the next attempt is due.")
    attempt_count: IntFilter | None = given("By how many attempts were made.")
    callback_url: UrlFilter | None = given("By the URL that the callback is sent to.")
    callback_host: TextFilter | None = given(
        "By the host in that URL, lower case, with the port where it is not the scheme's own."
    )
    event: TextFilter | None = given("By the event that the body tells, such as `batch.failed`.")
    attempts: CallbackAttemptsFilter | None = given("By the delivery's attempts.", is_column=False)

    def parameterised(self, scope: Visibility, name: str = "where") -> tuple[Self, FilterValues]:
        return super(CallbackDeliveryFilter, self._narrowed(scope)).parameterised(scope, name)

    def __post_init__(self) -> None:
        _forget_empty(self)

    def conditions(self, scope: Visibility) -> Conditions:
        narrowed = self._narrowed(scope)
        yield from _on_columns(narrowed, deliveries.c)
        if self.in_flight is not None:
            yield in_flight() if self.in_flight else not_(in_flight())
        if self.overdue is not None:
            yield overdue(scope) if self.overdue else not_(overdue(scope))
        if self.attempts is not None:
            yield from self.attempts.conditions(scope)

    def _narrowed(self, scope: Visibility) -> Self:
        """The same filter with the host of the URLs asked for: it follows from them, and there is an index on it.

        `PermissionDenied` for the beginning of a URL by which the viewer could guess what is masked.
        """
        url = self.callback_url
        if url is None or any(isinstance(value, BindParameter) for value in (url.eq, url.starts_with)):
            return self
        start = url.starts_with
        if start is not None and not scope.sees_secrets and not _is_whole_place(start):
            # Letter by letter it would tell what is masked.
            raise PermissionDenied(
                "callbackUrl.startsWith must end with the `/` after a host or path segment, and hold no credentials; "
                "anything else needs batches:read_secrets."
            )
        whole = start if url.eq is None and start is not None and start.count("/") >= 3 else url.eq
        host = None if whole is None else host_of(whole)
        # Of any other host earlier versions may have kept another spelling.
        if host is None or not PLAIN_HOST.fullmatch(host) or self.callback_host is not None:
            return self
        return replace(self, callback_host=TextFilter(host))


@keeps()
@dataclass(frozen=True)
class CallbackDeliveriesFilter(Parameterised):
    """Keeps batches by their deliveries."""

    some: CallbackDeliveryFilter | None = given(
        "At least one delivery satisfies this; `{}` keeps batches that have any."
    )
    none: CallbackDeliveryFilter | None = given("No delivery satisfies this; `{}` keeps batches that have none.")

    def conditions(self, scope: Visibility) -> Conditions:
        if self.some is not None:
            yield exists(self._matching(self.some, scope))
        if self.none is not None:
            # Not an EXISTS, which PostgreSQL would answer for all batches before it looks at the page's order.
            yield self._matching(self.none, scope).limit(1).scalar_subquery().is_(None)

    @staticmethod
    def _matching(filter_: CallbackDeliveryFilter, scope: Visibility) -> Select[str]:
        return select(deliveries.c.id).where(
            unindexed(deliveries.c.org_id) == scope.organization,
            deliveries.c.batch_id == batches.c.id,
            *filter_.conditions(scope),
        )


@keeps(batches)
@dataclass(frozen=True)
class BatchFilter(Parameterised):
    """Keeps batches that satisfy everything named here."""

    id: IdFilter | None = given("By the batch's id.")
    status_code: TextFilter | None = given("By how the batch stands.")
    created_at: TimeFilter | None = given("By when the batch was submitted.")
    completed_at: TimeFilter | None = given("By when the batch ended.")
    failure_code: TextFilter | None = given("By why the batch failed.")
    metadata: MetadataFilter | None = given("By one value in the batch's metadata.")
    callback_deliveries: CallbackDeliveriesFilter | None = given("By the batch's callback deliveries.", is_column=False)

    def __post_init__(self) -> None:
        _forget_empty(self)

    def conditions(self, scope: Visibility) -> Conditions:
        yield from _on_columns(self, batches.c)
        if self.callback_deliveries is not None:
            yield from self.callback_deliveries.conditions(scope)


def in_flight() -> ColumnElement[bool]:
    """A delivery that neither succeeded nor was given up."""
    return deliveries.c.completed_at.is_(None)


def overdue(scope: Visibility) -> ColumnElement[bool]:
    """A delivery in flight whose next attempt was due before now. Never null, so that it can be negated."""
    due = deliveries.c.next_attempt_at
    return and_(in_flight(), due.is_not(None), due < scope.now)


def _on_columns(filter_: Any, columns: Any) -> Conditions:
    """The conditions of the filter's fields that restrict the column of their name."""
    for name, _, is_column in DECLARED[type(filter_)]:
        value = getattr(filter_, name)
        if value is None or not is_column:
            continue
        if isinstance(value, bool):
            yield columns[name].is_(value)
        else:
            yield from value.on(columns[name])


def _as_set(values: Iterable[str]) -> tuple[str, ...]:
    """The values of a list in which neither order nor repetition means anything: equal lists are one question."""
    return tuple(sorted(set(values)))


def _forget_empty(filter_: Any) -> None:
    """Leave out what restricts nothing: `statusCode: {}`. (`some: {}` does, so that it is never left out.)"""
    for name, _, _ in DECLARED[type(filter_)]:
        value = getattr(filter_, name)
        kind: Any = type(value)
        if isinstance(value, Parameterised) and kind is not MetadataFilter and value == kind():
            object.__setattr__(filter_, name, None)


def unless_empty(filter_: F | None) -> F | None:
    """The filter, or None for one that keeps everything."""
    return None if filter_ is None or filter_ == type(filter_)() else filter_


def _listed(
    column: ColumnElement[Any], eq: str | None, in_: tuple[str, ...] | None, not_in: tuple[str, ...] | None
) -> Conditions:
    if eq is not None:
        yield column == eq
    if in_ is not None:
        yield is_one_of(column, in_)
    if not_in is not None:
        yield or_(column.is_(None), not_(is_one_of(column, not_in)))


def _compared(column: ColumnElement[Any], to: IntFilter | TimeFilter) -> Conditions:
    if to.eq is not None:
        yield column == to.eq
    key = column
    if getattr(column, "nullable", False) and any(end is not None for end in (to.gte, to.gt, to.lte, to.lt)):
        # The index of a column that may be null is the one that its order walks: over the value or the greatest.
        key = or_greatest(column)
        yield column.is_not(None)
    if to.gte is not None:
        yield key >= to.gte
    if to.gt is not None:
        yield key > to.gt
    if to.lte is not None:
        yield key <= to.lte
    if to.lt is not None:
        yield key < to.lt
    yield from _nullness(column, to.is_null)


def _nullness(column: ColumnElement[Any], is_null: bool | None) -> Conditions:
    if is_null is not None:
        yield column.is_(None) if is_null else column.is_not(None)


def _storable(*texts: str | None) -> None:
    """Refuse what no stored text can be: PostgreSQL would fail on it, and SQLite find nothing."""
    for text in texts:
        if text is not None and ("\0" in text or not _encodes(text)):
            raise ValidationFailed("A text in a filter holds a NUL or half of a surrogate pair: no stored text does.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_whole_place(start: str) -> bool:
    """Whether the beginning of a URL ends between two segments, where no part of a credential can be guessed."""
    whole = start.count("/") >= 3 and start.endswith("/") and not {"?", "#", "@"} & {*start}
    return whole and mask_url(start) == start


def _is_plain_key(key: str) -> bool:
    return bool(key) and key.isprintable() and '"' not in key and "\\" not in key


def _canonical(id_: str) -> str:
    try:
        return str(UUID(id_))
    except ValueError:
        raise ValidationFailed(f"{id_!r} in a filter is not a UUID.") from None
