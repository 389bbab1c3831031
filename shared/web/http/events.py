"""Events on the wire: lines of JSON or server-sent events, and which of the two a caller prefers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from shared.errors import NotAcceptable

EventObject: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["application/json", "application/x-ndjson", "text/event-stream"]

STREAMED: tuple[Format, ...] = ("application/x-ndjson", "text/event-stream")
FORMATS: tuple[Format, ...] = ("application/json", *STREAMED)
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_encode = msgspec.json.Encoder().encode


def negotiate(accept: str, formats: Sequence[Format] = FORMATS) -> Format:
    """The format that the caller prefers among ours; the first one when it does not say.

    Args:
        accept: The Accept header (RFC 9110, 12.5.1).
        formats: The formats on offer.

    Raises:
        NotAcceptable: The caller takes none of them.
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
                # Among equally welcome formats a named one wins over a wildcard, then the one named first.
                ranked.append((-qualities[covering], wideness, asked.index(covering), offered))
                break
    quality, _, _, chosen = min(ranked, default=(0.0, 0, 0, formats[0]), key=lambda rank: rank[:3])
    if quality == 0:
        raise NotAcceptable(f"this endpoint answers {', '.join(formats)}")
    return chosen


def ndjson(event: EventObject) -> bytes:
    """One event as a line."""
    return _encode(event) + b"\n"


def server_sent(event: EventObject) -> bytes:
    """One server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    cursor = b"id: %b\n" % event["cursor"].encode() if "cursor" in event else b""
    return b"event: %b\n%bdata: %b\n\n" % (str(event["type"]).encode(), cursor, _encode(event))
