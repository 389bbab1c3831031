"""A file on its way into the pod: counted, hashed, and sealed with its hash at the end."""

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
"""From here on it saves more time than it takes to hash in the pod while the rest still comes."""

_SHORT_BYTES = 64 * 1024
"""Up to here it is read before the pod is told anything, and its hash with it: that saves three
of the processes that put.sh starts, which is most of what a small file costs."""

_SIZE = re.compile("[0-9]{1,18}")

NO_HASH = b"!"
"""No data whatever that ends so ends with a hash."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Which part of a resumable upload a body is.

    Attributes:
        upload: The caller's name of the upload; pieces of different uploads never mix.
        first: Where the body begins in the file; None only asks how much is there.
        total: Size of the whole file, in bytes.
        whole: SHA-256 that the whole must have, in hexadecimal, if the caller says.
    """

    upload: str
    first: int | None
    total: int
    whole: str = ""

    def arguments(self, path: WorkspacePath) -> list[str]:
        """What put.sh wants to know of it. An upload is one of the file, the caller's name and the size."""
        upload = hashlib.sha256(f"{path}/{self.upload}/{self.total}".encode()).hexdigest()[:32]
        return [upload, "*" if self.first is None else str(self.first), str(self.total), self.whole]


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in its place.

    Attributes:
        size: In bytes.
        sha256: What the pod read back, in hexadecimal.
        created: There was nothing at its path before.
    """

    size: int
    sha256: str
    created: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """A resumable upload that is not whole: ``size`` bytes from the beginning are safe."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a caller sends.

    Attributes:
        source: The bytes, in pieces.
        length: How many there must be; None: nobody has said.
        digests: Each a SHA-256 that they must have, in hexadecimal, or empty: nobody has said.
    """

    source: AsyncIterator[bytes]
    length: int | None = None
    digests: AbstractSet[str] = frozenset()

    def check_digest(self, sha256: str) -> None:
        """Compares the hash of all bytes with what was announced.

        Raises:
            InvalidRequest: It is another one.
        """
        if not self.digests <= {"", sha256}:
            raise InvalidRequest(
                "the body is not what its digest says; nothing was stored", reason=Reason.DIGEST_MISMATCH
            )


class Upload:
    """A file on its way into the pod.

    Args:
        body: The file, or a piece of it.
        max_bytes: More than so many are refused.
    """

    def __init__(self, body: Body, max_bytes: int) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._size = 0
        self._hash = hashlib.sha256()
        self._short: bytes | None = None
        self._whole = False

    def accepts(self, stored: Stored) -> bool:
        """Whether what is stored is this body, all of it: what the pod says is compared here too."""
        return self._whole and (stored.size, stored.sha256) == (self._size, self._hash.hexdigest())

    async def begin(self) -> list[str]:
        """Reads it, if it is short.

        Returns:
            What put.sh wants to know of it: its length, if that is worth knowing, and its hash, if
            it is short.

        Raises:
            InvalidRequest: It is short, and not what was announced.
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
        """The bytes, and behind them the 64 characters of their SHA-256: no end without them is one.

        Short ones come alone; their hash is known.

        Raises:
            GamguiError: They are too many, or not what was announced.
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
    """What a file of more than ``max_bytes`` is refused with."""
    return PayloadTooLarge(
        f"the file is larger than {max_bytes} bytes", reason=Reason.FILE_TOO_LARGE, max_bytes=max_bytes
    )


def read_result(words: Sequence[str]) -> Stored | Progress:
    """What put.sh said.

    Raises:
        TransferFailed: It makes no sense.
    """
    match words:
        case ["have", size] if _SIZE.fullmatch(size):
            return Progress(int(size))
        case ["stored", size, sha256, result] if _SIZE.fullmatch(size) and SHA256.fullmatch(sha256):
            return Stored(int(size), sha256, result == "created")
    raise TransferFailed("the pod's answer cannot be read")
