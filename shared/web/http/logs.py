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

from shared.settings.platform import PlatformSettings

# Version ff and ids of zeros only are invalid; versions after 00 may carry more fields.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


_SAMPLED = 1
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


@dataclasses.dataclass(slots=True)
class RequestContext:
    """What is known of a request, for all log entries that are made while it is answered.

    Attributes:
        request_id: The request's id.
        trace: W3C trace id; empty: none.
        span: Id of the trace's span to which the entries belong.
        sampled: Whether the trace is recorded.
        session: Id of the session that the request is about; empty: none.
        reason: Reason of the error that the request met; empty: none.
        broken: Whether the error came after the answer had begun.
    """

    request_id: str = ""
    trace: str = ""
    span: str = ""
    sampled: bool = False
    session: str = ""
    reason: str = ""
    broken: bool = False


_context: contextvars.ContextVar[RequestContext | None] = contextvars.ContextVar("gamgui_log", default=None)


def bind(request_id: str, traceparent: str) -> RequestContext:
    """Makes later log entries, of this task and of those that it starts, belong to this request.

    Args:
        request_id: The request's id.
        traceparent: W3C trace context (https://www.w3.org/TR/trace-context/); it may be empty or malformed.

    Returns:
        What is known of the request; code that learns more adds it.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    context = RequestContext(request_id)
    if found:
        context.trace, context.span = found[1], found[2]
        context.sampled = bool(int(found[3], 16) & _SAMPLED)
    _context.set(context)
    return context


def about(session: str) -> None:
    """Says which session the request at hand is about."""
    if (context := _context.get()) is not None:
        context.session = session


def failed(reason: str, *, midway: bool = False) -> None:
    """Says why the request at hand fails.

    Args:
        reason: Reason of the error.
        midway: Whether the answer had begun, so that its status does not tell the failure.
    """
    if (context := _context.get()) is not None:
        context.reason, context.broken = reason, midway


class CloudFormatter(logging.Formatter):
    """Makes one line of JSON from each log record, with severity and trace."""

    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        context = _context.get() or RequestContext()
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
            entry["logging.googleapis.com/trace_sampled"] = context.sampled
        return json.dumps(entry, default=str)


class TerminalFormatter(logging.Formatter):
    """Makes a line for people. Text that others chose cannot begin a new line or control the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without a stack trace; control characters in it are escaped."""
        return _CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))


@functools.cache
def configure(platform: PlatformSettings) -> None:
    """Sends log entries to stderr, set up once per process: ours from INFO, those of libraries from WARNING.

    Args:
        platform: Says whether this is Cloud Run, and to which project traces belong.
    """
    handler = logging.StreamHandler(sys.stderr)
    if platform.on_cloud_run:
        handler.setFormatter(CloudFormatter(platform.google_cloud_project))
    else:
        handler.setFormatter(TerminalFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("gamgui", "shared"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    root = logging.getLogger()
    if not root.handlers:  # warnings of libraries: of a retry, an exporter, a task that failed
        root.addHandler(handler)
