"""Reads and writes descriptors without blocking, with as few copies as possible."""

import asyncio
import contextlib
import fcntl
import os
import sys

_PIPE_SIZE = 1024 * 1024
_SET_PIPE_SIZE = 1031


def pipe(*, parent_reads: bool) -> tuple[int, int]:
    """Return a pipe as (reader, writer). The end that this process keeps does not block."""
    reader, writer = os.pipe()
    os.set_blocking(reader if parent_reads else writer, False)
    if parent_reads and sys.platform == "linux":
        # If the user's limit of pipe memory is reached, the pipe keeps the default size, which works as well.
        with contextlib.suppress(OSError):
            fcntl.fcntl(reader, _SET_PIPE_SIZE, _PIPE_SIZE)
    return reader, writer


class Descriptor:
    """One end of a pipe, or a terminal, that this process reads or writes.

    Args:
        number: The descriptor; must not block. Closed by :meth:`close`.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._waiting: asyncio.Future[None] | None = None

    @property
    def number(self) -> int:
        """The descriptor, or -1 after :meth:`close`."""
        return self._number

    async def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer with the bytes that are available; wait for at least one byte.

        Returns:
            Number of bytes; 0 at the end, or when the descriptor is closed meanwhile.
        """
        while self._number >= 0:
            try:
                return os.readv(self._number, (buffer,))
            except BlockingIOError:
                await self._ready(reading=True)
            except OSError:
                # A terminal whose other side is closed gives EIO.
                return 0
        return 0

    async def write(self, data: memoryview) -> bool:
        """Write all bytes; wait while the other side does not read.

        Returns:
            False when the other side has closed, or the descriptor is closed meanwhile.
        """
        while data and self._number >= 0:
            try:
                data = data[os.write(self._number, data) :]
            except BlockingIOError:
                await self._ready(reading=False)
            except OSError:
                return False
        return self._number >= 0

    async def _ready(self, *, reading: bool) -> None:
        loop = asyncio.get_running_loop()
        waiting = self._waiting = loop.create_future()
        add, remove = (
            (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
        )
        number = self._number
        add(number, _wake, waiting)
        try:
            await waiting
        finally:
            # After close(), the number may be that of another descriptor, and another task may wait for that
            # one.
            if self._waiting is waiting:
                self._waiting = None
                if number == self._number:
                    remove(number)

    def close(self) -> None:
        """Close the descriptor, and wake the task that waits for it."""
        if self._number < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._number)
        loop.remove_writer(self._number)
        os.close(self._number)
        self._number = -1
        if self._waiting is not None:
            _wake(self._waiting)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
