"""The nodes of a plan: what each field of a selection does for all objects of a level at once.

They are plain values, which the compiler makes. All have one method, `values`; `does_io` says whether it waits for the
read path, so that a selection runs those which do side by side, after all others.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from types import NoneType
from typing import Any, cast

import msgspec

from gateway.execution.plan.arguments import Arguments
from gateway.execution.plan.batches import ColumnBatch, DictBatch, ObjectBatch, RowBatch
from gateway.execution.plan.columns import Unplannable, Values, Write
from gateway.reading.masking import TextMask
from gateway.reading.previews import Preview, Wanted
from gateway.reading.questions import NodeById, RowById, RowsOf
from gateway.reading.reader import Reader
from gateway.schema.context import Context
from gateway.schema.fields import Derived, Previewed, QuestionSource, Source
from gateway.schema.graphql_core_internals import VariableValues
from gateway.schema.inputs import canonical_ids, preview_size
from gateway.schema.nodes import NODES, Node
from gateway.schema.scalars import canonical_id

JSON_VALUES = {NoneType, str, dict, list, bool, int, float}


class RequestInfo(msgspec.Struct, frozen=True):
    """One request: what its fields may use. It stands in for the `info` of resolvers, too."""

    context: Context
    reader: Reader
    variables: VariableValues


@dataclass(frozen=True, slots=True)
class ColumnField:
    """A leaf that is a column of a row, or an attribute of an object: what most fields are."""

    name: str
    write: Write


class PlannedField:
    """A field that takes more than a column."""

    @property
    def does_io(self) -> bool:
        """Whether its values, or what is selected of them, are waited for."""
        return False

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        """A value for each object of the batch, ready to be written as JSON."""
        raise NotImplementedError


class Selection:
    """The fields that are selected of one object type, by their response keys."""

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, PlannedField | ColumnField],
        columns: Iterable[Wanted] = (),
        varying: Sequence[tuple[Source, Arguments]] = (),
    ) -> None:
        names = [f"f{index}" for index in range(len(fields))]
        self._make: Callable[..., Any] = msgspec.defstruct(
            type_name, names, rename=dict(zip(names, fields, strict=True)), gc=False
        )
        self.fields = tuple(fields.values())
        more = [(index, field) for index, field in enumerate(self.fields) if isinstance(field, PlannedField)]
        self._at_once = [(index, field) for index, field in more if not field.does_io]
        self._waiting = [(index, field) for index, field in more if field.does_io]
        # Columns are written without a coroutine for each, which takes 5 % less time for one batch with ten deliveries.
        self._written = [
            (index, field.name, field.write)
            for index, field in enumerate(self.fields)
            if isinstance(field, ColumnField)
        ]
        self._columns = frozenset(columns)
        self._varying = varying

    @property
    def does_io(self) -> bool:
        """Whether anything below is waited for."""
        return bool(self._waiting)

    def columns(self, request: RequestInfo) -> frozenset[Wanted]:
        """What the selection needs of its rows."""
        if not self._varying:
            return self._columns
        variables = request.variables
        return self._columns.union(*(source.columns(arguments.of(variables)) for source, arguments in self._varying))

    def made(self, columns: Sequence[Values]) -> list[Any]:
        """Objects of the fields' values, column by column, ready to be written as JSON."""
        return list(map(self._make, *columns))

    async def objects(self, batch: ColumnBatch, request: RequestInfo) -> Sequence[Any]:
        """An object for each of the batch, ready to be written as JSON."""
        if not batch.size or not self.fields:
            return [self._make() for _ in range(batch.size)]
        filled: list[Values] = [()] * len(self.fields)
        column = batch.column
        for index, name, write in self._written:
            filled[index] = write(column(name))
        for index, field in self._at_once:
            filled[index] = await field.values(batch, request)
        waiting = self._waiting
        if len(waiting) == 1:
            index, field = waiting[0]
            filled[index] = await field.values(batch, request)
        elif waiting:
            answers = await _together(field.values(batch, request) for _, field in waiting)
            for (index, _), answer in zip(waiting, answers, strict=True):
                filled[index] = answer
        return list(map(self._make, *filled))


class Completion:
    """What a field's type makes of the values that its source gave."""

    @property
    def does_io(self) -> bool:
        """Whether anything below is waited for."""
        return False

    async def completed(self, values: Values, request: RequestInfo, /) -> Values:
        """The values, ready to be written as JSON."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Leaf(Completion):
    """Scalars or enums."""

    write: Write

    async def completed(self, values: Values, _request: RequestInfo, /) -> Values:
        return self.write(values)


@dataclass(frozen=True, slots=True)
class Objects(Completion):
    """Objects of one type."""

    selection: Selection
    nullable: bool

    @property
    def does_io(self) -> bool:
        return self.selection.does_io

    async def completed(self, values: Values, request: RequestInfo, /) -> Values:
        there = [value for value in values if value is not None]
        made = iter(await self.selection.objects(ObjectBatch(there), request))
        return _nullable((None if value is None else next(made) for value in values), self.nullable)


@dataclass(frozen=True, slots=True)
class ListOf(Completion):
    """Lists."""

    entries: Completion
    nullable: bool

    @property
    def does_io(self) -> bool:
        return self.entries.does_io

    async def completed(self, values: Values, request: RequestInfo, /) -> Values:
        if not {type(value) for value in values} <= {list, NoneType}:
            raise Unplannable("no list")
        flat = list(chain.from_iterable(value or () for value in values))
        made = iter(await self.entries.completed(flat, request))
        return _nullable((None if value is None else [next(made) for _ in value] for value in values), self.nullable)


@dataclass(frozen=True, slots=True)
class TypenameField(PlannedField):
    """`__typename`."""

    name: str

    async def values(self, batch: ColumnBatch, _request: RequestInfo, /) -> Values:
        return [self.name] * batch.size


@dataclass(frozen=True, slots=True)
class CompletedField(PlannedField):
    """Lists or objects that are a column of a row, or an attribute of an object."""

    name: str
    complete: Completion

    @property
    def does_io(self) -> bool:
        return self.complete.does_io

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        return await self.complete.completed(batch.column(self.name), request)


@dataclass(frozen=True, slots=True)
class MaskedField(PlannedField):
    """A text or a JSON value in which credentials are masked: each text once, what may take long beside the loop."""

    name: str
    mask: Callable[[Any], Any]
    complete: Completion

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        values = batch.column(self.name)
        if not request.reader.scope.sees_secrets:
            values = await self._masked(values)
        return await self.complete.completed(values, request)

    async def _masked(self, values: Values) -> Values:
        if isinstance(self.mask, TextMask):
            return await _shown(self.mask, values)
        if not set(map(type, values)) <= JSON_VALUES:
            raise Unplannable("a value that nobody knows how to mask")
        return await asyncio.to_thread(lambda: [None if value is None else self.mask(value) for value in values])


@dataclass(frozen=True, slots=True)
class DerivedField(PlannedField):
    """What a function makes of columns."""

    source: Derived
    complete: Completion

    @property
    def does_io(self) -> bool:
        return self.complete.does_io

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        source = self.source
        columns: list[Iterable[Any]] = [batch.column(name) for name in source.names]
        if source.with_now:
            columns.append(repeat(request.reader.scope.now, batch.size))
        return await self.complete.completed(list(map(source.function, *columns)), request)


@dataclass(frozen=True, slots=True)
class PreviewedField(PlannedField):
    """The beginning of a text, masked where it has to be."""

    source: Previewed
    arguments: Arguments
    complete: Completion

    @property
    def does_io(self) -> bool:
        return self.complete.does_io

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        preview = Preview(self.source.column, preview_size(**self.arguments.of(request.variables)))
        shown = list(map(preview.text, batch.column(preview.label), batch.column(preview.length_label)))
        mask = None if request.reader.scope.sees_secrets else self.source.mask
        if mask is not None:
            texts = await _shown(mask, [each and each.text for each in shown])
            shown = [
                each if each is None or each.text == text else each.showing(text)
                for each, text in zip(shown, texts, strict=True)
            ]
        return await self.complete.completed(shown, request)


@dataclass(frozen=True, slots=True)
class ResolvedField(PlannedField):
    """What a resolver makes of each object."""

    resolve: Callable[..., Any]
    takes_info: bool
    is_async: bool
    arguments: Arguments
    complete: Completion

    @property
    def does_io(self) -> bool:
        return self.is_async or self.complete.does_io

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        given = self.arguments.of(request.variables)
        if self.takes_info:
            given = {**given, "info": request}
        values: Values = [self.resolve(each, **given) for each in cast("ObjectBatch", batch).objects]
        if self.is_async:
            values = [await values[0]] if len(values) == 1 else await _together(values)
        return await self.complete.completed(values, request)


@dataclass(frozen=True, slots=True)
class LoadedField(PlannedField):
    """What a question answers about all parents at once."""

    source: QuestionSource
    arguments: Arguments

    @property
    def does_io(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class LoadedLeaves(LoadedField):
    """Answers that are leaves."""

    write: Write

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        ids, given = self.source.ids(batch.column, self.arguments.of(request.variables))
        unique = list(dict.fromkeys(ids))
        answers = self.write(await request.reader.fetch(self.source.question(**given), unique))
        if len(unique) == len(ids):
            return answers
        found = dict(zip(unique, answers, strict=True))
        return [found[id_] for id_ in ids]


@dataclass(frozen=True, slots=True)
class LoadedRows(LoadedField):
    """Answers that are rows: those with these ids, or those of each parent, of which a list shows all."""

    selection: Selection
    is_list: bool
    nullable: bool

    async def values(self, batch: ColumnBatch, request: RequestInfo, /) -> Values:
        ids, given = self.source.ids(batch.column, self.arguments.of(request.variables))
        question = self.source.question(self.selection.columns(request), **given)
        if not ids:
            return []
        unique = list(dict.fromkeys(ids))
        rows = RowBatch(*await request.reader.fetch_columns(question, unique))
        made = await self.selection.objects(rows, request)
        if isinstance(question, RowById):
            found = dict(zip(rows.column("id"), made, strict=True))
            return _nullable(map(found.get, ids), self.nullable)
        if not isinstance(question, RowsOf):
            raise Unplannable(question)
        children = _by_parent(unique, rows.column(question.parent.name), made)
        if self.is_list:
            return [children[id_] for id_ in ids]
        return _nullable((next(iter(children[id_]), None) for id_ in ids), self.nullable)


@dataclass(frozen=True, slots=True)
class NodesField(PlannedField):
    """Rows of any table: that with the argument `id`, or with `many` one for each of the argument `ids`."""

    many: bool
    arguments: Arguments
    selections: Mapping[type[Node], Selection]
    nullable: bool

    @property
    def does_io(self) -> bool:
        return True

    async def values(self, _batch: ColumnBatch, request: RequestInfo, /) -> Values:
        given = self.arguments.of(request.variables)
        if self.many:
            return [await self._found(canonical_ids(given["ids"]), request)]
        return await self._found([canonical_id(given["id"])], request)

    async def _found(self, ids: Sequence[str], request: RequestInfo) -> Values:
        question = NodeById(tuple((table, self.selections[of].columns(request)) for table, of in NODES.items()))
        found = await request.reader.fetch(question, ids)
        made: list[Any] = [None] * len(ids)
        for table, of in NODES.items():
            places = [place for place, row in enumerate(found) if row is not None and row[0] is table]
            rows = DictBatch([cast("tuple[Any, Mapping[str, Any]]", found[place])[1] for place in places])
            for place, object_ in zip(places, await self.selections[of].objects(rows, request), strict=True):
                made[place] = object_
        return _nullable(made, self.nullable)


async def _shown(mask: TextMask, values: Values) -> Values:
    """Texts and nulls as they are shown to who may not see secrets: each text is masked once."""
    try:
        texts = set(values)
    except TypeError as odd:
        raise Unplannable("a value that nobody knows how to mask") from odd
    texts.discard(None)
    if not set(map(type, texts)) <= {str}:
        raise Unplannable("a value that nobody knows how to mask")
    hidden = await mask.hidden_beside(texts)
    # Most pages have no secret, and are left as they are.
    return [hidden.get(text, text) for text in values] if hidden else values


def _by_parent(parents: Sequence[str], parent_of: Values, made: Sequence[Any]) -> dict[str, list[Any]]:
    """The children of each parent, in their order."""
    children: dict[str, list[Any]] = {id_: [] for id_ in parents}
    add = {id_: few.append for id_, few in children.items()}
    for id_, child in zip(parent_of, made, strict=True):
        add[id_](child)
    return children


async def _together(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The results of all, begun at once; where one fails, the others are stopped."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def _nullable(values: Iterable[Any], nullable: bool) -> Values:
    made = list(values)
    if not nullable and any(value is None for value in made):
        raise Unplannable("null")
    return made
