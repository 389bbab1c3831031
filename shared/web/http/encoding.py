"""Encodes bytes of a stream and times for JSON: UTF-8 as text, other bytes as base64."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TypeAlias

Piece: TypeAlias = tuple[int, str | bytes]
"""Offset in the stream, in bytes, and text, or bytes that are no text."""

_LONGEST_CHARACTER = 4


class TextSplitter:
    """Splits one stream into pieces. No character is divided between two pieces.

    An incomplete character at the end of what has come is kept until the rest comes.

    Args:
        offset: Offset in the stream, in bytes, at which the data begins.

    Attributes:
        offset: Offset at which the next piece begins.
    """

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self._kept = b""

    @property
    def keeps(self) -> bool:
        """Whether the beginning of a character is kept."""
        return bool(self._kept)

    def skip(self, size: int) -> None:
        """Says that the next ``size`` bytes of the stream are missing. Call ``end`` before it."""
        self.offset += size

    def feed(self, data: bytes) -> Piece | None:
        """Takes the next bytes of the stream.

        Returns:
            The next piece; None when there is only the beginning of a character.
        """
        data = self._kept + data if self._kept else data
        begun = incomplete_at_end(data)
        data, self._kept = data[: len(data) - begun], data[len(data) - begun :]
        if not data:
            return None
        try:
            return self._piece(data, data.decode())
        except UnicodeDecodeError:
            return self._piece(data, data)

    def end(self) -> Piece | None:
        """What is left when the stream has ended: a character that never became whole."""
        kept, self._kept = self._kept, b""
        return self._piece(kept, kept) if kept else None

    def _piece(self, data: bytes, content: str | bytes) -> Piece:
        offset = self.offset
        self.offset += len(data)
        return offset, content


def incomplete_at_end(data: bytes) -> int:
    """How many of the last bytes begin a character that more bytes may make whole."""
    for length in range(1, min(_LONGEST_CHARACTER, len(data) + 1)):
        if data[-length] & 0xC0 == 0x80:
            continue  # inside a character: its first byte comes earlier
        try:
            data[-length:].decode()
        except UnicodeDecodeError as error:
            return length if error.reason == "unexpected end of data" and error.start == 0 else 0
        return 0
    return 0


def as_json(content: str | bytes, name: str = "text", binary: str = "base64") -> dict[str, str]:
    """A piece's content as a member of a JSON object: under ``name``, or ``binary`` when it is no text."""
    if isinstance(content, str):
        return {name: content}
    return {binary: base64.b64encode(content).decode()}


def rfc3339(at: datetime | None) -> str | None:
    """A time as https://www.rfc-editor.org/rfc/rfc3339 has it, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
