"""Responses that run a command: it ends when its caller goes away, whatever is being sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.sessions.execution import ExecEvent
from shared.web import events as wire
from shared.web.endpoint import Call
from shared.web.events import EventObject, Format
from shared.web.problems import as_known, problem

_NO_BUFFERING = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}


class ExecResponse(Response):
    """Sends a command's events in one of the formats.

    Args:
        events: The command's events; closing them ends the command.
        first: The first event, already taken: what fails before it is an ordinary error.
        form: The format to send.
        started: ``time.monotonic()`` when the request came.
        instance: Path of the request, for a problem in mid-stream.
        request_id: Likewise.
    """

    def __init__(
        self,
        events: AsyncGenerator[ExecEvent, None],
        first: ExecEvent,
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
        self._form = form
        self._started = started
        self._instance = instance
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early, and the command with it, when the caller disconnects."""
        work = asyncio.create_task(self._run(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await work
            await self._events.aclose()

    async def _run(self, send: Send) -> None:
        if self._form == "application/json":
            await self._send_whole(send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        encode = wire.ndjson if self._form == "application/x-ndjson" else wire.server_sent
        async with contextlib.aclosing(self._objects()) as objects:
            async for event in objects:
                await send({"type": "http.response.body", "body": encode(event), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _send_whole(self, send: Send) -> None:
        try:
            body, status = await wire.collect(self._all(), self._started), 200
        except Exception as error:  # noqa: BLE001 - the headers are not sent yet: an ordinary problem
            known = as_known(error)
            body = problem(known, instance=self._instance, request_id=self._request_id)
            status = known.status
            self.headers["content-type"] = "application/problem+json"
        content = msgspec.json.encode(body)
        self.headers["content-length"] = str(len(content))
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": content})

    async def _objects(self) -> AsyncGenerator[EventObject, None]:
        """The events as objects; a fault of ours in mid-stream becomes the last one."""
        try:
            async with contextlib.aclosing(wire.as_objects(self._all(), self._started)) as objects:
                async for event in objects:
                    yield event
        except Exception as error:  # noqa: BLE001 - the headers are sent: the stream must say it
            details = problem(as_known(error), instance=self._instance, request_id=self._request_id)
            yield {**details, "type": "error", "problem_type": details["type"]}

    async def _all(self) -> AsyncIterator[ExecEvent]:
        yield self._first
        async for event in self._events:
            yield event


async def respond(call: Call, events: AsyncGenerator[ExecEvent, None]) -> ExecResponse:
    """Starts a command and makes its response.

    Args:
        call: The request; its Accept header chooses the format.
        events: The command's events.

    Raises:
        GamguiError: The command could not be started at all.
    """
    form = wire.negotiate(call.request.headers.get("accept", ""))
    started = time.monotonic()
    first = await anext(events)
    return ExecResponse(
        events, first, form=form, started=started, instance=call.request.url.path, request_id=call.request_id
    )


async def _disconnected(receive: Callable[[], Awaitable[object]]) -> None:
    """Returns when the caller has closed the connection."""
    while True:
        message = await receive()
        if isinstance(message, dict) and message.get("type") == "http.disconnect":
            return
