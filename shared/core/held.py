"""What pods say and we keep: how many bytes of it wait in our buffers, and where it must end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator

from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Stream

PIECE_OVERHEAD = 128
"""Bytes that a piece of output costs besides its content, so that many empty ones are not free."""


class Held:
    """Counts the bytes that buffers hold of what pods say. One serves any number of buffers.

    Attributes:
        now: Bytes held at this moment.
        peak: The most that were ever held at once.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def add(self, size: int) -> None:
        """Says that so many bytes more are kept; negative: that they are let go."""
        self.now += size
        self.peak = max(self.peak, self.now)

    @contextlib.contextmanager
    def buffer(self) -> Iterator[HeldBuffer]:
        """A buffer that is counted until the context ends."""
        kept = HeldBuffer(self)
        try:
            yield kept
        finally:
            kept.resize(0)


class HeldBuffer:
    """The count of one buffer; say after each change how large it is."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._size = 0

    def resize(self, size: int) -> None:
        """Says how many bytes the buffer has now."""
        self._held.add(size - self._size)
        self._size = size


async def bounded(
    events: AsyncGenerator[ExecEvent, None], *, stdout: int | None, stderr: int
) -> AsyncGenerator[ExecEvent, None]:
    """A command's events as far as it keeps to what it may say; else they end with ``unknown``.

    Args:
        events: Of the command. They are closed with this generator, which ends the command.
        stdout: Most bytes of standard output; None: whoever reads them bounds them.
        stderr: Most bytes of standard error, where each piece counts for some more.

    Yields:
        The events. A command that says more has an ``Exit`` that says so, and no more events.
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
    """What a script of ours answers on standard output, and how it ended.

    Args:
        events: Of the command. They are closed, which ends the command.
        held: Counts the bytes that are held.
        stdout: Most bytes of standard output; a command that says more is ended as ``unknown``.
        stderr: Most bytes of standard error, which nobody reads.
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
