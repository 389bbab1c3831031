"""A folder on its way into the pod: rewrites the members of a tar to the form that unpack.sh reads."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncGenerator, Iterator, Sequence

from shared.core.files.paths import MAX_PATH_BYTES, WorkspacePath
from shared.core.files.script_output import SHA256
from shared.core.files.tar_header import BLOCK_BYTES
from shared.core.files.tar_reader import Member, TarReader
from shared.core.files.upload import Body, too_large
from shared.errors import TransferFailed

_RUN_BYTES = 2 * 1024 * 1024
"""Most bytes of a run of small files of one folder: each run costs the pod some processes."""

_SMALL_BYTES = 256 * 1024
_END_BYTES = 2 * BLOCK_BYTES
_SMALL_BLOCK, _LARGE_BLOCK = 4096, 65536
_MAX_NAMES, _MAX_NAMES_BYTES = 1000, 64 * 1024
"""Most names, and bytes of names, that one program is given at once; execve(2) has room for more."""

NO_PLAN = b"!\n"
"""Input that is no plan, so that unpack.sh moves nothing."""

# Fields of a header, in their order; _REST is the end of the block.
_MAX_NAME_BYTES = 100
_NOBODY = b"0000000\0" * 2
_LARGE = 8**11
_NO_TIME = b"00000000000\0"
_REST = bytes(100) + b"ustar  \0" + bytes(BLOCK_BYTES - 265)


@dataclasses.dataclass(frozen=True, slots=True)
class Unpacked:
    """A folder whose files are in their places.

    Attributes:
        files: Number of files in the tar.
        folders: Number of folders in it.
        size: Size of all files, in bytes.
        sha256: SHA-256 of the tar that was sent, in hexadecimal.
        created: Whether the folder is new.
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
        """Whether the file may be added. A file "-" must be alone: to some programs it is standard input."""
        alone = "-" in (name, *self.names[:1])
        return len(self.names) < _MAX_NAMES and self._bytes < _MAX_NAMES_BYTES and not alone

    def add(self, name: str, sha256: str) -> None:
        self.names.append(name)
        self._bytes += len(name.encode())
        self._hashes.update(f"{sha256}\n".encode())


@dataclasses.dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of the tar, and the number under which the pod keeps its files until they are moved."""

    path: str
    number: int
    batches: list[_Names] = dataclasses.field(default_factory=list)

    def add(self, name: str, sha256: str) -> None:
        if not self.batches or not self.batches[-1].takes(name):
            self.batches.append(_Names())
        self.batches[-1].add(name, sha256)

    def plan(self) -> Iterator[str]:
        """The lines of the plan for this folder, in pairs."""
        way = f"/{self.path}/" if self.path else "/"
        if not self.batches:
            yield f"{self.number} - {way}\n/\n"
        for batch in self.batches:
            yield f"{self.number} {batch.sha256} {way}\n{'/'.join(batch.names)}\n"


class FolderUpload:
    """A tar on its way into the pod.

    Args:
        body: The tar.
        target: The folder into which it is unpacked.
        max_bytes: Most bytes of content of all files together.
    """

    def __init__(self, body: Body, target: WorkspacePath, max_bytes: int) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._reader = TarReader(MAX_PATH_BYTES - len(str(target).encode()) - 1)
        self._hash = hashlib.sha256()
        self._folders: dict[str, _Folder] = {}
        self._seal = ""
        # The file whose content is coming.
        self._file: tuple[_Folder, str] | None = None
        self._file_hash = hashlib.sha256()
        self._left = 0
        self._end = b""
        # Small files that wait to be sent together.
        self._run = bytearray()
        self._run_folder: _Folder | None = None

    async def script(self) -> AsyncGenerator[bytes, None]:
        """The input of unpack.sh. Without the plan at its end, the script moves nothing.

        Raises:
            GamguiError: The body is no tar of files and folders, too large, or not what was announced.
        """
        async for data in self._body.source:
            for piece in self._take(data):
                yield piece
        self._reader.end()
        self._body.check_digest(self._hash.hexdigest())
        for piece in self._flush():
            yield piece
        folders = self._folders.values() or [_Folder("", 0)]
        plan = "".join(line for folder in folders for line in folder.plan()).encode()
        self._seal = hashlib.sha256(plan).hexdigest()
        yield f"plan {self._seal}\n".encode() + plan

    def result(self, words: Sequence[str]) -> Unpacked:
        """Reads the line that unpack.sh printed.

        Raises:
            TransferFailed: The line makes no sense, or is about another tar.
        """
        match words:
            case ["unpacked", result, seal] if SHA256.fullmatch(seal) and seal == self._seal:
                reader = self._reader
                created = result == "created"
                return Unpacked(reader.files, reader.folders, reader.size, self._hash.hexdigest(), created)
        raise TransferFailed("the pod's answer cannot be read")

    def _take(self, data: bytes) -> Iterator[bytes]:
        self._hash.update(data)
        for event in self._reader.feed(data):
            if self._reader.size > self._max_bytes:
                raise too_large(self._max_bytes)
            yield from self._begin(event) if isinstance(event, Member) else self._add(event)

    def _begin(self, member: Member) -> Iterator[bytes]:
        """Takes a member: sends its header, or adds it to the small files that go together."""
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
        """Takes a piece of the content of the current file."""
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
        """Sends the small files that wait."""
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
    """What goes behind and before a tar of ``size`` bytes; its folder's number and length go before it."""
    size += len(padding) + _END_BYTES
    block = _LARGE_BLOCK if size >= _RUN_BYTES else _SMALL_BLOCK
    count = -(-size // block)
    begin = f"run {folder.number} {block} {count}\n".encode()
    return padding + bytes(_END_BYTES + count * block - size), begin


def _header(name: str, size: int, executable: bool) -> bytes:
    """A POSIX header; if the name is too long for it, a header of GNU tar with the name comes first."""
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
