"""The body of a request, handed on while it comes: its memory is bounded, and a break is not an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator

from starlette.types import Receive

from shared.errors import InvalidRequest

READ_AHEAD_BYTES = 256 * 1024
"""When so many bytes are held, the caller has to wait until some are taken."""

_LOOK_SECONDS = 0.5


class RequestBody:
    """A buffer between the connection that brings the body and the task that takes it.

    The same messages carry the body and tell that the caller has gone, so one task reads
    them all, for as long as the request is answered.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._gone = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    async def follow(self, receive: Receive) -> None:
        """Takes in what the caller sends; returns when the caller has closed the connection.

        Args:
            receive: The connection's messages (ASGI). No other task may read them meanwhile.
        """
        limit = READ_AHEAD_BYTES
        while True:
            message = await receive()
            self._gone = message["type"] == "http.disconnect"
            if not self._gone:
                self._keep(message.get("body", b""))
                self._ended = not message.get("more_body", False)
            self._changed.set()
            if self._gone:
                return
            if self._held >= limit and not self._ended:
                await self._room()
                limit = self._held + READ_AHEAD_BYTES

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body, in pieces as they came; waits for them. ``follow`` must run meanwhile.

        Raises:
            InvalidRequest: The connection broke before the body was complete.
        """
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                if self._held < READ_AHEAD_BYTES:
                    self._taken.set()
                yield piece
            if self._ended:
                return
            if self._gone:
                raise InvalidRequest("the connection broke before the body was complete")
            self._changed.clear()
            await self._changed.wait()

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)

    async def _room(self) -> None:
        """Waits until less than ``READ_AHEAD_BYTES`` is held, or for a limited time.

        A server that is not asked for more does not read the connection, and so does not see that
        it was closed: if a command reads no input, its caller's going would never be noticed. So a
        little more is taken now and then; the more is held already, the longer the wait. In t
        seconds that makes ``READ_AHEAD_BYTES`` times the square root of 4 t at most. A command's
        time is limited: a command that reads nothing at all makes 30 MiB in an hour.
        """
        self._taken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS * self._held / READ_AHEAD_BYTES):
                await self._taken.wait()
