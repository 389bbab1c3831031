"""A folder's tar on its way to the caller: where the pod's tar left something out, a list of it is added."""

from __future__ import annotations

import tarfile
import time
from collections.abc import AsyncGenerator

from shared.core.files.script_output import Answer
from shared.errors import TransferFailed

LIST_NAME = "GAMGUI-INCOMPLETE.txt"
"""Name of the entry that ends a tar which is not all of the folder. It is never taken from the folder."""

_INCOMPLETE = 4
"""Exit code of the script when a list follows the tar."""

_BLOCK_BYTES = 512
_ZEROS = bytes(_BLOCK_BYTES)
_LIST_HEADER = f"./{LIST_NAME}".encode().ljust(100, b"\0")
"""How the header begins of a file that has the list's name: the first field is the name (POSIX, pax)."""

_WITHOUT_CONTENT = frozenset(b"123456")
"""Type flags of links, devices, folders and pipes: a size in their headers is not that of content."""

_MAX_LIST_BYTES = 128 * 1024
_LAST_LINE = b"tar ended with "


class PackedFolder:
    """The output of archive.sh as a tar that has an end.

    Attributes:
        incomplete: Whether the tar lacks something, and ends with a list of it.
    """

    def __init__(self) -> None:
        self.incomplete = False

    async def pieces(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        """The tar.

        Args:
            answer: The script's answer, behind its first line.

        Raises:
            GamguiError: (while iterating) The script failed.
            TransferFailed: (while iterating) The tar broke off, or what follows it is too long for a list.
        """
        tar = _Followed()
        async for data in answer.chunks((0, _INCOMPLETE)):
            piece = tar.take(data)
            if piece:
                yield piece
        self.incomplete = answer.exit_code == _INCOMPLETE
        if self.incomplete and not tar.ended:
            raise TransferFailed("the session's tar broke off")
        if self.incomplete:
            yield _list_entry(bytes(tar.behind))
        rest = 2 * _ZEROS if tar.ended else tar.rest()
        if rest:
            yield rest


class _Followed:
    """Follows a tar from header to header, to know where it ends.

    A file with the list's name is left out, so that whoever finds one knows what it is. What cannot be
    followed is passed on as it is: the caller's tar may understand it.
    """

    def __init__(self) -> None:
        self.ended = False
        self.behind = bytearray()
        self._block = bytearray()
        self._passed = 0
        self._content = 0
        self._left_out = False
        self._lost = False

    def take(self, data: bytes) -> bytes:
        """What of the data belongs to entries; the rest is ``behind`` the end, or waits to be complete."""
        passed = bytearray()
        view = memoryview(data)
        while view:
            if self.ended:
                self._take_behind(bytes(view))
                break
            if self._lost or self._content:
                piece = view if self._lost else view[: self._content]
                if not self._left_out:
                    passed += piece
                self._content -= 0 if self._lost else len(piece)
            else:
                piece = view[: _BLOCK_BYTES - len(self._block)]
                self._block += piece
                if self._passed or not self._may_be_kept():
                    passed += self.rest()
                if len(self._block) == _BLOCK_BYTES:
                    passed += self._take_header()
            view = view[len(piece) :]
        return bytes(passed)

    def rest(self) -> bytes:
        """The bytes of a header that were kept back."""
        kept, self._passed = bytes(self._block[self._passed :]), len(self._block)
        return kept

    def _may_be_kept(self) -> bool:
        """Whether the block, as far as it has come, may be the end or the header of what is left out."""
        name = bytes(self._block[: len(_LIST_HEADER)])
        return not bytes(self._block).strip(b"\0") or _LIST_HEADER.startswith(name)

    def _take_header(self) -> bytes:
        """Begins what the header describes; returns what of the header is passed on and was not yet."""
        block, kept, self._block = bytes(self._block), self.rest(), bytearray()
        self._passed = 0
        if block == _ZEROS:
            self.ended = True
            return b""
        size = _content_bytes(block)
        self._lost = size is None
        self._left_out = bool(kept) and not self._lost
        self._content = 0 if size is None else size + -size % _BLOCK_BYTES
        return b"" if self._left_out else kept

    def _take_behind(self, data: bytes) -> None:
        """Takes what follows the first block of zeros: more zeros, and then the list."""
        self.behind += data if self.behind else data.lstrip(b"\0")
        if len(self.behind) > _MAX_LIST_BYTES:
            raise TransferFailed("the session's tar says too much about what it leaves out")


def _content_bytes(block: bytes) -> int | None:
    """How many bytes of content follow a header, without padding; None: it is no header that we know."""
    try:
        checksum = int(block[148:156].strip(b" \0"), 8)
        size = int.from_bytes(block[125:136], "big") if block[124] == 0x80 else _octal(block[124:136])
    except ValueError:
        return None
    if checksum != sum(block) - sum(block[148:156]) + 8 * ord(" ") or size < 0:
        return None
    return 0 if block[156] in _WITHOUT_CONTENT else size


def _octal(field: bytes) -> int:
    return int(field.strip(b" \0") or b"0", 8)


def _list_entry(said: bytes) -> bytes:
    """The entry with what the pod's tar has said, a line each, and how it ended."""
    lines = [line.removeprefix(b"tar: ") for line in said.splitlines()]
    if not lines or not lines[-1].startswith(_LAST_LINE):
        lines.append(b"... and more")
    text = b"This is not all of the folder as it is. The session's tar said:\n"
    text += b"".join(line + b"\n" for line in lines)
    header = tarfile.TarInfo(f"./{LIST_NAME}")
    header.size, header.mtime = len(text), int(time.time())
    return header.tobuf(tarfile.USTAR_FORMAT) + text + bytes(-len(text) % _BLOCK_BYTES)
