"""Files become rows: all of a file in one transaction, or nothing of it.

A `.json` file is what the REST endpoint returns, an array of deliveries. A `.ndjson` or `.jsonl` file has a batch a
line, with its deliveries nested. Either is read value by value and written in chunks, so that memory does not grow with
the file; compressed ones are unpacked on the way.
"""

import bz2
import gzip
import io
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar, cast
from uuid import UUID

from pydantic import Strict, TypeAdapter, ValidationError
from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.errors import ImportRefused
from gateway.writing.chunks import Chunk, ImportResult, Place
from gateway.writing.documents import BatchInFile, DeliveryInFile, first_problem
from gateway.writing.json_text import JsonFile, JsonText, Malformed
from gateway.writing.organizations import add_organization

VERSION = 1  # of the lines; those of the first one do not say it, an export whose keys mean something else has to
MANY_ROWS = 1000
PACKED: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
PACKED_NAMES = (".gz", ".bz2", ".xz")
NO_TEXT = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"SQLite format 3": "an SQLite database",
    b"PGDMP": "a dump of PostgreSQL",
}
MOST_MAGIC = max(map(len, (*PACKED, *NO_TEXT)))

T = TypeVar("T")
_id, _batch, _delivery = TypeAdapter(UUID), TypeAdapter(BatchInFile), TypeAdapter(DeliveryInFile)
_version = TypeAdapter(Annotated[int, Strict()])


async def import_file(
    database: Database, path: Path, organization_id: str, progress: Callable[[int], None]
) -> ImportResult:
    """Import one file for an organization, whose id is a canonical UUID; it is created where it is unseen.

    `-` is standard input. `progress` is called with the number of bytes that were read since its last call. Whatever is
    wrong with the file raises `ImportRefused`, in one line: `FILE:LINE: FIELD: what is wrong and what was expected`.
    """
    try:
        with _opened(path) as file:
            fill = _fill_of(path, file)
            async with database.transaction() as connection:
                await add_organization(connection, organization_id)
                chunk = Chunk(connection, organization_id)
                for _ in fill(chunk, JsonFile(file, progress)):
                    await chunk.write()
                await chunk.write()
    except Malformed as wrong:
        field = f"{wrong.field}: " if wrong.field else ""
        raise ImportRefused(f"{path}:{wrong.line}: {field}{wrong.problem}") from wrong
    except SQLAlchemyError as failure:
        reason = str(getattr(failure, "orig", None) or failure).partition("\n")[0]
        raise ImportRefused(f"{path}: the database refused it: {reason}") from failure
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as failure:
        raise ImportRefused(f"{path}: it cannot be unpacked: {failure}") from failure
    except ConnectionError:  # the database's
        raise
    except OSError as failure:
        raise ImportRefused(f"{path}: it cannot be read: {failure.strerror or failure}") from failure
    if chunk.result.deliveries + chunk.result.attempts >= MANY_ROWS:
        await _refresh_statistics(database)
    return chunk.result


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """What a file holds, unpacked; `ImportRefused` where its first bytes tell of something else than text."""
    with ExitStack() as stack:
        stdin = cast("io.BufferedReader", sys.stdin.buffer)
        packed = stdin if str(path) == "-" else stack.enter_context(path.open("rb"))
        start = packed.peek(MOST_MAGIC)[:MOST_MAGIC]
        for magic, kind in NO_TEXT.items():
            if start.startswith(magic):
                raise ImportRefused(f"{path}: it is {kind}: expected UTF-8 text, or gzip, bzip2 or xz of it")
        unpack = next((unpack for magic, unpack in PACKED.items() if start.startswith(magic)), None)
        if unpack is None:
            yield packed
        else:
            yield stack.enter_context(io.BufferedReader(stack.enter_context(unpack(packed))))


def _fill_of(path: Path, file: BinaryIO) -> Callable[[Chunk, JsonFile], Iterator[None]]:
    """How a file is read: by its name, or where that tells nothing, as of a pipe, by its first character."""
    names = [suffix.lower() for suffix in path.suffixes]
    while names and names[-1] in PACKED_NAMES:
        names.pop()
    if names and (fill := FILLS.get(names[-1])) is not None:
        return fill
    if path.is_file():
        raise ImportRefused(f"{path}: the name should end in {', '.join(FILLS)}, or in such with {PACKED_NAMES[0]}")
    start = cast("io.BufferedReader", file).peek(1).lstrip(b"\xef\xbb\xbf \t\r\n")
    return _fill_from_array if start.startswith(b"[") else _fill_from_lines


async def _refresh_statistics(database: Database) -> None:
    """Tell the planner about many new rows: until it knows of them, reads may take the wrong index and crawl."""
    with suppress(SQLAlchemyError):
        async with database.transaction() as connection:
            for table in (batches, batch_callback_deliveries, batch_callback_delivery_attempts):
                await connection.execute(sql(f"ANALYZE {table.name}"))


def _fill_from_array(chunk: Chunk, file: JsonFile) -> Iterator[None]:
    """Add an array of deliveries to the chunk; yield whenever it is to be written."""
    text = file.document()
    if text.peek() == "{":
        raise Malformed(text.line, "expected an array of deliveries, found an object: batches are for a .ndjson file")
    described: set[UUID] = set()
    for index in text.elements():
        text.peek()
        place = Place(text.line, (index,))
        value = text.value()
        delivery = _valid(_delivery, value, place)
        payload = chunk.add_delivery(delivery, place)
        if delivery.batch_id not in described:
            chunk.open_batch(delivery, place)
            if payload is not None:
                chunk.describe_batch(payload, delivery)
                described.add(delivery.batch_id)
        if chunk.is_full(len(value)):
            yield
    text.end()


def _fill_from_lines(chunk: Chunk, file: JsonFile) -> Iterator[None]:
    """Add a batch a line, with its deliveries, to the chunk; yield whenever it is to be written."""
    for text in file.lines():
        found = text.peek()
        if found == "[":
            raise Malformed(text.line, "expected a batch, found an array: an array of deliveries is for a .json file")
        if found:
            yield from _fill_from_line(chunk, text)
        text.end()


def _fill_from_line(chunk: Chunk, text: JsonText) -> Iterator[None]:
    place = Place(text.line)
    values: dict[str, str] = {}
    batch_id: UUID | None = None
    earliest: datetime | None = None
    for key in text.members():
        if key == "callback_deliveries" and text.peek() == "[":
            for index in text.elements():
                inner = Place(place.line, (key, index))
                value = text.value()
                delivery = _valid(_delivery, value, inner)
                batch_id = batch_id or delivery.batch_id
                if delivery.batch_id != batch_id:
                    raise inner.refuse(f"{delivery.batch_id} is not the batch around it, {batch_id}", "batch_id")
                earliest = min(earliest or delivery.created_at, delivery.created_at)
                chunk.open_batch(delivery, place)
                chunk.add_delivery(delivery, inner)
                if chunk.is_full(len(value)):
                    yield
            continue
        value = text.value()
        if key == "version":
            _refuse_later(value, Place(place.line, (key,)))
            continue
        if key == "callback_deliveries":
            if value != "null":
                raise place.refuse("is wrong: input should be an array or null", key)
            continue
        if key == "id":
            stated = _valid(_id, value, Place(place.line, (key,)))
            if batch_id not in {None, stated}:
                raise place.refuse(f"{stated} is not the batch_id of its deliveries, {batch_id}", key)
            batch_id = stated
        values[key] = value
    document = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in values.items()) + "}"
    chunk.add_batch(_valid(_batch, document, place), earliest, place)
    if chunk.is_full(len(document)):
        yield


def _refuse_later(version: str, place: Place) -> None:
    if (told := _valid(_version, version, place)) > VERSION:
        raise place.refuse(f"{told} is of a later version of the gateway: expected at most {VERSION}")


def _valid(shape: TypeAdapter[T], text: str, place: Place) -> T:
    try:
        return shape.validate_json(text)
    except ValidationError as invalid:
        keys, problem = first_problem(invalid, text)
        raise place.refuse(problem, *keys) from invalid


FILLS = {".json": _fill_from_array, ".ndjson": _fill_from_lines, ".jsonl": _fill_from_lines}
