"""Log lines: one a record, for people or for machines, on stderr."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from gateway.observability.record import RequestRecord

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside of one."""

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

encode_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

access = logging.getLogger("access")
slow = logging.getLogger("slow")


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the fields as `name=value`. A traceback follows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, without the traceback."""
        fields = (f" {name}={_word(value)}" for name, value in fields_of(record).items())
        return super().formatMessage(record) + "".join(fields)


class Json(logging.Formatter):
    """A JSON object a line: `time`, `level`, `logger`, `message`, the fields, and `exception` with the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return encode_line(line)


FORMATS = {"text": TextFormatter, "json": Json}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says beside its message: the request's id, and whatever it was given as `extra`."""
    id_ = request_id.get()
    fields: dict[str, Any] = {"request_id": id_} if id_ else {}
    return fields | {name: value for name, value in record.__dict__.items() if name not in STANDARD}


def configure_logging(level: str, form: str = "text") -> None:
    """Send log lines to stderr, one a record. `level` is a name of the `logging` module, `form` one of `FORMATS`."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no format shows them
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the schema's revision


def log_access(exchange: RequestRecord, seconds: float) -> None:
    """One line about a request; those of probes are for debugging."""
    level = logging.DEBUG if exchange.face == "probe" else logging.INFO
    if access.isEnabledFor(level):
        # Not `log`, which looks for the line of code that calls it at every request.
        access.handle(access.makeRecord("access", level, "", 0, "answered", (), None, None, _fields(exchange, seconds)))


def log_slow(exchange: RequestRecord, seconds: float) -> None:
    """A warning about a request that took long, with its document, in which no value is left."""
    document = None if exchange.document is None else exchange.document()
    slow.warning("slow operation", extra={**_fields(exchange, seconds), "document": document})


def _fields(exchange: RequestRecord, seconds: float) -> dict[str, Any]:
    fields = {
        "face": exchange.face,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "code": exchange.code,
        "duration_ms": round(seconds * 1000, 3),
        "operation": exchange.operation,
        "planned": exchange.planned,
        "statements": exchange.statements,
        "rows": exchange.rows,
        "bytes": exchange.bytes,
        "key": exchange.key,
    }
    if exchange.events:
        fields["events"] = exchange.events
    return fields if exchange.trace is None else {**fields, "trace_id": exchange.trace.id}


def _word(value: Any) -> str:
    """A value that neither ends the line nor looks like another field."""
    text = str(value)
    return text if text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
