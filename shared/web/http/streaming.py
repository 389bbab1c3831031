"""Responses that last: their bytes or events are sent as they come, until the end or the caller goes."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.held import Held, HeldBuffer
from shared.errors import GamguiError, InternalError
from shared.web.http import logs
from shared.web.http.call import Call
from shared.web.http.events import EventObject, Format, ndjson, server_sent
from shared.web.http.problems import as_known, instance_of, problem
from shared.web.http.request_body import RequestBody

NO_BUFFERING = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}

MAX_WAITING_BYTES = 256 * 1024
"""When so many bytes wait to be sent, the task that puts more waits until they are taken."""

Gone: TypeAlias = Callable[[Receive], Coroutine[None, None, None]]
_Item = TypeVar("_Item")
_T = TypeVar("_T")

log = logging.getLogger(__name__)


class AttendedResponse(Response, abc.ABC):
    """A response that ends when nobody waits for it any more.

    Args:
        source: What the response is made of; it is closed when the response ends, however it ends.
        gone: Returns when the caller has closed the connection.
        status_code: HTTP status.
        headers: Headers, sent as they are.
        media_type: Media type of the body.
    """

    def __init__(
        self,
        source: AsyncGenerator[Any, None],
        gone: Gone,
        *,
        headers: Mapping[str, str],
        status_code: int = 200,
        media_type: str | None = None,
    ) -> None:
        super().__init__(status_code=status_code, headers=dict(headers), media_type=media_type)
        if "content-length" not in {name.lower() for name in headers}:
            del self.headers["content-length"]
        self._source = source
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early when the caller disconnects, whatever is being sent."""
        async with contextlib.aclosing(self._source):
            answering = asyncio.create_task(self.answer(scope, receive, send))
            gone = asyncio.create_task(self._gone(receive))
            try:
                await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                if not answering.done():
                    answering.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await answering

    @abc.abstractmethod
    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the whole response."""


class StreamedResponse(AttendedResponse):
    """Sends bytes.

    A failure in mid-stream cannot change the status any more: the response then breaks off, and the
    server closes the connection. A Content-Length that is not reached, or chunks without the last
    one, are how HTTP says that a message is incomplete (RFC 9112, 8).

    Args:
        body: The bytes; it is closed in the end, whatever happens.
        status_code: HTTP status.
        headers: Headers, sent as they are.
    """

    def __init__(
        self, body: AsyncGenerator[bytes, None], *, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(body, disconnected, status_code=status_code, headers=headers)
        self._body = body

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``AttendedResponse``."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if await send_pieces(self._fill, send):
            await send({"type": "http.response.body", "body": b""})

    async def _fill(self, outbox: Outbox) -> bool:
        """Puts the bytes into the outbox; returns whether they came to their end."""
        try:
            async for data in self._body:
                await outbox.put(data)
        except GamguiError as error:
            logs.failed(error.reason, midway=True)
            log.warning("a response was broken off: %s: %s", error.reason, error.detail)
            return False
        except Exception:
            logs.failed(InternalError.default_reason, midway=True)
            log.exception("a response was broken off")
            return False
        finally:
            outbox.end()
        return True


class EventStream(AttendedResponse):
    """Sends events in one of the streamed formats. A failure in mid-stream becomes the last event.

    Args:
        call: The request.
        objects: The events.
        source: What the events are made of.
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
        super().__init__(source, body.follow, media_type=form, headers=NO_BUFFERING)
        self._call = call
        self._objects = objects
        self._held = held
        self._encode = ndjson if form == "application/x-ndjson" else server_sent

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


class Outbox:
    """A buffer between one task that puts pieces and one that takes them.

    A long output comes in many small pieces, and sending each by itself takes more time than all
    other work on them. So the pieces that wait are sent together. This delays none: a piece that
    is put while nobody is sending is taken in the next turn of the event loop.

    Args:
        held: Counts the bytes that wait here; None: nobody asks.
    """

    def __init__(self, held: Held | None = None) -> None:
        self._count = HeldBuffer(held or Held())
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    async def put(self, piece: bytes) -> None:
        """Adds a piece; waits while too much is there, so that a slow reader slows down the writer."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        self._count.resize(self._bytes)
        self._changed.set()
        if self._bytes >= MAX_WAITING_BYTES:
            self._taken.clear()
            await self._taken.wait()

    def end(self) -> None:
        """Says that no more pieces come."""
        self._ended = True
        self._changed.set()

    def close(self) -> None:
        """Throws away what nobody has taken."""
        self._pieces, self._bytes = [], 0
        self._count.resize(0)

    async def take(self) -> bytes:
        """Takes all pieces, joined in the order in which they were put; waits while there are none.

        Returns:
            The bytes; empty only when all were taken and no more come.
        """
        while not self._pieces and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        pieces, self._pieces, self._bytes = self._pieces, [], 0
        self._count.resize(0)
        self._taken.set()
        return b"".join(pieces)


async def send_pieces(
    fill: Callable[[Outbox], Coroutine[None, None, _T]], send: Send, held: Held | None = None
) -> _T:
    """Sends pieces as they come.

    Args:
        fill: Puts pieces into the outbox and ends it. It has ended when this function returns or raises.
        send: ASGI's function; the response has been started with it.
        held: Counts the bytes that wait to be sent; None: nobody asks.

    Returns:
        What ``fill`` returns.
    """
    outbox = Outbox(held)
    filling = asyncio.create_task(fill(outbox))
    try:
        while body := await outbox.take():
            await send({"type": "http.response.body", "body": body, "more_body": True})
        return await filling
    finally:
        # The caller closes the source of the pieces, which is possible only when no task waits for one.
        filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await filling
        outbox.close()


async def disconnected(receive: Receive) -> None:
    """Returns when the caller has closed the connection; throws away what is left of the request's body."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def after(first: _Item | None, rest: AsyncIterator[_Item]) -> AsyncGenerator[_Item, None]:
    """An item that was taken already, if there is one, and then the items that follow it."""
    if first is not None:
        yield first
    async for item in rest:
        yield item
