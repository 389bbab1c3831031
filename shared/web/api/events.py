"""A command's events on their way to the caller: NDJSON, server-sent events, or one JSON object."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec

from shared.core.commands import ExecEvent, Exit, Heartbeat, Output, Started, Stream
from shared.core.held import HeldBuffer
from shared.errors import NotAcceptable
from shared.web.api.answer_room import AnswerRoom
from shared.web.http.encoding import TextSplitter, as_json, incomplete_at_end
from shared.web.http.json_pieces import content_pieces

EventObject: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["application/json", "application/x-ndjson", "text/event-stream"]

MAX_KEPT_BYTES = 10 * 1024 * 1024
"""Most that a non-streamed answer keeps of each stream: the first and the last half of it."""

FREE_BYTES = 64 * 1024
"""So much of each stream is kept even where all answers together have no more room."""

STREAMED: tuple[Format, ...] = ("application/x-ndjson", "text/event-stream")
FORMATS: tuple[Format, ...] = ("application/json", *STREAMED)
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_encode = msgspec.json.Encoder().encode


def negotiate(accept: str, formats: Sequence[Format] = FORMATS) -> Format:
    """The format that the caller prefers among ours; the first one when it does not say.

    Args:
        accept: The Accept header (RFC 9110, 12.5.1).
        formats: What there is.

    Raises:
        NotAcceptable: It takes none of ours.
    """
    qualities: dict[str, float] = {}
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        quality = float(weights[0]) if weights and _WEIGHT.fullmatch(weights[0]) else float(not weights)
        qualities[media_type] = max(quality, qualities.get(media_type, 0.0))
    asked = list(qualities)
    ranked: list[tuple[float, int, int, Format]] = []
    for offered in formats:
        # The most specific range that covers a format decides on it, whatever the others say.
        ranges = (offered, offered.partition("/")[0] + "/*", "*/*")
        for wideness, covering in enumerate(ranges):
            if covering in qualities:
                # Of formats as welcome as each other: the one named, then the one named first.
                ranked.append((-qualities[covering], wideness, asked.index(covering), offered))
                break
    quality, _, _, chosen = min(ranked, default=(0.0, 0, 0, formats[0]), key=lambda rank: rank[:3])
    if quality == 0:
        raise NotAcceptable(f"this endpoint answers {', '.join(formats)}")
    return chosen


async def as_objects(events: AsyncIterator[ExecEvent], started: float) -> AsyncGenerator[EventObject, None]:
    """Turns events into the objects that callers see. The last one is ``exit``.

    Args:
        events: From the service.
        started: ``time.monotonic()`` when the request came, for the duration.
    """
    splitters: dict[Stream, TextSplitter] = {"stdout": TextSplitter(), "stderr": TextSplitter()}
    async for event in events:
        if isinstance(event, Output):
            piece = splitters[event.stream].feed(event.data)
            if piece is not None:
                yield _output(event.stream, *piece)
        elif isinstance(event, Started):
            yield {"type": "started", "pid": event.pid, "time": _now()}
        elif isinstance(event, Heartbeat):
            yield {"type": "heartbeat", "time": _now()}
        else:
            for stream, splitter in splitters.items():
                rest = splitter.end()
                if rest is not None:
                    yield _output(stream, *rest)
            yield {"type": "exit", **exit_json(event, started), "time": _now()}


def exit_json(end: Exit, started: float) -> EventObject:
    """How a command ended, as the members that all formats share."""
    members: EventObject = {
        "result": end.result.value,
        "exit_code": end.exit_code,
        "signal": end.signal,
        "reason": end.reason,
        "duration_ms": round((time.monotonic() - started) * 1000, 1),
    }
    return {**members, "virtual": True} if end.virtual else members


def ndjson(event: EventObject) -> bytes:
    """One event as a line."""
    return _encode(event) + b"\n"


def server_sent(event: EventObject) -> bytes:
    """One event as https://html.spec.whatwg.org/multipage/server-sent-events.html has it."""
    cursor = b"id: %b\n" % event["cursor"].encode() if "cursor" in event else b""
    return b"event: %b\n%bdata: %b\n\n" % (str(event["type"]).encode(), cursor, _encode(event))


class Kept:
    """What a non-streamed answer keeps of one stream: head and tail, and the true count. Close it.

    Args:
        limit: Most bytes that are kept.
        room: What all answers of this instance share. Where it has no more, less is kept.
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
        """How much is kept."""
        return len(self._head) + len(self._tail)

    @property
    def truncated(self) -> bool:
        """Whether bytes in the middle are left out."""
        return self.total > 2 * (self._size // 2)

    def counts(self, stream: Stream) -> EventObject:
        """The stream's members of the answer beside its content: counts, and what is left out where."""
        members: EventObject = {f"{stream}_bytes": self.total}
        if self.truncated:
            head, *tail = self.content()
            omitted = self.total - len(head) - sum(len(part) for part in tail)
            members[f"{stream}_omitted"] = {"offset": len(head), "bytes": omitted}
        return members

    def content(self) -> list[memoryview]:
        """What is kept, in parts, without the characters that the cut divided, if they are text at all."""
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
        """Raises the bound as long as all is kept, and there is room for more."""
        while self.truncated and self._size < self._limit:
            more = min(self._size, self._limit - self._size)
            if not self._room.take(more):
                self._limit = self._size
                return
            self._taken += more
            self._size += more

    def _divide(self) -> None:
        """From now on something is left out: the head is full, and the tail is written over and over."""
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
    """The answer in one object, of a command that has ended. Close it.

    Args:
        room: What all answers of this instance share.
    """

    def __init__(self, room: AnswerRoom | None = None) -> None:
        room = room or AnswerRoom()
        self._kept: dict[Stream, Kept] = {"stdout": Kept(room=room), "stderr": Kept(room=room)}
        self._ending: EventObject = {}

    async def collect(self, events: AsyncIterator[ExecEvent], started: float) -> None:
        """Runs a command to its end.

        Nothing is taken behind the ``Exit``: what is left to do then need not be waited for.

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
        """How much is kept of what the command said."""
        return sum(kept.kept_bytes for kept in self._kept.values())

    def pieces(self) -> Iterator[bytes]:
        """The object, as JSON, in pieces that are no copy of all that is kept."""
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


def _output(stream: Stream, offset: int, content: str | bytes) -> EventObject:
    return {"type": stream, "offset": offset, **as_json(content), "time": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
