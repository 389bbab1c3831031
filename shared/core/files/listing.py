"""A folder's entries, as the list script says them."""

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
"""Some half a million entries: a listing that goes on is none."""

_MAX_RECORD_BYTES = 1024
"""A name has 255 bytes at most; whatever the pod says, no more than this waits for its end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder.

    Attributes:
        name: As the file system has it.
        type: ``file``, ``directory``, ``symlink`` (itself, not where it leads) or ``other``.
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
    """The first entries behind a name, by the bytes of their names. Keeps no more than it must.

    Args:
        chunks: What the script says.
        limit: Most entries.
        after: The name.

    Raises:
        TransferFailed: What the script says makes no sense.
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
