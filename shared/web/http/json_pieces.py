"""A long member of a JSON object, encoded in pieces so that its encoding is never in memory as a whole."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterator, Sequence

import msgspec

_PIECE_BYTES = 48 * 1024
"""A multiple of three, so that the base64 of pieces is that of the whole."""

_encode = msgspec.json.Encoder().encode


def content_pieces(content: Sequence[memoryview], name: str, binary: str) -> Iterator[bytes]:
    """A stream as a member: ``"name":"text"``, or ``"binary":"base64"`` when it is not UTF-8.

    Args:
        content: The stream, in parts.
        name: Name of the member if it is text.
        binary: Name of the member if it is base64.
    """
    text = _is_text(content)
    yield _encode(name if text else binary) + b':"'
    yield from _text(content) if text else _base64(content)
    yield b'"'


def _pieces(content: Sequence[memoryview]) -> Iterator[memoryview]:
    for part in content:
        for at in range(0, len(part), _PIECE_BYTES):
            yield part[at : at + _PIECE_BYTES]


def _is_text(content: Sequence[memoryview]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in _pieces(content):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _text(content: Sequence[memoryview]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in _pieces(content):
        yield _encode(decoder.decode(piece))[1:-1]


def _base64(content: Sequence[memoryview]) -> Iterator[bytes]:
    rest = b""
    for piece in _pieces(content):
        data = rest + piece
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(rest)
