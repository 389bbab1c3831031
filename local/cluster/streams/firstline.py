"""Input whose first line is rewritten on its way."""

from collections.abc import Callable

from .descriptors import Descriptor

# A longer first line is no shell code that names a folder; it is passed on unchanged.
_MAX_BYTES = 1024 * 1024


class FirstLine:
    """Holds a command's input back until its first line is complete, and writes that line rewritten.

    Args:
        descriptor: The descriptor to write to.
        rewrite: Takes the line without its end, and returns the new line.
    """

    def __init__(self, descriptor: Descriptor, rewrite: Callable[[bytes], bytes]) -> None:
        self._descriptor = descriptor
        self._rewrite = rewrite
        self._kept: bytearray | None = bytearray()

    async def write(self, data: memoryview) -> None:
        """Write all of ``data``, as :meth:`.descriptors.Descriptor.write` does, or keep it for later."""
        if self._kept is None:
            await self._descriptor.write(data)
            return
        self._kept += data
        line, end, rest = bytes(self._kept).partition(b"\n")
        if end or len(line) > _MAX_BYTES:
            self._kept = None
            await self._descriptor.write(memoryview((self._rewrite(line) if end else line) + end + rest))

    def close(self) -> None:
        """End the input. A first line without an end is dropped, because a shell does not evaluate it."""
        self._descriptor.close()
