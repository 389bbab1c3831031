"""From the messages of an exec to what the command said: the supervisor's own lines are taken out."""

from __future__ import annotations

import asyncio

from shared.kube import channels, supervisor
from shared.sessions.execution import ExecEvent, Output, Started, Stream

_MAX_FIRST_LINE = 1024


class Transcript:
    """What one command said so far.

    Args:
        tag: The supervisor's tag, which begins its lines.
        has_input: Whether the command has input of the caller's: then the supervisor says
            when it has ended.

    Attributes:
        announced: The supervisor's first line; None before it, and when there was no supervisor.
        first_line: Where it ought to be: what a shell said that could not start it.
        begun: Set with the supervisor's first line.
        input_over: Set when the command has ended and wants no more input.
    """

    def __init__(self, tag: str, *, has_input: bool) -> None:
        self.announced: supervisor.Announcement | None = None
        self.first_line = b""
        self.begun = asyncio.Event()
        self.input_over = asyncio.Event()
        self._tag = tag
        self._end_of_input = supervisor.end_of_input(tag) if has_input else b""
        self._held: list[Output] = []
        self._tail = b""
        self._offsets: dict[Stream, int] = {"stdout": 0, "stderr": 0}

    def feed(self, channel: int, data: bytes) -> list[ExecEvent]:
        """Takes one message.

        Args:
            channel: Its first byte.
            data: The rest.

        Returns:
            What it adds. Output that overtakes the supervisor's first line is held back.
        """
        if not data or channel not in (channels.STDOUT, channels.STDERR):
            return []
        if channel == channels.STDOUT:
            output = self._place("stdout", data)
            if self.announced is not None:
                return [output]
            self._held.append(output)
            return []
        if self.announced is None:
            return self._announce(data)
        if self._end_of_input:
            data = self._without_end_of_input(data)
        return [self._place("stderr", data)] if data else []

    def end(self) -> list[ExecEvent]:
        """What was kept back and turned out to be the command's own."""
        tail, self._tail = self._tail, b""
        return [self._place("stderr", tail)] if tail else []

    def _announce(self, data: bytes) -> list[ExecEvent]:
        line, newline, rest = (self.first_line + data).partition(b"\n")
        self.first_line = line
        if not newline and len(line) < _MAX_FIRST_LINE:
            return []
        self.announced = supervisor.read_announcement(self._tag, line)
        self.begun.set()
        if self.announced is None or self.announced.failure is not None:
            return []
        events: list[ExecEvent] = [Started(self.announced.pid), *self._held]
        self._held = []
        return [*events, *self.feed(channels.STDERR, rest)]

    def _without_end_of_input(self, data: bytes) -> bytes:
        """Takes the supervisor's last line out; keeps back what may be its beginning."""
        before, found, after = (self._tail + data).partition(self._end_of_input)
        self._tail = b""
        if found:
            self.input_over.set()
            return before + after
        for length in range(min(len(before), len(self._end_of_input) - 1), 0, -1):
            if before.endswith(self._end_of_input[:length]):
                self._tail = before[-length:]
                return before[:-length]
        return before

    def _place(self, stream: Stream, data: bytes) -> Output:
        offset = self._offsets[stream]
        self._offsets[stream] = offset + len(data)
        return Output(stream, offset, data)
