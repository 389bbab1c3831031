"""Reads a folder's entries from the output of the list script."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from shared.core.files.paths import UPLOAD_PREFIX
from shared.errors import TransferFailed

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
_END = b"/\n"
_MAX_LISTING_BYTES = 32 * 1024 * 1024
"""About half a million entries; longer output is refused."""

_MAX_RECORD_BYTES = 1024
"""A name has at most 255 bytes; a longer record without an end is refused."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder.

    Attributes:
        name: Name in the file system.
        type: ``file``, ``directory``, ``symlink`` (the link itself, not its target) or ``other``.
        size: In bytes.
        modified_at: To the second.
        mode: Permission bits.
    """

    name: bytes
    type: str
    size: int
    modified_at: datetime
    mode: int


async def first_entries(chunks: AsyncIterator[bytes], *, limit: int, after: bytes) -> list[Entry]:
    """The first entries behind a name, by the bytes of their names. It keeps no more entries than it must.

    Args:
        chunks: The output of the script.
        limit: Most entries.
        after: The name.

    Raises:
        TransferFailed: The output makes no sense.
    """
    kept: dict[bytes, Entry] = {}
    rest = b""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > _MAX_LISTING_BYTES:
            raise TransferFailed(f"the folder's listing is longer than {_MAX_LISTING_BYTES} bytes")
        *records, rest = (rest + chunk).split(_END)
        if max(map(len, (*records, rest))) > _MAX_RECORD_BYTES:
            raise TransferFailed("the pod's answer cannot be read")
        for record in records:
            entry = _entry(record)
            if entry.name > after and not entry.name.startswith(UPLOAD_PREFIX.encode()):
                kept[entry.name] = entry
        if len(kept) > 2 * limit:
            kept = {name: kept[name] for name in sorted(kept)[:limit]}
    return [kept[name] for name in sorted(kept)[:limit]]


def _entry(record: bytes) -> Entry:
    try:
        raw_mode, size, seconds, name = record.split(b" ", 3)
        mode = int(raw_mode, 16)
        modified_at = datetime.fromtimestamp(int(seconds), UTC)
        return Entry(name, _KINDS.get(stat.S_IFMT(mode), "other"), int(size), modified_at, stat.S_IMODE(mode))
    except (ValueError, OverflowError, OSError) as error:
        raise TransferFailed("the pod's answer cannot be read") from error
