"""Turns the messages of an exec into what the command said: the supervisor's own lines are taken out."""

from __future__ import annotations

import asyncio

from shared.core.commands import ExecEvent, Output, Started, Stream
from shared.core.held import PIECE_OVERHEAD, Held, HeldBuffer
from shared.kube.exec import channels, supervisor
from shared.kube.exec.end_mark import EndMark

_MAX_FIRST_LINE = 1024

MAX_UNEXPLAINED_BYTES = 1024 * 1024
"""Most bytes that may come in a row without adding to what the caller is told.

Standard output can overtake the supervisor's first line, because at every hop each stream has a thread of
its own, and the buffers on the way hold some hundred KiB. If more overtakes it, no supervisor is at work.
"""


class Transcript:
    """What one command said so far.

    Args:
        tag: The supervisor's tag, which begins its lines.
        held: Counts the bytes that are kept here; None: nobody asks.

    Attributes:
        announced: The supervisor's first line; None before it has come, and when there was no supervisor.
        first_line: The first line as it came: a failed shell's words if there was no supervisor.
        begun: Set when the first line has come, whether from the supervisor or from a shell.
        input_over: Set when the command has ended and wants no more input.
        flooded: More came without a meaning than is allowed: the command must be ended.
    """

    def __init__(self, tag: str, *, held: Held | None = None) -> None:
        self.announced: supervisor.Announcement | None = None
        self.first_line = b""
        self.begun = asyncio.Event()
        self.input_over = asyncio.Event()
        self.flooded = False
        self._tag = tag
        self._early: list[Output] = []
        self._early_bytes = 0
        self._marks: dict[Stream, EndMark] = {"stdout": EndMark(tag), "stderr": EndMark(tag)}
        self._offsets: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._unexplained = 0
        self._count = HeldBuffer(held or Held())

    @property
    def running(self) -> bool:
        """Whether the supervisor has said that the command runs."""
        return self.announced is not None and self.announced.failure is None

    @property
    def said_anything(self) -> bool:
        """Whether the supervisor, the command or a shell has said a byte."""
        return self.begun.is_set() or bool(self.first_line or self._early_bytes)

    @property
    def refused(self) -> bool:
        """Whether the first line says that nothing runs: then only the status is still to come."""
        return self.begun.is_set() and not self.running

    @property
    def code(self) -> int | None:
        """The command's exit code as the supervisor says it; None before the command has ended."""
        return self._marks["stderr"].code if self.running else None

    @property
    def complete(self) -> bool:
        """Whether the command has ended and all that it wrote has come."""
        return self.code is not None and self._marks["stdout"].code is not None

    def feed(self, channel: int, data: bytes) -> list[ExecEvent]:
        """Takes one message. Time and memory are proportional to its length, whatever came before.

        Args:
            channel: The message's first byte.
            data: The rest of the message.

        Returns:
            The events that it adds. Output that overtakes the supervisor's first line is held back.
        """
        if self.flooded:
            return []
        events = self._take(channel, data)
        if events:
            self._unexplained = 0
        else:
            self._unexplained += len(data) + PIECE_OVERHEAD
            if self._unexplained > MAX_UNEXPLAINED_BYTES:
                self.flooded = True
                self.let_go()
        kept_back = sum(len(mark) for mark in self._marks.values())
        self._count.resize(self._early_bytes + len(self.first_line) + kept_back)
        return events

    def end(self) -> list[ExecEvent]:
        """The output that was kept back, if it turned out to be the command's own."""
        rests = [(stream, mark.rest()) for stream, mark in self._marks.items()]
        return [self._place(stream, rest) for stream, rest in rests if rest and self.running]

    def let_go(self) -> None:
        """Forgets the output that is held back: nobody will be told of it."""
        self._forget_early()
        for mark in self._marks.values():
            mark.rest()
        self._count.resize(len(self.first_line))

    def close(self) -> None:
        """Forgets the output that is held back, and counts nothing as held any more."""
        self.let_go()
        self._count.resize(0)

    def _take(self, channel: int, data: bytes) -> list[ExecEvent]:
        if channel == channels.STDERR:
            return self._said("stderr", data) if self.begun.is_set() else self._begin(data)
        if channel != channels.STDOUT:
            return []
        if self.begun.is_set():
            return self._said("stdout", data)
        data = self._marks["stdout"].without(data)
        if data:
            self._early.append(self._place("stdout", data))
            self._early_bytes += len(data) + PIECE_OVERHEAD
        return []

    def _said(self, stream: Stream, data: bytes) -> list[ExecEvent]:
        """The output in a message that came after the first line."""
        data = self._marks[stream].without(data)
        if self._marks["stderr"].code is not None:
            self.input_over.set()
        return [self._place(stream, data)] if data and self.running else []

    def _forget_early(self) -> None:
        self._early, self._early_bytes = [], 0

    def _begin(self, data: bytes) -> list[ExecEvent]:
        """Takes the first line, or a part of it, up to ``_MAX_FIRST_LINE`` bytes."""
        rest = data[_MAX_FIRST_LINE - len(self.first_line) :]
        line, newline, behind = (self.first_line + data[: len(data) - len(rest)]).partition(b"\n")
        self.first_line = line
        if not newline and len(line) < _MAX_FIRST_LINE:
            return []
        self.announced = supervisor.read_announcement(self._tag, line)
        self.begun.set()
        if line.startswith(f"{self._tag} . ".encode()):
            self.first_line = b""  # the end of a command that was killed before it could begin
        early = self._early
        self._forget_early()
        after = self._said("stderr", behind + rest)
        if self.announced is None or self.announced.failure is not None:
            return []
        return [Started(self.announced.pid), *early, *after]

    def _place(self, stream: Stream, data: bytes) -> Output:
        offset = self._offsets[stream]
        self._offsets[stream] = offset + len(data)
        return Output(stream, offset, data)
