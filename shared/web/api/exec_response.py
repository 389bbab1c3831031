"""Responses that run a command: the command ends when its caller goes away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.commands import ExecEvent, Exit, Heartbeat, Output, Started, Stream
from shared.errors import InternalError
from shared.web.api.exec_answer import AnswerRoom, Whole, exit_json
from shared.web.http.call import Call
from shared.web.http.encoding import TextSplitter, as_json
from shared.web.http.events import EventObject, negotiate
from shared.web.http.problems import instance_of, problem_response
from shared.web.http.request_body import RequestBody
from shared.web.http.streaming import NO_BUFFERING, AttendedResponse, EventStream, after

log = logging.getLogger(__name__)

_AT_ONCE_BYTES = 256 * 1024
"""Up to so many kept bytes, an answer is made as a whole and has a Content-Length."""

_READ_SECONDS = 600.0
"""How long a caller may take to read an answer as one object, which occupies room that all share."""


class WholeResult(AttendedResponse):
    """Runs a command to its end and answers with one object.

    Args:
        call: The request.
        events: The command's events.
        source: Closing it ends the command.
        body: The request's body.
        started: ``time.monotonic()`` when the request came.
        room: What all answers of this instance share; None: this one is alone.
    """

    def __init__(
        self,
        call: Call,
        events: AsyncGenerator[ExecEvent, None],
        *,
        source: AsyncGenerator[ExecEvent, None],
        body: RequestBody,
        started: float,
        room: AnswerRoom | None,
    ) -> None:
        super().__init__(source, body.follow, media_type="application/json", headers=NO_BUFFERING)
        self._call = call
        self._events = events
        self._started = started
        self._room = room

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the object, or an ordinary problem: the headers are not sent yet."""
        whole = Whole(self._room)
        try:
            async with contextlib.aclosing(self._events) as events:
                response = await self._response(events, whole)
                response.headers["X-Request-Id"] = self._call.request_id
                # The answer is sent before the events are closed, so that the caller does not wait for
                # the work of closing. The server counts the request as running until this returns.
                async with asyncio.timeout(_READ_SECONDS):
                    await response(scope, receive, send)
        except TimeoutError:
            log.warning("a caller has not read an answer within %g s", _READ_SECONDS)
        finally:
            whole.close()

    async def _response(self, events: AsyncGenerator[ExecEvent, None], whole: Whole) -> Response:
        try:
            await whole.collect(events, self._started)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a problem document
            request_id = self._call.request_id
            return problem_response(error, instance=instance_of(self._call.request), request_id=request_id)
        if whole.kept_bytes <= _AT_ONCE_BYTES:
            return Response(b"".join(whole.pieces()), media_type="application/json", headers=NO_BUFFERING)
        return _InPieces(whole)


class _InPieces(Response):
    """A long object, encoded while it is sent: encoded, it may be six times as long as what is kept."""

    def __init__(self, whole: Whole) -> None:
        super().__init__(media_type="application/json", headers=NO_BUFFERING)
        del self.headers["content-length"]
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the object."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._whole.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


async def respond(
    call: Call,
    events: AsyncGenerator[ExecEvent, None],
    body: RequestBody,
    room: AnswerRoom | None = None,
) -> Response:
    """Starts a command and makes its response.

    Args:
        call: The request; its Accept header chooses the format.
        events: The command's events; closing them ends the command.
        body: Follows the connection from now on.
        room: What all answers of this instance share; None: this one is alone.

    Raises:
        GamguiError: The command could not be started at all.
    """
    # Several Accept lines are one list (RFC 9110, 5.3).
    form = negotiate(",".join(call.request.headers.getlist("accept")))
    started = time.monotonic()
    # A failure before the first event is an ordinary error.
    complete = _complete(after(await anext(events), events))
    if form == "application/json":
        return WholeResult(call, complete, source=events, body=body, started=started, room=room)
    objects, held = as_objects(complete, started), room.held if room else None
    return EventStream(call, objects, source=events, body=body, form=form, held=held)


async def _complete(events: AsyncGenerator[ExecEvent, None]) -> AsyncGenerator[ExecEvent, None]:
    """The events, the last of which must be an ``Exit``."""
    event: ExecEvent | None = None
    async with contextlib.aclosing(events):
        async for event in events:
            yield event
    if not isinstance(event, Exit):
        raise InternalError("the end of the command is not known")


async def as_objects(events: AsyncIterator[ExecEvent], started: float) -> AsyncGenerator[EventObject, None]:
    """Turns events into the objects that callers see. The last one is ``exit``.

    Args:
        events: From the service.
        started: ``time.monotonic()`` when the request came, for the duration.
    """
    splitters: dict[Stream, TextSplitter] = {"stdout": TextSplitter(), "stderr": TextSplitter()}
    async for event in events:
        if isinstance(event, Output):
            piece = splitters[event.stream].feed(event.data)
            if piece is not None:
                yield _output(event.stream, *piece)
        elif isinstance(event, Started):
            yield {"type": "started", "pid": event.pid, "time": _now()}
        elif isinstance(event, Heartbeat):
            yield {"type": "heartbeat", "time": _now()}
        else:
            for stream, splitter in splitters.items():
                rest = splitter.end()
                if rest is not None:
                    yield _output(stream, *rest)
            yield {"type": "exit", **exit_json(event, started), "time": _now()}


def _output(stream: Stream, offset: int, content: str | bytes) -> EventObject:
    return {"type": stream, "offset": offset, **as_json(content), "time": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
