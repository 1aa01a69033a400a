"""A line of JSON for each record, on standard error. No text of a client's is ever logged."""

from __future__ import annotations

import json
import logging
import sys
from typing import Final

# What a record has anyway; the rest was given with `extra`.
_OWN: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Time, level, message and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record. Of an error only the type and the place are told: its words may hold a text."""
        values: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        values |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[0] is not None:
            values["error"] = record.exc_info[0].__name__
            values["where"] = _where(record)
        return json.dumps(values, default=str)


def set_up(level: str) -> None:
    """Has the server's loggers write to standard error, and those of uvicorn and asyncio."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("e5_onnx.serve", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False


def _where(record: logging.LogRecord) -> list[str]:
    trace = record.exc_info[2] if record.exc_info else None
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places
