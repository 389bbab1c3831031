"""Pieces of a streamed answer: those that come while others are being sent are sent together."""

from __future__ import annotations

import asyncio

from shared.core.held import Held, HeldBuffer

MAX_WAITING_BYTES = 256 * 1024
"""From so many bytes on, whoever puts more waits until they are taken."""


class Outbox:
    """Between one task that puts pieces and one that takes them.

    A long output comes in many small pieces, and sending each by itself takes more time than
    all else that is done to them. Nothing is held back for it: what is put while nobody is
    sending is taken in the next turn of the event loop.

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
        """All that is there, in the order it was put; waits while there is nothing.

        Returns:
            Nothing only when all is taken and no more comes.
        """
        while not self._pieces and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        pieces, self._pieces, self._bytes = self._pieces, [], 0
        self._count.resize(0)
        self._taken.set()
        return b"".join(pieces)
