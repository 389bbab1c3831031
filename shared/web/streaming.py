"""Responses that send events as they come, and end when the caller has gone, whatever is being sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.web import events as wire
from shared.web.endpoint import Call
from shared.web.events import EventObject, Format
from shared.web.outbox import Outbox
from shared.web.problems import as_known, instance_of, problem

NO_BUFFERING = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Sends events in one of the streamed formats. A fault of ours in mid-stream becomes the last one.

    Args:
        call: The request.
        objects: The events.
        source: What they are made of: closed when the response ends, however it does.
        form: The format to send.
    """

    def __init__(
        self,
        call: Call,
        objects: AsyncGenerator[EventObject, None],
        source: AsyncGenerator[Any, None],
        form: Format,
    ) -> None:
        super().__init__(media_type=form, headers=NO_BUFFERING)
        del self.headers["content-length"]
        self._call = call
        self._objects = objects
        self._source = source
        self._encode = wire.ndjson if form == "application/x-ndjson" else wire.server_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early when the caller disconnects."""
        work = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(disconnected(receive))
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
                # Not each by the other: one that was never begun would close nothing.
                await self._objects.aclose()
                await self._source.aclose()

    async def _send(self, send: Send) -> None:
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
        try:
            async for event in self._objects:
                await outbox.put(self._encode(event))
        except Exception as error:  # noqa: BLE001 - the headers are sent: the stream must say it
            await outbox.put(self._encode(self._fault(error)))
        finally:
            outbox.end()

    def _fault(self, error: Exception) -> EventObject:
        instance, request_id = instance_of(self._call.request), self._call.request_id
        details = problem(as_known(error), instance=instance, request_id=request_id)
        return {**details, "type": "error", "problem_type": details["type"]}


async def disconnected(receive: Receive) -> None:
    """Returns when the caller has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
