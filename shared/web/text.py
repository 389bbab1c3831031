"""Bytes of a stream as JSON can carry them: text where they are UTF-8, base64 where not."""

from __future__ import annotations

import base64
from typing import TypeAlias

Piece: TypeAlias = tuple[int, str | bytes]
"""Offset in the stream, and text or bytes that are no text."""

_LONGEST_CHARACTER = 4


class TextSplitter:
    """Splits one stream into pieces. A character never stands in two of them.

    An incomplete character at the end of what has come is kept until the rest comes.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._offset = 0

    def feed(self, data: bytes) -> Piece | None:
        """Takes the next bytes of the stream.

        Returns:
            The next piece; None when all there is is the beginning of a character.
        """
        data = self._kept + data if self._kept else data
        self._kept = b""
        try:
            return self._piece(data, data.decode())
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and len(data) - error.start < _LONGEST_CHARACTER:
                self._kept = data[error.start :]
                whole = data[: error.start]
                return self._piece(whole, whole.decode()) if whole else None
            return self._piece(data, data)

    def end(self) -> Piece | None:
        """What is left when the stream has ended: a character that never became whole."""
        kept, self._kept = self._kept, b""
        return self._piece(kept, kept) if kept else None

    def _piece(self, data: bytes, content: str | bytes) -> Piece:
        offset = self._offset
        self._offset += len(data)
        return offset, content


def as_json(content: str | bytes, name: str = "text", binary: str = "base64") -> dict[str, str]:
    """A piece's content as a member of a JSON object: under ``name``, or ``binary`` when it is no text."""
    if isinstance(content, str):
        return {name: content}
    return {binary: base64.b64encode(content).decode()}
