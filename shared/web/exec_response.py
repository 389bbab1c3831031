"""Responses that run a command: it ends when its caller goes away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.errors import InternalError
from shared.sessions.execution import ExecEvent, Exit
from shared.web import events as wire
from shared.web.endpoint import Call
from shared.web.problems import instance_of, problem_response
from shared.web.request_body import RequestBody
from shared.web.streaming import NO_BUFFERING, AttendedResponse, EventStream, after


class WholeResult(AttendedResponse):
    """Runs a command to its end and answers in one object.

    Args:
        call: The request.
        events: The command's events.
        source: Closing it ends the command.
        body: The request's body.
        started: ``time.monotonic()`` when the request came.
    """

    def __init__(
        self,
        call: Call,
        events: AsyncGenerator[ExecEvent, None],
        *,
        source: AsyncGenerator[ExecEvent, None],
        body: RequestBody,
        started: float,
    ) -> None:
        super().__init__(source, body, "application/json")
        self._call = call
        self._events = events
        self._started = started

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the object, or an ordinary problem: the headers are not sent yet."""
        async with contextlib.aclosing(self._events) as events:
            response = await self._response(events)
            response.headers["X-Request-Id"] = self._call.request_id
            # Before the events are closed, so that nobody waits for what is done then. The server
            # counts the request as running until this returns.
            await response(scope, receive, send)

    async def _response(self, events: AsyncGenerator[ExecEvent, None]) -> Response:
        try:
            result = await wire.collect(events, self._started)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a problem document
            request_id = self._call.request_id
            return problem_response(error, instance=instance_of(self._call.request), request_id=request_id)
        return Response(msgspec.json.encode(result), media_type="application/json", headers=NO_BUFFERING)


async def respond(call: Call, events: AsyncGenerator[ExecEvent, None], body: RequestBody) -> Response:
    """Starts a command and makes its response.

    Args:
        call: The request; its Accept header chooses the format.
        events: The command's events; closing them ends the command.
        body: Follows the connection from now on.

    Raises:
        GamguiError: The command could not be started at all.
    """
    # Several Accept lines are one list (RFC 9110, 5.3).
    form = wire.negotiate(",".join(call.request.headers.getlist("accept")))
    started = time.monotonic()
    # What fails before the first event is an ordinary error.
    complete = _complete(after(await anext(events), events))
    if form == "application/json":
        return WholeResult(call, complete, source=events, body=body, started=started)
    return EventStream(call, wire.as_objects(complete, started), source=events, body=body, form=form)


async def _complete(events: AsyncGenerator[ExecEvent, None]) -> AsyncGenerator[ExecEvent, None]:
    """The events, the last of which must be an ``Exit``."""
    event: ExecEvent | None = None
    async with contextlib.aclosing(events):
        async for event in events:
            yield event
    if not isinstance(event, Exit):
        raise InternalError("the end of the command is not known")
