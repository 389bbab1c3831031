"""Reads the headers of a tar strictly: a header that is not plainly that of a file or folder is refused.

Source: POSIX.1-2024, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar, "Basic Tar Format".
"""

from __future__ import annotations

import dataclasses
import re

from shared.errors import InvalidRequest
from shared.reasons import Reason

BLOCK_BYTES = 512

_REGULAR = (b"0", b"\0")
_FOLDER = b"5"
_OF_NEXT = b"x"
_OF_ALL = b"g"
_LONG_NAME = b"L"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"K": "a link",
    b"S": "a sparse file",
}
_OCTAL = re.compile(rb" *([0-7]{1,12})[ \0]*")
_UNUSED = re.compile(rb"[\x80\xff].*| *+[0-7]*+[ \0]*+", re.DOTALL)
_UNUSED_FIELDS = ((108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
"""Owner, group, times, device. We ignore them, but other programs refuse a header in which they are bad."""

_RECORD_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")
_DECIMAL = re.compile(rb"[0-9]{1,18}")
_POSIX = b"ustar\x0000"
_GNU = b"ustar  \0"


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """A block that begins a member.

    Attributes:
        kind: Its type flag.
        name: The name in this block; an extension may give the member a longer one.
        size: Size of the content that follows, in bytes.
        executable: Whether the owner may execute the file.
    """

    kind: bytes
    name: bytes
    size: int
    executable: bool

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return self.kind in _REGULAR

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.kind == _FOLDER

    @property
    def is_extension(self) -> bool:
        """Whether the content describes other members."""
        return self.kind in (_OF_NEXT, _OF_ALL, _LONG_NAME)

    @property
    def is_common(self) -> bool:
        """Whether the content describes all members that follow."""
        return self.kind == _OF_ALL


@dataclasses.dataclass(frozen=True, slots=True)
class Extension:
    """What extensions say about the next member; None where they say nothing."""

    name: bytes | None = None
    size: int | None = None


def read_header(block: bytes) -> Header:
    """Reads a block of 512 bytes that is not all zero.

    Raises:
        InvalidRequest: The block is no header, or of a kind that is not unpacked (reason ``TAR_INVALID``).
    """
    if _octal(block[148:156], "checksum") != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise invalid("a header's checksum is wrong")
    magic = block[257:265]
    if magic not in (_POSIX, _GNU):
        raise invalid("a header is not of a tar as POSIX (ustar, pax) or GNU tar have it")
    kind = block[156:157]
    if kind in _REFUSED:
        raise invalid(f"it holds {_REFUSED[kind]}; only files and folders are taken")
    if not all(_UNUSED.fullmatch(block[first:end]) for first, end in _UNUSED_FIELDS):
        raise invalid("a number in a header is none")
    mode, size = _octal(block[100:108], "mode"), _size(block[124:136])
    header = Header(kind, _name(block, magic), size, bool(mode & 0o100))
    if not (header.is_file or header.is_folder or header.is_extension):
        raise invalid("it holds an entry of an unknown kind; only files and folders are taken")
    if header.is_folder and header.size:
        raise invalid("a folder in it has content")
    return header


def read_extension(header: Header, content: bytes) -> Extension:
    """Reads the content of an extension.

    Args:
        header: The header of the extension.
        content: Its content, without padding.

    Raises:
        InvalidRequest: The content makes no sense, or describes more than name and size.
    """
    if header.kind == _LONG_NAME:
        name, end, rest = content.partition(b"\0")
        if not end or rest.strip(b"\0"):
            raise invalid("a long name in it is malformed")
        return Extension(name=name)
    records = _records(content)
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise invalid("it holds a sparse file; only files and folders are taken")
    name_of_next, size = records.get(b"path"), records.get(b"size")
    if header.kind == _OF_ALL and (name_of_next is not None or size is not None):
        raise invalid("a header of all entries gives them a name or a size")
    if size is not None and not _DECIMAL.fullmatch(size):
        raise invalid("a size in it is not a number")
    return Extension(name=name_of_next, size=None if size is None else int(size))


def invalid(fault: str) -> InvalidRequest:
    """The error with which a tar is refused."""
    return InvalidRequest(f"the tar cannot be unpacked: {fault}", reason=Reason.TAR_INVALID)


def _name(block: bytes, magic: bytes) -> bytes:
    name, prefix = _text(block[:100]), _text(block[345:500])
    if prefix and magic == _GNU:
        raise invalid("a header is of an incremental archive")  # in such a header these fields are times
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _size(field: bytes) -> int:
    """Reads a size. Sizes of 8 GiB and more are in base 256, as GNU tar and others write them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field, "size")


def _octal(field: bytes, what: str) -> int:
    found = _OCTAL.fullmatch(field)
    if found is None:
        raise invalid(f"a header's {what} is not a number")
    return int(found[1], 8)


def _records(content: bytes) -> dict[bytes, bytes]:
    """Reads records, each ``LENGTH KEY=VALUE`` and a line break; the length is that of the whole record."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        length = _RECORD_LENGTH.match(content, at)
        end = at + int(length[1]) if length is not None else 0
        if length is None or not length.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise invalid("an extended header in it is malformed")
        key, equals, value = content[length.end() : end - 1].partition(b"=")
        if not key or not equals:
            raise invalid("an extended header in it is malformed")
        records[key] = value
        at = end
    return records
