"""Logs of containers: their output with times, in files of limited size."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from ..clock import nano_timestamp

_READ = 65536
_MAX_LINE = 16384
_MAX_FILE = 10 * 1024 * 1024


class ContainerLog:
    """The log of one run of a container.

    Lines have the format of the container runtimes: time, stream, ``F`` for a full line or ``P`` for a part,
    text. A full file replaces the previous file, so at most two files are kept.

    Args:
        path: The file.
        limit: Size in bytes at which a file is full.
    """

    def __init__(self, path: Path, limit: int = _MAX_FILE) -> None:
        self._path = path
        self._older = path.with_suffix(".old")
        self._limit = limit
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._receivers: set[int] = set()
        self._changed = asyncio.Event()
        self.finished = asyncio.Event()

    def stream(self, name: str) -> int:
        """Return a descriptor; what is written to it is logged as stream ``name``. The caller closes it."""
        loop = asyncio.get_running_loop()
        receiver, sender = os.pipe()
        os.set_blocking(receiver, False)
        self._receivers.add(receiver)
        pending = bytearray()

        def readable() -> None:
            try:
                data = os.read(receiver, _READ)
            except BlockingIOError:
                return
            pending.extend(data)
            self._write(name, pending, last=not data)
            if not data:
                self._end_stream(receiver)

        loop.add_reader(receiver, readable)
        return sender

    def _write(self, name: str, pending: bytearray, *, last: bool) -> None:
        prefix = f"{nano_timestamp()} {name} ".encode()
        *lines, rest = bytes(pending).split(b"\n")
        written = [prefix + b"F " + line + b"\n" for line in lines]
        while len(rest) > _MAX_LINE or (last and rest):
            written.append(prefix + b"P " + rest[:_MAX_LINE] + b"\n")
            rest = rest[_MAX_LINE:]
        pending[:] = rest
        if written:
            self._file.write(b"".join(written))
            self._file.flush()
            if self._file.tell() > self._limit:
                self._turn_over()
            self._changed.set()

    def _turn_over(self) -> None:
        self._file.close()
        self._path.replace(self._older)
        self._file = self._path.open("ab")

    def _end_stream(self, receiver: int) -> None:
        asyncio.get_running_loop().remove_reader(receiver)
        os.close(receiver)
        self._receivers.discard(receiver)
        if not self._receivers:
            self._file.close()
            self.finished.set()
            self._changed.set()

    def close(self) -> None:
        """Stop logging, even if a process still holds the writing ends."""
        for receiver in tuple(self._receivers):
            self._end_stream(receiver)

    def records(self) -> list[bytes]:
        """Return the kept records."""
        kept: list[bytes] = []
        for path in (self._older, self._path):
            with contextlib.suppress(FileNotFoundError):
                kept += path.read_bytes().splitlines(keepends=True)
        return kept

    async def follow(self, tail: int | None) -> AsyncIterator[list[bytes]]:
        """Yield the kept records, then new records until the container has ended.

        Args:
            tail: How many of the kept records to yield; None: all.
        """
        kept = self.records()
        yield kept[len(kept) - tail :] if tail is not None and tail < len(kept) else kept
        with contextlib.ExitStack() as files:
            reader = files.enter_context(self._path.open("rb"))
            reader.seek(0, os.SEEK_END)
            while True:
                self._changed.clear()
                finished = self.finished.is_set()
                fresh = reader.readlines()
                if fresh:
                    yield fresh
                elif finished:
                    return
                elif os.fstat(reader.fileno()).st_nlink == 0 or not os.path.samestat(
                    os.fstat(reader.fileno()), self._path.stat()
                ):
                    reader = files.enter_context(self._path.open("rb"))
                else:
                    await self._changed.wait()


def render(records: list[bytes], *, timestamps: bool) -> Iterator[bytes]:
    """Yield the text of records for a client, with the time in front if ``timestamps``."""
    for record in records:
        time, _, partial, text = record.split(b" ", 3)
        shown = text if partial == b"F" else text[:-1]
        yield time + b" " + shown if timestamps else shown
