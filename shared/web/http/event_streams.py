"""Responses that last: they end, with what they are made of, when the caller has gone."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.held import Held
from shared.web.api import events as wire
from shared.web.api.events import EventObject, Format
from shared.web.http import logs
from shared.web.http.byte_streams import send_pieces, while_connected
from shared.web.http.call import Call
from shared.web.http.outbox import Outbox
from shared.web.http.problems import as_known, instance_of, problem
from shared.web.http.request_body import RequestBody

NO_BUFFERING = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}

_Item = TypeVar("_Item")


class AttendedResponse(Response, abc.ABC):
    """A response that somebody must be waiting for.

    Args:
        source: What it is made of: closed when the response ends, however it does.
        body: The request's body; it also knows when the caller has gone.
        form: Its media type.
    """

    def __init__(self, source: AsyncGenerator[Any, None], body: RequestBody, form: Format) -> None:
        super().__init__(media_type=form, headers=NO_BUFFERING)
        del self.headers["content-length"]
        self._source = source
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early when the caller disconnects, whatever is being sent."""
        try:
            await while_connected(self.answer(scope, receive, send), self._body.follow(receive))
        finally:
            await self._source.aclose()

    @abc.abstractmethod
    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it all."""


class EventStream(AttendedResponse):
    """Sends events in one of the streamed formats. A fault of ours in mid-stream becomes the last one.

    Args:
        call: The request.
        objects: The events.
        source: What they are made of.
        body: The request's body.
        form: The format to send.
        held: Counts the bytes that wait to be sent; None: nobody asks.
    """

    def __init__(
        self,
        call: Call,
        objects: AsyncGenerator[EventObject, None],
        *,
        source: AsyncGenerator[Any, None],
        body: RequestBody,
        form: Format,
        held: Held | None = None,
    ) -> None:
        super().__init__(source, body, form)
        self._call = call
        self._objects = objects
        self._held = held
        self._encode = wire.ndjson if form == "application/x-ndjson" else wire.server_sent

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``AttendedResponse``."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send_pieces(self._fill, send, self._held)
        await send({"type": "http.response.body", "body": b""})

    async def _fill(self, outbox: Outbox) -> None:
        try:
            async with contextlib.aclosing(self._objects) as objects:
                async for event in objects:
                    await outbox.put(self._encode(event))
        except Exception as error:  # noqa: BLE001 - the headers are sent: the stream must say it
            await outbox.put(self._encode(self._fault(error)))
        finally:
            outbox.end()

    def _fault(self, error: Exception) -> EventObject:
        instance, request_id = instance_of(self._call.request), self._call.request_id
        known = as_known(error)
        logs.failed(known.reason, midway=True)
        details = problem(known, instance=instance, request_id=request_id)
        return {**details, "type": "error", "problem_type": details["type"]}


async def after(first: _Item | None, rest: AsyncIterator[_Item]) -> AsyncGenerator[_Item, None]:
    """An item that was taken already, if there is one, and those that follow it."""
    if first is not None:
        yield first
    async for item in rest:
        yield item
