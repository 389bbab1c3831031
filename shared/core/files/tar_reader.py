"""Reads the members of a tar as its bytes pass. What is not plainly a file or a folder is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from shared.core.files.paths import fault_of_name
from shared.core.files.tar_header import BLOCK_BYTES, Extension, Header, invalid, read_extension, read_header
from shared.errors import PayloadTooLarge
from shared.reasons import Reason

MAX_ENTRIES = 50_000
"""Most files and folders of one tar; they are remembered until its end."""

MAX_PATHS_BYTES = 8 * 1024 * 1024
"""Most bytes of all their paths together."""

MAX_MEMBERS = 2 * MAX_ENTRIES
"""Most headers of files and folders. A folder may come again, and then it is remembered only once."""

MAX_COMMON_HEADERS = 1_000
"""Most extended headers of all entries (``g``). An archive has one as a rule."""

MAX_EXTENSIONS_BYTES = 128 * 1024 * 1024
"""Most bytes of all extended headers together, with their padding."""

MAX_ZEROS_BYTES = 16 * 1024 * 1024
"""Most zeros behind the end: a tar is filled up to a multiple of its blocking factor, 10 KiB as a rule."""

_MAX_EXTENSION_BYTES = 64 * 1024
_ZEROS = bytes(BLOCK_BYTES)
_SHOWN_CHARACTERS = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A file or folder.

    Attributes:
        path: Its path; empty for the folder into which the tar is unpacked.
        folder: Whether it is a folder.
        size: Size in bytes of the content that follows, in any number of pieces.
        executable: Whether the owner may execute the file.
    """

    path: str
    folder: bool
    size: int
    executable: bool


class TarReader:
    """Reads a tar.

    Args:
        max_path_bytes: Length in bytes of the longest path.

    Attributes:
        size: Content of all files so far, in bytes; the last file counts with the size in its header.
        files: Number of files so far.
    """

    def __init__(self, max_path_bytes: int) -> None:
        self._max_path_bytes = max_path_bytes
        self._block = bytearray()
        self._wanted = BLOCK_BYTES
        self._extension: Header | None = None
        self._next = Extension()
        self._extended = False
        self._content = 0
        self._padding = 0
        self._zero_blocks = 0
        self._is_folder = {"": True}
        self._paths_bytes = 0
        self._members = 0
        self._common_headers = 0
        self._extensions_bytes = 0
        self._zeros_bytes = 0
        self.size = 0
        self.files = 0

    @property
    def folders(self) -> int:
        """Number of folders so far, with those that only occur in paths."""
        return len(self._is_folder) - 1 - self.files

    def feed(self, data: bytes) -> Iterator[Member | memoryview]:
        """Reads the next bytes.

        Yields:
            Each member, and then its content.

        Raises:
            InvalidRequest: The bytes are no tar, or not one that is unpacked (reason ``TAR_INVALID``).
            PayloadTooLarge: The tar has too many entries, or too much beside their content.
        """
        rest = memoryview(data)
        while rest:
            if self._content:
                piece, rest = rest[: self._content], rest[self._content :]
                self._content -= len(piece)
                yield piece
            elif self._padding:
                skipped = min(self._padding, len(rest))
                self._padding -= skipped
                rest = rest[skipped:]
            elif self._zero_blocks == 2:
                if bytes(rest).strip(b"\0"):
                    raise invalid("something follows its end")
                self._zeros_bytes += len(rest)
                if self._zeros_bytes > MAX_ZEROS_BYTES:
                    raise _too_much(f"{MAX_ZEROS_BYTES} bytes behind its end", MAX_ZEROS_BYTES)
                return
            else:
                missing = self._wanted - len(self._block)
                self._block += rest[:missing]
                rest = rest[missing:]
                if len(self._block) == self._wanted:
                    block, self._block = bytes(self._block), bytearray()
                    yield from self._take(block)

    def end(self) -> None:
        """Says that there are no more bytes.

        Raises:
            InvalidRequest: The tar is incomplete.
        """
        if self._zero_blocks < 2:
            raise invalid("it ends before its end")

    def _take(self, block: bytes) -> Iterator[Member]:
        """Takes a header, or the content of an extension."""
        if self._extension is not None:
            said = read_extension(self._extension, block[: self._extension.size])
            if not self._extension.is_common:
                self._next, self._extended = said, True
            self._extension, self._wanted = None, BLOCK_BYTES
        elif block == _ZEROS:
            self._zero_blocks += 1
            if self._extended:
                raise invalid("an extended header in it is of nothing")
        elif self._zero_blocks:
            raise invalid("something follows its end")
        else:
            header = read_header(block)
            if header.is_extension:
                self._begin_extension(header)
            else:
                yield self._member(header)

    def _begin_extension(self, header: Header) -> None:
        if self._extended:
            raise invalid("an entry in it has several extended headers")
        if not 0 < header.size <= _MAX_EXTENSION_BYTES:
            raise invalid("an extended header in it is empty, or too long")
        self._extension, self._wanted = header, _padded(header.size)
        self._common_headers += header.is_common
        self._extensions_bytes += self._wanted
        if self._common_headers > MAX_COMMON_HEADERS:
            raise _too_much(f"{MAX_COMMON_HEADERS} headers of all entries", MAX_COMMON_HEADERS)
        if self._extensions_bytes > MAX_EXTENSIONS_BYTES:
            raise _too_much(f"{MAX_EXTENSIONS_BYTES} bytes of extended headers", MAX_EXTENSIONS_BYTES)

    def _member(self, header: Header) -> Member:
        said, self._next, self._extended = self._next, Extension(), False
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise _too_much(f"{MAX_MEMBERS} headers of files and folders", MAX_MEMBERS)
        size = header.size if said.size is None else said.size
        if header.is_folder and size:
            raise invalid("a folder in it has content")
        self.size += size
        path = _path(header.name if said.name is None else said.name, header.is_folder, self._max_path_bytes)
        self._remember(path, header.is_folder)
        self._content, self._padding = size, _padded(size) - size
        return Member(path, header.is_folder, size, header.executable)

    def _remember(self, path: str, folder: bool) -> None:
        """Remembers a path. A folder may come again, and after its files; a file comes once."""
        known = self._is_folder.get(path)
        if known is False and not folder:
            raise invalid(f"it holds {_shown(path)} twice")
        self._add(path, folder)
        while known is None and path:
            path = path.rpartition("/")[0]
            known = self._is_folder.get(path)
            self._add(path, folder=True)

    def _add(self, path: str, folder: bool) -> None:
        if path not in self._is_folder:
            self._is_folder[path] = folder
            self._paths_bytes += len(path)
            self.files += not folder
        if len(self._is_folder) > MAX_ENTRIES or self._paths_bytes > MAX_PATHS_BYTES:
            raise PayloadTooLarge(
                f"the tar holds more than {MAX_ENTRIES} files and folders, or their paths more than "
                f"{MAX_PATHS_BYTES} bytes",
                reason=Reason.TOO_MANY_FILES,
                max_files=MAX_ENTRIES,
            )
        if self._is_folder[path] is not folder:
            raise invalid(f"{_shown(path)} is a file and a folder in it")


def _too_much(what: str, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the tar holds more than {what}", reason=Reason.TOO_MANY_FILES, max_files=MAX_ENTRIES, limit=limit
    )


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _path(name: bytes, folder: bool, max_bytes: int) -> str:
    """The path of a member, if files may have its names.

    Raises:
        InvalidRequest: The path leads out of the target folder, or files may not have one of its names.
    """
    if name.startswith(b"/"):
        raise invalid(f"the path {_shown(name)} is not below its folder")
    names = [part for part in (name.rstrip(b"/") if folder else name).split(b"/") if part != b"."]
    for part in names:
        fault = fault_of_name(part)
        if fault:
            raise invalid(f"the path {_shown(name)} {fault}")
    path = b"/".join(names)
    if len(path) > max_bytes:
        raise invalid(f"the path {_shown(name)} is too long")
    if not path and not folder:
        raise invalid(f"{_shown(name)} is no file's name")
    return path.decode()


def _shown(path: bytes | str) -> str:
    text = path if isinstance(path, str) else path.decode(errors="replace")
    return repr(text[:_SHOWN_CHARACTERS])
