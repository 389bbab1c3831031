"""A file on its way into the pod: its bytes are counted, hashed, and followed by their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from collections.abc import Set as AbstractSet

from shared.core.files.paths import WorkspacePath
from shared.core.files.script_output import SHA256
from shared.errors import InvalidRequest, PayloadTooLarge, TransferFailed
from shared.reasons import Reason

_LONG_BYTES = 32 * 1024 * 1024
"""From this length on, hashing in the pod while the rest still comes saves more time than it takes."""

_SHORT_BYTES = 64 * 1024
"""Up to this length, the file is read before the pod is told anything, and the pod is told the hash too. That
saves three of the processes that put.sh starts, which are most of what a small file costs."""

_SIZE = re.compile("[0-9]{1,18}")

NO_HASH = b"!"
"""Bytes that are no digit of a hash: data with this end never looks like data with a hash at its end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Which part of a resumable upload a body is.

    Attributes:
        upload: The caller's name of the upload; pieces of different uploads never mix.
        first: Offset of the body in the file; None only asks how much is there.
        total: Size of the whole file, in bytes.
        whole: SHA-256 that the whole file must have, in hexadecimal, if the caller says.
    """

    upload: str
    first: int | None
    total: int
    whole: str = ""

    def arguments(self, path: WorkspacePath) -> list[str]:
        """The arguments of put.sh for this piece. Path, caller's name and size identify an upload."""
        upload = hashlib.sha256(f"{path}/{self.upload}/{self.total}".encode()).hexdigest()[:32]
        return [upload, "*" if self.first is None else str(self.first), str(self.total), self.whole]


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in its place.

    Attributes:
        size: In bytes.
        sha256: SHA-256 of the bytes that the pod read back, in hexadecimal.
        created: Whether there was nothing at its path before.
    """

    size: int
    sha256: str
    created: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """A resumable upload that is not whole: its first ``size`` bytes are stored."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a caller's request.

    Attributes:
        source: The bytes, in pieces.
        length: How many bytes there must be; None: the caller has not said.
        digests: SHA-256 that the bytes must have, in hexadecimal; an empty one: the caller has not said.
    """

    source: AsyncIterator[bytes]
    length: int | None = None
    digests: AbstractSet[str] = frozenset()

    def check_digest(self, sha256: str) -> None:
        """Compares the hash of all bytes with the announced hashes.

        Raises:
            InvalidRequest: The hash is another one.
        """
        if not self.digests <= {"", sha256}:
            raise InvalidRequest(
                "the body is not what its digest says; nothing was stored", reason=Reason.DIGEST_MISMATCH
            )


class Upload:
    """A file on its way into the pod.

    Args:
        body: The file, or a piece of it.
        max_bytes: Size in bytes of the largest body.
    """

    def __init__(self, body: Body, max_bytes: int) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._size = 0
        self._hash = hashlib.sha256()
        self._short: bytes | None = None
        self._whole = False

    def accepts(self, stored: Stored) -> bool:
        """Whether the pod has stored all of this body, by its size and hash."""
        return self._whole and (stored.size, stored.sha256) == (self._size, self._hash.hexdigest())

    async def begin(self) -> list[str]:
        """Reads the body if it is short.

        Returns:
            Arguments of put.sh: the length, if it is known and matters, and the hash, if the body is short.

        Raises:
            InvalidRequest: The body is short, and not what was announced.
        """
        length = self._body.length
        if length is None or _SHORT_BYTES < length < _LONG_BYTES:
            return ["", ""]
        if length >= _LONG_BYTES:
            return [str(length), ""]
        pieces = []
        async for data in self._body.source:
            self._add(data)
            pieces.append(data)
            if self._size > length:
                break
        self._check()
        self._short = b"".join(pieces)
        return [str(self._size), self._hash.hexdigest()]

    async def sealed(self) -> AsyncGenerator[bytes, None]:
        """The bytes, followed by the 64 characters of their SHA-256, without which no input is complete.

        The bytes of a short body come alone, because the script already has their hash.

        Raises:
            GamguiError: There are too many bytes, or they are not what was announced.
        """
        if self._short is not None:
            if self._short:
                yield self._short
            return
        async for data in self._body.source:
            self._add(data)
            yield data
        self._check()
        yield self._hash.hexdigest().encode()

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._hash.update(data)

    def _check(self) -> None:
        length = self._body.length
        if length is not None and self._size != length:
            raise InvalidRequest(
                f"the body has {self._size} bytes, not {length} as announced",
                reason=Reason.INVALID_FIELD,
                field="Content-Range",
            )
        self._body.check_digest(self._hash.hexdigest())
        self._whole = True


def too_large(max_bytes: int) -> PayloadTooLarge:
    """The error with which a file of more than ``max_bytes`` is refused."""
    return PayloadTooLarge(
        f"the file is larger than {max_bytes} bytes", reason=Reason.FILE_TOO_LARGE, max_bytes=max_bytes
    )


def read_result(words: Sequence[str]) -> Stored | Progress:
    """Reads the line that put.sh printed.

    Raises:
        TransferFailed: The line makes no sense.
    """
    match words:
        case ["have", size] if _SIZE.fullmatch(size):
            return Progress(int(size))
        case ["stored", size, sha256, result] if _SIZE.fullmatch(size) and SHA256.fullmatch(sha256):
            return Stored(int(size), sha256, result == "created")
    raise TransferFailed("the pod's answer cannot be read")
