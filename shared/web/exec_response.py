"""Responses that run a command: it ends when its caller goes away, whatever is being sent."""

from __future__ import annotations

import asyncio
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
from shared.web.events import EventObject, Format
from shared.web.outbox import Outbox
from shared.web.problems import as_known, instance_of, problem, problem_response
from shared.web.request_body import RequestBody

_NO_BUFFERING = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}


class ExecResponse(Response):
    """Sends a command's events in one of the formats.

    Args:
        events: The command's events; closing them ends the command.
        first: The first event, already taken: what fails before it is an ordinary error.
        body: The request's body; it also knows when the caller has gone.
        form: The format to send.
        started: ``time.monotonic()`` when the request came.
        instance: Path of the request, for a problem in mid-stream.
        request_id: Likewise.
    """

    def __init__(
        self,
        events: AsyncGenerator[ExecEvent, None],
        first: ExecEvent,
        body: RequestBody,
        *,
        form: Format,
        started: float,
        instance: str,
        request_id: str,
    ) -> None:
        super().__init__(media_type=form, headers=_NO_BUFFERING)
        del self.headers["content-length"]
        self._events = events
        self._first = first
        self._body = body
        self._form = form
        self._started = started
        self._instance = instance
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early, and the command with it, when the caller disconnects."""
        work = asyncio.create_task(self._run(scope, receive, send))
        gone = asyncio.create_task(self._body.follow(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            try:
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await work
            finally:
                await self._events.aclose()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._form == "application/json":
            await (await self._whole())(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        outbox = Outbox()
        filling = asyncio.create_task(self._fill(outbox))
        try:
            while body := await outbox.take():
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await filling
        finally:
            # The events are closed only when nobody is waiting for one.
            filling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await filling
        await send({"type": "http.response.body", "body": b""})

    async def _fill(self, outbox: Outbox) -> None:
        encode = wire.ndjson if self._form == "application/x-ndjson" else wire.server_sent
        try:
            async with contextlib.aclosing(self._objects()) as objects:
                async for event in objects:
                    await outbox.put(encode(event))
        finally:
            outbox.end()

    async def _whole(self) -> Response:
        """The answer in one object, or an ordinary problem: the headers are not sent yet."""
        response: Response
        try:
            async with contextlib.aclosing(self._all()) as events:
                body = await wire.collect(events, self._started)
            response = Response(msgspec.json.encode(body), media_type=self._form, headers=_NO_BUFFERING)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a problem document
            response = problem_response(error, instance=self._instance, request_id=self._request_id)
        response.headers["X-Request-Id"] = self._request_id
        return response

    async def _objects(self) -> AsyncGenerator[EventObject, None]:
        """The events as objects; a fault of ours in mid-stream becomes the last one."""
        try:
            async with (
                contextlib.aclosing(self._all()) as events,
                contextlib.aclosing(wire.as_objects(events, self._started)) as objects,
            ):
                async for event in objects:
                    yield event
        except Exception as error:  # noqa: BLE001 - the headers are sent: the stream must say it
            details = problem(as_known(error), instance=self._instance, request_id=self._request_id)
            yield {**details, "type": "error", "problem_type": details["type"]}

    async def _all(self) -> AsyncGenerator[ExecEvent, None]:
        event = self._first
        yield event
        async for event in self._events:
            yield event
        if not isinstance(event, Exit):
            raise InternalError("the end of the command is not known")


async def respond(call: Call, events: AsyncGenerator[ExecEvent, None], body: RequestBody) -> ExecResponse:
    """Starts a command and makes its response.

    Args:
        call: The request; its Accept header chooses the format.
        events: The command's events.
        body: Follows the connection from now on.

    Raises:
        GamguiError: The command could not be started at all.
    """
    # Several Accept lines are one list (RFC 9110, 5.3).
    form = wire.negotiate(",".join(call.request.headers.getlist("accept")))
    started = time.monotonic()
    first = await anext(events)
    return ExecResponse(
        events,
        first,
        body,
        form=form,
        started=started,
        instance=instance_of(call.request),
        request_id=call.request_id,
    )
