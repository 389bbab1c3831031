"""Output of pods in this instance's memory: how many bytes its buffers hold, and how many are allowed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator

from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Stream

PIECE_OVERHEAD = 128
"""Bytes that a piece of output counts for besides its content, so that many empty pieces are not free."""


class Held:
    """Counts the bytes of pods' output that buffers hold. One counter serves any number of buffers.

    Attributes:
        now: Bytes held at this moment.
        peak: The highest value that ``now`` has had.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def add(self, size: int) -> None:
        """Adds ``size`` bytes to the count; a negative ``size`` means that bytes were released."""
        self.now += size
        self.peak = max(self.peak, self.now)

    @contextlib.contextmanager
    def buffer(self) -> Iterator[HeldBuffer]:
        """Returns a context with a buffer's count; the count becomes 0 when the context ends."""
        kept = HeldBuffer(self)
        try:
            yield kept
        finally:
            kept.resize(0)


class HeldBuffer:
    """The count of one buffer. The buffer's user calls ``resize`` after each change of its size."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._size = 0

    def resize(self, size: int) -> None:
        """Sets how many bytes the buffer holds now."""
        self._held.add(size - self._size)
        self._size = size


async def bounded(
    events: AsyncGenerator[ExecEvent, None], *, stdout: int | None, stderr: int
) -> AsyncGenerator[ExecEvent, None]:
    """Passes a command's events on while its output keeps within limits.

    Args:
        events: The command's events. They are closed with this generator, which ends the command.
        stdout: Maximum bytes of standard output; None: the reader sets the limit.
        stderr: Maximum bytes of standard error; each piece counts for ``PIECE_OVERHEAD`` bytes more.

    Yields:
        The events. When the command writes more than it may, the last one is an ``Exit`` with the result
        ``UNKNOWN`` and the reason.
    """
    left: dict[Stream, int | None] = {"stdout": stdout, "stderr": stderr}
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Output):
                room = left[event.stream]
                if room is not None:
                    room -= len(event.data) + (PIECE_OVERHEAD if event.stream == "stderr" else 0)
                    left[event.stream] = room
                    if room < 0:
                        reason = f"it said more on {event.stream} than it may"
                        yield Exit(result=ExecResult.UNKNOWN, reason=reason)
                        return
            yield event


async def short_answer(
    events: AsyncGenerator[ExecEvent, None], held: Held, *, stdout: int, stderr: int
) -> tuple[bytes, Exit]:
    """Collects what one of this service's scripts answers on standard output.

    Args:
        events: The command's events. They are closed, which ends the command.
        held: Counts the bytes that are held.
        stdout: Maximum bytes of standard output; a command that writes more ends with ``UNKNOWN``.
        stderr: Maximum bytes of standard error, which is not kept.

    Returns:
        The answer, and how the command ended.
    """
    answer = bytearray()
    end = Exit(result=ExecResult.UNKNOWN)
    with held.buffer() as buffer:
        async with contextlib.aclosing(bounded(events, stdout=stdout, stderr=stderr)) as said:
            async for event in said:
                if isinstance(event, Output) and event.stream == "stdout":
                    answer += event.data
                    buffer.resize(len(answer))
                elif isinstance(event, Exit):
                    end = event
                    break
    return bytes(answer), end
