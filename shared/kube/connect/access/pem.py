"""Reads PEM as kubectl does: block by block, whatever stands between the blocks.

The rules are those of Go's ``encoding/pem`` and ``crypto/tls``: a block begins and ends at the beginning of
a line, its lines may end in blanks, and what is no whole block is passed over. Bundles have comments in any
encoding, line ends of Windows, keys beside certificates; OpenSSL's own reader refuses many of them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Iterator

_BEGIN = b"-----BEGIN "
_END = b"-----END "
_DASHES = b"-----"

CERTIFICATE = b"CERTIFICATE"
_KEY = b"PRIVATE KEY"


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        label: What it holds, e.g. ``CERTIFICATE``.
        headers: Its lines before the data, e.g. ``Proc-Type: 4,ENCRYPTED``.
        data: What is in it, decoded (DER).
    """

    label: bytes
    headers: tuple[bytes, ...]
    data: bytes = dataclasses.field(repr=False)

    @property
    def text(self) -> bytes:
        """The block as every reader understands it. Only an encrypted key needs its headers."""
        encrypted = any(b"ENCRYPTED" in header for header in self.headers)
        head = b"".join(header + b"\n" for header in self.headers) + b"\n" if encrypted else b""
        encoded = base64.b64encode(self.data)
        body = b"".join(encoded[at : at + 64] + b"\n" for at in range(0, len(encoded), 64))
        return b"%s%s%s\n%s%s%s%s%s\n" % (_BEGIN, self.label, _DASHES, head, body, _END, self.label, _DASHES)


def decode_base64(text: str) -> bytes:
    """What the base64 stands for; line breaks within it do not count, as in Go.

    Raises:
        ValueError: It is not base64.
    """
    return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)


def blocks(content: bytes) -> Iterator[Block]:
    """The whole blocks of ``content``, in their order. The time taken is linear in its length."""
    label: bytes | None = None
    headers: list[bytes] = []
    lines: list[bytes] = []
    for line in content.split(b"\n"):
        said = line.removesuffix(b"\r").rstrip(b" \t")
        if line.startswith(_BEGIN):
            # A block that has not ended by now never does: its data would have this line in it.
            label = said[len(_BEGIN) : -len(_DASHES)] if said.endswith(_DASHES) else None
            headers, lines = [], []
        elif label is None:
            continue
        elif line.startswith(_END):
            if said == _END + label + _DASHES and (data := _decoded(lines)) is not None:
                yield Block(label, tuple(headers), data)
            label = None
        elif not lines and b":" in said:
            headers.append(said)
        else:
            lines.append(said)


def certificates(content: bytes) -> Iterator[bytes]:
    """The certificates of a bundle of authorities, DER. A block with headers is none."""
    for block in blocks(content):
        if block.label == CERTIFICATE and not block.headers:
            yield block.data


def chain(content: bytes) -> list[Block]:
    """A client's certificates; the first is its own. Here headers do not matter."""
    return [block for block in blocks(content) if block.label == CERTIFICATE]


def private_key(content: bytes) -> Block | None:
    """The first private key, whatever stands before it, e.g. its parameters; None if there is none."""
    for block in blocks(content):
        if block.label == _KEY or block.label.endswith(b" " + _KEY):
            return block
    return None


def _decoded(lines: list[bytes]) -> bytes | None:
    text = b"".join(lines).translate(None, b" \t\r")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
