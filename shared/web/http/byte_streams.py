"""Responses of any size: sent as they come, ended with the caller, broken off when they cannot be whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.held import Held
from shared.errors import GamguiError, InternalError
from shared.web.http import logs
from shared.web.http.outbox import Outbox

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class StreamedResponse(Response):
    """Sends bytes.

    What fails in their midst cannot be told in the status any more: the response then ends without
    its end, and the server closes the connection. A Content-Length that is not reached, or chunks
    without the last one, are how HTTP says that a message is incomplete (RFC 9112, 8).

    Args:
        body: The bytes; closed in the end, whatever happens.
        status_code: As usual.
        headers: Sent as they are.
    """

    def __init__(
        self, body: AsyncGenerator[bytes, None], *, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(status_code=status_code, headers=dict(headers))
        if "content-length" not in {name.lower() for name in headers}:
            del self.headers["content-length"]
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; ends early when the caller disconnects."""
        try:
            await while_connected(self._run(send), disconnected(receive))
        finally:
            await self._body.aclose()

    async def _run(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if await send_pieces(self._fill, send):
            await send({"type": "http.response.body", "body": b""})

    async def _fill(self, outbox: Outbox) -> bool:
        """Takes the bytes; whether they came to their end."""
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


async def while_connected(
    work: Coroutine[None, None, None], disconnection: Coroutine[None, None, None]
) -> None:
    """Does the work of a response; ends it early when the caller disconnects.

    Args:
        work: Cancelled then, and waited for.
        disconnection: Returns when the caller has closed the connection.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(disconnection)
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


async def send_pieces(
    fill: Callable[[Outbox], Coroutine[None, None, _T]], send: Send, held: Held | None = None
) -> _T:
    """Sends what comes, as it comes.

    Args:
        fill: Puts pieces into the outbox and ends it. It has ended when this returns, come what may.
        send: Of the response, which has been started.
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
        # The source of the pieces is closed only when nobody is waiting for one.
        filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await filling
        outbox.close()


async def disconnected(receive: Receive) -> None:
    """Returns when the caller has closed the connection; the request's body is read, or not wanted."""
    while (await receive())["type"] != "http.disconnect":
        continue
