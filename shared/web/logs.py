"""Logs: JSON lines as Cloud Logging reads them on Cloud Run, readable lines elsewhere.

Format: https://cloud.google.com/logging/docs/structured-logging.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import json
import logging
import re
import sys
from typing import Any

from starlette.requests import Request

from shared.sessions.names import owner_hash
from shared.settings import Settings
from shared.web.problems import instance_of

# Version ff and ids of zeros only are invalid; versions after 00 may carry more fields.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Context:
    request_id: str = ""
    trace: str = ""
    span: str = ""


_NO_REQUEST = _Context()
_context: contextvars.ContextVar[_Context] = contextvars.ContextVar("gamgui_log_context", default=_NO_REQUEST)


def bind(request_id: str, traceparent: str) -> None:
    """Log entries made from here on, in this task and those that it starts, belong to this request.

    Args:
        request_id: The request's id.
        traceparent: W3C trace context (https://www.w3.org/TR/trace-context/), may be empty or garbage.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    _context.set(_Context(request_id, *(found.groups() if found else ())))


class CloudFormatter(logging.Formatter):
    """One JSON object a line, with severity, trace and labels."""

    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        context = _context.get()
        entry: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "request_id": context.request_id,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["stack_trace"] = self.formatException(record.exc_info)
        if context.trace and self._project:
            entry["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{context.trace}"
            entry["logging.googleapis.com/spanId"] = context.span
        return json.dumps(entry, default=str)


@functools.cache
def configure(settings: Settings) -> None:
    """Sends our log entries to stderr, once per process.

    Args:
        settings: Say whether this is Cloud Run, and the project of traces.
    """
    handler = logging.StreamHandler(sys.stderr)
    if settings.on_cloud_run:
        handler.setFormatter(CloudFormatter(settings.google_cloud_project))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("gamgui", "shared"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


_served = False


def request_line(request: Request, function: str, status: int, caller: str, seconds: float) -> None:
    """One line per request: function, owner (hashed), status, latency, cold start or not."""
    global _served
    cold, _served = not _served, True
    path = instance_of(request)
    fields = {
        "httpRequest": {
            "requestMethod": request.method,
            "requestUrl": path,
            "status": status,
            "latency": f"{seconds:.6f}s",
        },
        "function": function,
        "owner": owner_hash(caller) if caller else "",
        "cold_start": cold,
    }
    message = "%s %s -> %d in %.1f ms"
    logging.getLogger("gamgui.request").info(
        message, request.method, path, status, seconds * 1000, extra={"fields": fields}
    )
