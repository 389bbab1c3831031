"""The one log line of a request, HTTP or WebSocket: it is written when the answer has ended."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from shared.core.sessions.names import owner_hash
from shared.core.telemetry import SILENT, RequestSpan, Telemetry
from shared.web.http import logs
from shared.web.http.problems import instance_of

End: TypeAlias = Literal["completed", "client_gone", "failed"]

CLIENT_CLOSED = 499
"""Status that is logged when the caller left before there was one: nginx's own, known to Cloud Logging."""

_WEBSOCKET = "WEBSOCKET"
"""Stands in place of a method for a WebSocket."""

_MAX_TEXT = 500
_MAX_DIGITS = 15
_SWITCHED = 101
_PROBLEMS = 4000
"""A problem's close code is this plus its HTTP status; see ``shared.web.websocket.closing``."""

_GOODBYES = (1000, 1001)

log = logging.getLogger("gamgui.request")

_served = False


class RequestLog:
    """One request. Its line is written when its answer has ended, however it ended.

    Args:
        request: The request.
        function: Name of the function that serves it.
        request_id: The request's id.

    Attributes:
        owner: E-mail address of the verified caller, once it is known.
        route: Path template of the route, once it is known.
    """

    def __init__(self, request: HTTPConnection, function: str, request_id: str) -> None:
        global _served
        self._cold, _served = not _served, True
        self._request = request
        self._method: str = request.scope.get("method", _WEBSOCKET)
        self._function = function
        self._started = time.monotonic()
        self._started_ns = time.time_ns()
        self._traceparent = request.headers.get("traceparent", "")
        # This is never undone: a server gives each request a context of its own, and what is
        # streamed after the handler has returned belongs to the request too.
        self._context = logs.bind(request_id, self._traceparent)
        self._span: RequestSpan = SILENT.request("", "", "", 0)
        self.request_id = request_id
        self.owner = ""
        self.route = ""

    def trace(self, telemetry: Telemetry) -> None:
        """Begins the request's span, if there are traces; log entries belong to it then."""
        self._span = telemetry.request(self._function, self._method, self._traceparent, self._started_ns)
        if self._span.traceparent:
            self._context = logs.bind(self.request_id, self._span.traceparent)

    def recorded(self, response: Response) -> Response:
        """The response, wrapped so that its end writes the line and ends the span."""
        return _Recorded(response, self._ended)

    @contextlib.contextmanager
    def recorded_socket(self, scope: Scope, receive: Receive, send: Send) -> Iterator[WebSocket]:
        """A watched WebSocket: at the end of the block the line is written and the span ends."""
        sent = _Sent()
        try:
            yield WebSocket(scope, _watched_receive(receive, sent), _watched_send(send, sent))
        finally:
            self._ended(sent)

    def _ended(self, sent: _Sent) -> None:
        seconds = time.monotonic() - self._started
        reason, end = self._context.reason, self._end(sent)
        status = sent.status or (CLIENT_CLOSED if end == "client_gone" else 500)
        self._span.end(route=self.route, status=status, seconds=seconds, ended=end, reason=reason)
        path = instance_of(self._request)[:_MAX_TEXT]
        fields = {
            "httpRequest": self._http_request(path, status, sent.size, seconds),
            "function": self._function,
            "owner": owner_hash(self.owner) if self.owner else "",
            "session": self._context.session,
            "ended": end,
            "reason": reason,
            "cold_start": self._cold,
        }
        log.log(
            logging.WARNING if status >= 500 or end == "failed" else logging.INFO,
            "%s %s -> %d in %.1f ms%s",
            self._method[:_MAX_TEXT],
            path,
            status,
            seconds * 1000,
            "" if end == "completed" else f", {end}",
            extra={"fields": {name: value for name, value in fields.items() if value != ""}},
        )

    def _end(self, sent: _Sent) -> End:
        if self._context.broken:
            return "failed"
        if sent.complete:
            return "completed"
        return "client_gone" if sent.gone else "failed"

    def _http_request(self, path: str, status: int, size: int, seconds: float) -> dict[str, Any]:
        """https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest of this request.

        It leaves out the query, which may hold a command, and the caller's address, which Cloud
        Run's own entry of the request has, in the same trace.
        """
        headers = self._request.headers
        fields = {
            "requestMethod": self._method[:_MAX_TEXT],
            "requestUrl": path,
            "status": status,
            "responseSize": str(size),
            "latency": f"{seconds:.6f}s",
            "userAgent": headers.get("user-agent", "")[:_MAX_TEXT],
        }
        length = headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and len(length) <= _MAX_DIGITS:
            fields["requestSize"] = length
        return fields


@dataclasses.dataclass(slots=True)
class _Sent:
    """What became of a response.

    Attributes:
        status: HTTP status that was sent; 0: none.
        size: Bytes of the body that were sent.
        complete: Whether the body's end was sent.
        gone: Whether the caller was seen to go away.
    """

    status: int = 0
    size: int = 0
    complete: bool = False
    gone: bool = False


class _Recorded(Response):
    """Sends a response, and says what became of it.

    Args:
        response: The response.
        ended: Called once, when the response has ended.
    """

    def __init__(self, response: Response, ended: Callable[[_Sent], None]) -> None:
        self._response = response
        self._ended = ended
        self.status_code = response.status_code
        self.raw_headers = response.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        sent = _Sent()

        async def sending(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                sent.status = message["status"]
            elif message["type"] == "http.response.body":
                sent.size += len(message.get("body", b""))
                sent.complete = not message.get("more_body", False)

        async def receiving() -> Message:
            message = await receive()
            sent.gone = sent.gone or message["type"] == "http.disconnect"
            return message

        try:
            await self._response(scope, receiving, sending)
        finally:
            self._ended(sent)


def _watched_receive(receive: Receive, sent: _Sent) -> Receive:
    async def receiving() -> Message:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            # Uvicorn gives 1005 for a broken connection: only the client's own code counts (RFC 6455, 7.4.1).
            sent.gone, sent.complete = True, message.get("code") in _GOODBYES
        return message

    return receiving


def _watched_send(send: Send, sent: _Sent) -> Send:
    async def sending(message: Message) -> None:
        await send(message)
        match message["type"]:
            case "websocket.accept":
                sent.status = _SWITCHED
            case "websocket.send":
                sent.size += len(message.get("bytes") or (message.get("text") or "").encode())
            case "websocket.close":
                sent.complete = True
                code = message.get("code", 1000)
                if code >= _PROBLEMS:
                    sent.status = code - _PROBLEMS

    return sending
