"""A folder on its way into the pod: the members of a tar, written anew as unpack.sh takes them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet

from shared.core.files.paths import MAX_PATH_BYTES, WorkspacePath
from shared.core.files.script_output import SHA256
from shared.core.files.tar_header import BLOCK_BYTES
from shared.core.files.tar_reader import Member, TarReader
from shared.core.files.upload import too_large
from shared.errors import InvalidRequest, TransferFailed
from shared.reasons import Reason

_RUN_BYTES = 2 * 1024 * 1024
"""Small files of one folder go together up to here: each run costs the pod some processes."""

_SMALL_BYTES = 256 * 1024
_END_BYTES = 2 * BLOCK_BYTES
_SMALL_BLOCK, _LARGE_BLOCK = 4096, 65536
_MAX_NAMES, _MAX_NAMES_BYTES = 1000, 64 * 1024
"""Names that one program is given at once; execve(2) has room for more."""

_NO_PLAN = b"!\n"

# Fields of a header, in their order; the last ends the block.
_MAX_NAME_BYTES = 100
_NOBODY = b"0000000\0" * 2
_LARGE = 8**11
_NO_TIME = b"00000000000\0"
_REST = bytes(100) + b"ustar  \0" + bytes(BLOCK_BYTES - 265)


@dataclasses.dataclass(frozen=True, slots=True)
class Unpacked:
    """A folder whose files are in their places.

    Attributes:
        files: How many have come.
        folders: How many are in it.
        size: Of all files, in bytes.
        sha256: Of the tar that was sent, in hexadecimal.
        created: There was no such folder before.
    """

    files: int
    folders: int
    size: int
    sha256: str
    created: bool


class _Names:
    """Files of one folder: their names, and the hash of their hashes."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._bytes = 0
        self._hashes = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hashes.hexdigest()

    def takes(self, name: str) -> bool:
        """A file "-" stands alone: to some programs it is another name of standard input."""
        alone = "-" in (name, *self.names[:1])
        return len(self.names) < _MAX_NAMES and self._bytes < _MAX_NAMES_BYTES and not alone

    def add(self, name: str, sha256: str) -> None:
        self.names.append(name)
        self._bytes += len(name.encode())
        self._hashes.update(f"{sha256}\n".encode())


@dataclasses.dataclass(frozen=True, slots=True)
class _Folder:
    """A folder, and its number in the pod until it is in its place."""

    path: str
    number: int
    batches: list[_Names] = dataclasses.field(default_factory=list)

    def add(self, name: str, sha256: str) -> None:
        if not self.batches or not self.batches[-1].takes(name):
            self.batches.append(_Names())
        self.batches[-1].add(name, sha256)

    def plan(self) -> Iterator[str]:
        """What is said of it: lines in pairs."""
        way = f"/{self.path}/" if self.path else "/"
        if not self.batches:
            yield f"{self.number} - {way}\n/\n"
        for batch in self.batches:
            yield f"{self.number} {batch.sha256} {way}\n{'/'.join(batch.names)}\n"


class FolderUpload:
    """The body of an upload that is a tar.

    Args:
        source: The bytes, in pieces.
        target: The folder that it is unpacked into.
        digests: Each a SHA-256 that they must have, in hexadecimal, or empty: nobody has said.

    Attributes:
        fault: What was wrong with it, once that is known.
    """

    def __init__(
        self, source: AsyncIterator[bytes], target: WorkspacePath, *, digests: AbstractSet[str]
    ) -> None:
        self._source = source
        self._digests = digests
        self._reader = TarReader(MAX_PATH_BYTES - len(str(target).encode()) - 1)
        self._hash = hashlib.sha256()
        self._folders: dict[str, _Folder] = {}
        self._seal = ""
        # The file that comes.
        self._file: tuple[_Folder, str] | None = None
        self._file_hash = hashlib.sha256()
        self._left = 0
        self._end = b""
        # Small files that are to go.
        self._run = bytearray()
        self._run_folder: _Folder | None = None
        self.fault: Exception | None = None

    async def script(self, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """The input of unpack.sh.

        Where something is wrong it ends without a plan, and nothing is moved; what it was is in
        ``fault`` then.

        Args:
            max_bytes: More content of all files together is refused.
        """
        try:
            async for data in self._source:
                for piece in self._take(data, max_bytes):
                    yield piece
            self._check()
            for piece in self._flush():
                yield piece
        except Exception as error:  # noqa: BLE001 - whatever it is, the pod must not take it for the end
            self.fault = error
            yield _NO_PLAN
            return
        folders = self._folders.values() or [_Folder("", 0)]
        plan = "".join(line for folder in folders for line in folder.plan()).encode()
        self._seal = hashlib.sha256(plan).hexdigest()
        yield f"plan {self._seal}\n".encode() + plan

    def result(self, words: Sequence[str]) -> Unpacked:
        """What unpack.sh said.

        Raises:
            TransferFailed: It makes no sense, or is of another tar.
        """
        match words:
            case ["unpacked", result, seal] if SHA256.fullmatch(seal) and seal == self._seal:
                reader = self._reader
                created = result == "created"
                return Unpacked(reader.files, reader.folders, reader.size, self._hash.hexdigest(), created)
        raise TransferFailed("the pod's answer cannot be read")

    def _take(self, data: bytes, max_bytes: int) -> Iterator[bytes]:
        self._hash.update(data)
        for event in self._reader.feed(data):
            if self._reader.size > max_bytes:
                raise too_large(max_bytes)
            yield from self._begin(event) if isinstance(event, Member) else self._add(event)

    def _check(self) -> None:
        self._reader.end()
        if not self._digests <= {"", self._hash.hexdigest()}:
            raise InvalidRequest(
                "the body is not what its digest says; nothing was stored", reason=Reason.DIGEST_MISMATCH
            )

    def _begin(self, member: Member) -> Iterator[bytes]:
        """Takes a member: sends its header, or keeps it with those that go together."""
        way, _, name = member.path.rpartition("/")
        if member.folder:
            self._folder(member.path)
            return
        folder = self._folder(way)
        self._file, self._file_hash, self._left = (folder, name), hashlib.sha256(), member.size
        header = _header(name, member.size, member.executable)
        padding = bytes(-member.size % BLOCK_BYTES)
        if member.size > _SMALL_BYTES:
            yield from self._flush()
            self._end, begin = _enclosed(folder, len(header) + member.size, padding)
            yield begin + header
        else:
            if self._run_folder is not folder or len(self._run) >= _RUN_BYTES:
                yield from self._flush()
            self._run_folder = folder
            self._run += header
            self._end = padding
        if not member.size:
            self._finish()

    def _add(self, content: memoryview) -> Iterator[bytes]:
        """Takes a part of the file that comes."""
        self._file_hash.update(content)
        self._left -= len(content)
        if self._run_folder is None:
            yield bytes(content)
            if not self._left:
                yield self._end
        else:
            self._run += content
            if not self._left:
                self._run += self._end
        if not self._left:
            self._finish()

    def _finish(self) -> None:
        assert self._file is not None
        folder, name = self._file
        folder.add(name, self._file_hash.hexdigest())

    def _flush(self) -> Iterator[bytes]:
        """Sends the small files that are to go."""
        if self._run_folder is not None:
            end, begin = _enclosed(self._run_folder, len(self._run), b"")
            yield begin
            yield bytes(self._run)
            yield end
            self._run, self._run_folder = bytearray(), None

    def _folder(self, path: str) -> _Folder:
        if path not in self._folders:
            self._folders[path] = _Folder(path, len(self._folders))
        return self._folders[path]


def _enclosed(folder: _Folder, size: int, padding: bytes) -> tuple[bytes, bytes]:
    """What stands behind and before a tar of ``size`` bytes: where it goes to, and its length in blocks."""
    size += len(padding) + _END_BYTES
    block = _LARGE_BLOCK if size >= _RUN_BYTES else _SMALL_BLOCK
    count = -(-size // block)
    begin = f"run {folder.number} {block} {count}\n".encode()
    return padding + bytes(_END_BYTES + count * block - size), begin


def _header(name: str, size: int, executable: bool) -> bytes:
    """A header as POSIX has it, behind the name as GNU tar has it where that is too long."""
    raw, long_name = name.encode(), b""
    if len(raw) > _MAX_NAME_BYTES:
        content = raw + b"\0"
        long_name = _block(b"././@LongLink", len(content), b"0000644", b"L")
        long_name += content + bytes(-len(content) % BLOCK_BYTES)
    return long_name + _block(raw[:_MAX_NAME_BYTES], size, b"0000777" if executable else b"0000666", b"0")


def _block(name: bytes, size: int, mode: bytes, kind: bytes) -> bytes:
    size_field = b"%011o\0" % size if size < _LARGE else b"\x80" + size.to_bytes(11, "big")
    before = name.ljust(_MAX_NAME_BYTES, b"\0") + mode + b"\0" + _NOBODY + size_field + _NO_TIME
    behind = kind + _REST
    checksum = sum(before) + sum(behind) + 8 * ord(" ")
    return before + b"%06o\0 " % checksum + behind
