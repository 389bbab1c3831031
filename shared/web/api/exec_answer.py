"""The answer to an exec as one object; all answers share the room for the output that they keep."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import msgspec

from shared.core.commands import ExecEvent, Exit, Output, Stream
from shared.core.held import Held, HeldBuffer
from shared.web.http.encoding import incomplete_at_end
from shared.web.http.events import EventObject
from shared.web.http.json_pieces import content_pieces

MAX_KEPT_BYTES = 10 * 1024 * 1024
"""Most that a non-streamed answer keeps of each stream: half from its beginning, half from its end."""

FREE_BYTES = 64 * 1024
"""How much of each stream is kept even when all answers together have no more room."""

MAX_ALL_KEPT_BYTES = 128 * 1024 * 1024
"""A quarter of an instance's 512 MiB; an answer occupies its part until its caller has read it."""

_encode = msgspec.json.Encoder().encode


def exit_json(end: Exit, started: float) -> EventObject:
    """How a command ended, as the members that all formats share."""
    members: EventObject = {
        "result": end.result.value,
        "exit_code": end.exit_code,
        "signal": end.signal,
        "reason": end.reason,
        "duration_ms": round((time.monotonic() - started) * 1000, 1),
    }
    if end.left_running:
        members["left_running"] = True
    return {**members, "virtual": True} if end.virtual else members


class AnswerRoom:
    """The room for kept output that all answers of an instance share.

    Args:
        size: Bytes that may be taken.
        held: Counts the bytes that are really kept; None: nobody asks.
    """

    def __init__(self, size: int = MAX_ALL_KEPT_BYTES, held: Held | None = None) -> None:
        self.held = held or Held()
        self._left = size

    def take(self, size: int) -> bool:
        """Takes ``size`` bytes of room; returns False when there is not so much."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Gives back ``size`` bytes of room that were taken."""
        self._left += size


class Kept:
    """What a non-streamed answer keeps of one stream: head, tail and true length. Close it after use.

    Args:
        limit: Most bytes that are kept.
        room: The room that all answers of this instance share. When it has no more, less is kept.
    """

    def __init__(self, limit: int = MAX_KEPT_BYTES, room: AnswerRoom | None = None) -> None:
        self._limit = limit
        self._room = room or AnswerRoom()
        self._count = HeldBuffer(self._room.held)
        self._size = min(limit, FREE_BYTES)
        self._taken = 0
        self._head = bytearray()
        self._tail = bytearray()
        self._at = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        """Takes the next bytes."""
        self.total += len(data)
        if not self._tail:
            self._grow()
            self._head += data
            if self.truncated:
                self._divide()
        else:
            self._go_round(data[-len(self._tail) :])
        self._count.resize(self.kept_bytes)

    def close(self) -> None:
        """Keeps nothing any more."""
        self._head, self._tail = bytearray(), bytearray()
        self._count.resize(0)
        self._room.give(self._taken)
        self._taken = 0

    @property
    def kept_bytes(self) -> int:
        """How many bytes are kept."""
        return len(self._head) + len(self._tail)

    @property
    def truncated(self) -> bool:
        """Whether bytes in the middle are left out."""
        return self.total > 2 * (self._size // 2)

    def counts(self, stream: Stream) -> EventObject:
        """The stream's members of the answer without its content: its length, and what is left out where."""
        members: EventObject = {f"{stream}_bytes": self.total}
        if self.truncated:
            head, *tail = self.content()
            omitted = self.total - len(head) - sum(len(part) for part in tail)
            members[f"{stream}_omitted"] = {"offset": len(head), "bytes": omitted}
        return members

    def content(self) -> list[memoryview]:
        """What is kept, in parts; if it is text, without the characters that the cut divided."""
        if not self.truncated:
            return [memoryview(self._head)]
        head = memoryview(self._head)
        head = head[: len(head) - incomplete_at_end(bytes(self._head[-4:]))]
        tail = memoryview(self._tail)
        parts = [tail[self._at :], tail[: self._at]]
        first = (bytes(parts[0][:4]) + bytes(parts[1][:4]))[:4]
        begun = next((at for at, byte in enumerate(first) if byte & 0xC0 != 0x80), 0)
        of_first = min(begun, len(parts[0]))
        return [head, parts[0][of_first:], parts[1][begun - of_first :]]

    def _grow(self) -> None:
        """Raises the bound when it would cut the stream, as long as there is room for more."""
        while self.truncated and self._size < self._limit:
            more = min(self._size, self._limit - self._size)
            if not self._room.take(more):
                self._limit = self._size
                return
            self._taken += more
            self._size += more

    def _divide(self) -> None:
        """Begins to leave out the middle: the head is full, and new bytes replace the oldest of the tail."""
        half = self._size // 2
        with memoryview(self._head) as whole:
            self._tail = bytearray(whole[-half:])
        del self._head[half:]

    def _go_round(self, data: bytes) -> None:
        while data:
            piece = data[: len(self._tail) - self._at]
            self._tail[self._at : self._at + len(piece)] = piece
            self._at = (self._at + len(piece)) % len(self._tail)
            data = data[len(piece) :]


class Whole:
    """The answer as one object to a command that has ended. Close it after use.

    Args:
        room: The room that all answers of this instance share; None: this one is alone.
    """

    def __init__(self, room: AnswerRoom | None = None) -> None:
        room = room or AnswerRoom()
        self._kept: dict[Stream, Kept] = {"stdout": Kept(room=room), "stderr": Kept(room=room)}
        self._ending: EventObject = {}

    async def collect(self, events: AsyncIterator[ExecEvent], started: float) -> None:
        """Runs a command to its end.

        It returns at the ``Exit``: the work that is left after that need not be waited for.

        Args:
            events: From the service.
            started: ``time.monotonic()`` when the request came, for the duration.
        """
        async for event in events:
            if isinstance(event, Output):
                self._kept[event.stream].add(event.data)
            elif isinstance(event, Exit):
                self._ending = exit_json(event, started)
                return

    @property
    def kept_bytes(self) -> int:
        """How many bytes of the command's output are kept."""
        return sum(kept.kept_bytes for kept in self._kept.values())

    def pieces(self) -> Iterator[bytes]:
        """The object as JSON, in pieces, so that what is kept is never copied as a whole."""
        members = dict(self._ending)
        for stream, kept in self._kept.items():
            members |= kept.counts(stream)
        members["truncated"] = any(kept.truncated for kept in self._kept.values())
        yield _encode(members)[:-1]
        for stream, kept in self._kept.items():
            yield b","
            yield from content_pieces(kept.content(), stream, f"{stream}_base64")
        yield b"}"

    def close(self) -> None:
        """Keeps nothing any more."""
        for kept in self._kept.values():
            kept.close()
