"""A command's events on their way to the caller: NDJSON, server-sent events, or one JSON object."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec

from shared.errors import NotAcceptable
from shared.sessions.execution import ExecEvent, Exit, Heartbeat, Output, Started, Stream
from shared.web.text import TextSplitter, as_json, incomplete_at_end

EventObject: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["application/json", "application/x-ndjson", "text/event-stream"]

MAX_KEPT_BYTES = 10 * 1024 * 1024
"""Most that a non-streamed answer keeps of each stream: the first and the last half of it."""

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
    """What a non-streamed answer keeps of one stream: head and tail, and the true count."""

    def __init__(self, limit: int = MAX_KEPT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Takes the next bytes."""
        self.total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    @property
    def truncated(self) -> bool:
        """Whether bytes in the middle are left out."""
        return self.total > 2 * self._half

    def members(self, stream: Stream) -> EventObject:
        """The stream's members of the answer: text or base64, counts, and what is left out where."""
        head, tail = bytes(self._head), bytes(self._tail)
        if self.truncated:
            head, tail = self._cut(head, tail[-self._half :])
        try:
            content: str | bytes = (head + tail).decode()
        except UnicodeDecodeError:
            content = head + tail
        members: EventObject = {f"{stream}_bytes": self.total}
        if self.truncated:
            omitted = self.total - len(head) - len(tail)
            members[f"{stream}_omitted"] = {"offset": len(head), "bytes": omitted}
        return {**members, **as_json(content, stream, f"{stream}_base64")}

    def _cut(self, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
        """Head and tail without the characters that the cut divided, if they are text at all."""
        head = head[: len(head) - incomplete_at_end(head)]
        begun = next((at for at, byte in enumerate(tail[:4]) if byte & 0xC0 != 0x80), 0)
        return head, tail[begun:]


async def collect(events: AsyncIterator[ExecEvent], started: float) -> EventObject:
    """Runs a command to its end and answers in one object.

    Nothing is taken behind the ``Exit``: what is left to do then need not be waited for.
    """
    kept: dict[Stream, Kept] = {"stdout": Kept(), "stderr": Kept()}
    members: EventObject = {}
    async for event in events:
        if isinstance(event, Output):
            kept[event.stream].add(event.data)
        elif isinstance(event, Exit):
            members = exit_json(event, started)
            break
    for stream, output in kept.items():
        members |= output.members(stream)
    return {**members, "truncated": any(output.truncated for output in kept.values())}


def _output(stream: Stream, offset: int, content: str | bytes) -> EventObject:
    return {"type": stream, "offset": offset, **as_json(content), "time": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
