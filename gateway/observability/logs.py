"""Log lines: one a record, for people or for machines, on stderr."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside of one."""

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

encode_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

UNQUOTED = re.compile(r'[^ "=]*')


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the fields as `name=value`. A traceback follows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, without the traceback."""
        fields = (f" {name}={word(value)}" for name, value in fields_of(record).items())
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
    logging.getLogger("audit").setLevel(logging.INFO)  # whatever else is left out
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each request to the platform
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the schema's revision


def word(value: Any) -> str:
    """A value that neither ends the line nor looks like another field."""
    text = str(value)
    return text if UNQUOTED.fullmatch(text) and text.isprintable() else json.dumps(text)
