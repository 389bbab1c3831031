"""A command's events on their way to the caller: NDJSON, server-sent events, or one JSON object."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec

from shared.errors import NotAcceptable
from shared.sessions.execution import ExecEvent, Exit, Heartbeat, Output, Started, Stream
from shared.web.text import TextSplitter, as_json

EventObject: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["application/json", "application/x-ndjson", "text/event-stream"]

MAX_KEPT_BYTES = 10 * 1024 * 1024
"""Most that a non-streamed answer keeps of each stream: the first and the last half of it."""

_FORMATS: tuple[Format, ...] = ("application/json", "application/x-ndjson", "text/event-stream")
_encode = msgspec.json.Encoder().encode


def negotiate(accept: str) -> Format:
    """The format that the caller prefers among ours; JSON when it does not say.

    Args:
        accept: The Accept header (RFC 9110, 12.5.1).

    Raises:
        NotAcceptable: It takes none of ours.
    """
    ranked: list[tuple[float, Format]] = []
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            quality = float(weights[0]) if weights else 1.0
        except ValueError:
            quality = 0.0
        for offered in _FORMATS:
            if media_type in (offered, "*/*", offered.partition("/")[0] + "/*") and quality > 0:
                ranked.append((quality, offered))
                break
    if not ranked:
        raise NotAcceptable(f"this endpoint answers {', '.join(_FORMATS)}")
    return max(ranked, key=lambda entry: entry[0])[1]


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
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _encode(event))


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
    def omitted(self) -> int:
        """How many bytes in the middle are left out."""
        return max(0, self.total - len(self._head) - self._half) if self._tail else 0

    def members(self, stream: Stream) -> EventObject:
        """The stream's members of the answer: text or base64, and counts."""
        omitted = self.omitted
        tail = bytes(self._tail[-self._half :])
        members: EventObject = {f"{stream}_bytes": self.total}
        if omitted:
            members[f"{stream}_omitted"] = {"offset": len(self._head), "bytes": omitted}
        data = bytes(self._head) + tail
        try:
            # What was cut in the middle of a character is no reason to send all as base64.
            content: str | bytes = data.decode(errors="replace" if omitted else "strict")
        except UnicodeDecodeError:
            content = data
        return {**members, **as_json(content, stream, f"{stream}_base64")}


async def collect(events: AsyncIterator[ExecEvent], started: float) -> EventObject:
    """Runs a command to its end and answers in one object."""
    kept: dict[Stream, Kept] = {"stdout": Kept(), "stderr": Kept()}
    members: EventObject = {}
    async for event in events:
        if isinstance(event, Output):
            kept[event.stream].add(event.data)
        elif isinstance(event, Exit):
            members = exit_json(event, started)
    for stream, output in kept.items():
        members |= output.members(stream)
    return {**members, "truncated": any(output.omitted for output in kept.values())}


def _output(stream: Stream, offset: int, content: str | bytes) -> EventObject:
    return {"type": stream, "offset": offset, **as_json(content), "time": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
