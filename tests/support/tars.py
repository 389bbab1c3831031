"""Tars as the tests send them, and what unpack.sh is sent for one."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping

from shared.core.files.paths import WorkspacePath
from shared.core.files.unpack import NO_PLAN, FolderUpload
from shared.core.files.upload import Body
from shared.errors import GamguiError

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def entry(name: str, data: bytes | None, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A file, or a folder where there is no content."""
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.mtime = mode, len(data or b""), 1_700_000_000.25
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    return info, data or b""


def tar_of(files: Mapping[str, bytes | None], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of content by path; None for a folder."""
    return tar_with((entry(name, data) for name, data in files.items()), form)


def tar_with(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of members as they are given."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form, encoding="utf-8") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


async def script_of(
    data: bytes, target: str = "", *, piece: int = 65536, limit: int = 2**40
) -> tuple[FolderUpload, bytes]:
    """The upload, and all that is sent to unpack.sh for it: of a tar that is refused, without a plan."""

    async def source() -> AsyncIterator[bytes]:
        for at in range(0, len(data), piece):
            yield data[at : at + piece]

    path = WorkspacePath(tuple(target.split("/")) if target else (), folder=True)
    upload, sent = FolderUpload(Body(source=source()), path, limit), b""
    try:
        async for part in upload.script():
            sent += part
    except GamguiError:
        sent += NO_PLAN
    return upload, sent
