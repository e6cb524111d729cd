"""Log lines about requests: one for each in the access log, and one more for an operation that took long."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from gateway.observability.logs import request_id, word
from gateway.observability.record import RequestRecord

HELD_SECONDS = 0.1  # that a line waits for others
HELD_LINES = 200

access = logging.getLogger("access")
slow = logging.getLogger("slow")
encode_fields = msgspec.json.Encoder().encode


class RequestFields(msgspec.Struct, frozen=True, gc=False):
    """What a line says of a request. `duration_ms` is until the answer's end, `bytes` those of its body."""

    request_id: str | UnsetType
    face: str
    method: str
    path: str
    status: int
    code: str
    duration_ms: float
    operation: str
    planned: bool
    statements: int
    rows: int
    bytes: int
    key: str
    events: int | UnsetType
    trace_id: str | UnsetType

    @classmethod
    def of(cls, record: RequestRecord, seconds: float) -> "RequestFields":
        """The fields of a request that took so many seconds."""
        return cls(
            request_id.get() or UNSET,
            record.face,
            record.method,
            record.path,
            record.status,
            record.code,
            round(seconds * 1000, 3),
            record.operation,
            record.planned,
            record.statements,
            record.rows,
            record.bytes,
            record.key,
            record.events or UNSET,
            UNSET if record.trace is None else record.trace.id,
        )


class AccessLog:
    """The logger `access`: a line for each request on stderr, in the `form` of the other lines, `text` or `json`.

    Lines are encoded in one step and written in blocks, every `HELD_SECONDS`: by `logging`, each by itself, they took
    95 of 210 µs of CPU of a `{ __typename }`. A process that is killed loses what it holds, so a tenth of a second.
    """

    def __init__(self, form: str = "text") -> None:
        self._is_json = form == "json"
        self._held: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._second = 0
        self._date = ""

    def write(self, record: RequestRecord, seconds: float) -> None:
        """Tell of a request that has been answered; of a probe where debugging is on."""
        level = logging.DEBUG if record.face == "probe" else logging.INFO
        if not access.isEnabledFor(level):
            return
        fields = RequestFields.of(record, seconds)
        self._held.append((self._json if self._is_json else self._text)(logging.getLevelName(level), fields))
        if self._is_closed or len(self._held) >= HELD_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HELD_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        with suppress(OSError, ValueError):  # nobody reads stderr any more, which no request is to notice
            sys.stderr.write(b"".join(held).decode())
            sys.stderr.flush()

    def close(self) -> None:
        """Write what is held, and each line at once from now on."""
        self._is_closed = True
        self.flush()

    def _json(self, level: str, fields: RequestFields) -> bytes:
        date, milliseconds = self._now("%Y-%m-%dT%H:%M:%S", time.gmtime)
        head = f'{{"time":"{date}.{milliseconds:03d}+00:00","level":"{level}","logger":"access","message":"answered",'
        return b"%b%b\n" % (head.encode(), encode_fields(fields)[1:])

    def _text(self, level: str, fields: RequestFields) -> bytes:
        date, milliseconds = self._now("%Y-%m-%d %H:%M:%S", time.localtime)
        told = " ".join(f"{name}={word(value)}" for name, value in log_values(fields).items())
        return f"{date},{milliseconds:03d} {level} access answered {told}\n".encode()

    def _now(self, form: str, split: Callable[[float], time.struct_time]) -> tuple[str, int]:
        """The time to the second, which is written once a second, and the milliseconds."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._date = second, time.strftime(form, split(second))
        return self._date, int((now - second) * 1000)


def log_slow(record: RequestRecord, seconds: float) -> None:
    """A warning about a request that took long, with its document, in which no value is left."""
    document = None if record.document is None else record.document()
    slow.warning("slow operation", extra={**log_values(RequestFields.of(record, seconds)), "document": document})


def log_values(fields: RequestFields) -> dict[str, Any]:
    """The fields that a line has, by their names."""
    names: dict[str, Any] = msgspec.to_builtins(fields)
    return names
