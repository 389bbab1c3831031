"""A file that is open in the pod: first its facts are read, then its bytes."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

from shared.core.audit.auditor import outcome_of
from shared.core.files.script_output import SHA256, Answer
from shared.errors import GamguiError, TransferFailed

_LOOK = re.compile(
    r"([0-9]{1,18}) ([0-9]{1,18}) ([0-7]{1,4}) ([0-9]{1,20}) ([-0-9]{1,20} [:.0-9]{1,20}) [+0-9]{5}"
)


@dataclasses.dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts about an open file.

    Attributes:
        size: In bytes.
        modified_at: To the second.
        mode: Permission bits.
        etag: Strong (RFC 9110, 8.8.1). It is made of inode, size and the time of the last change to the
            nanosecond, which no process in the pod can set. A hash would need a pass over the whole file for
            every range of it.
    """

    size: int
    modified_at: datetime
    mode: int
    etag: str

    @classmethod
    def read(cls, line: str) -> FileFacts:
        """Reads the facts from the script's line.

        Raises:
            TransferFailed: The script's answer makes no sense.
        """
        found = _LOOK.fullmatch(line)
        if found is None:
            raise TransferFailed("the pod's answer cannot be read")
        size, seconds, mode, inode, changed = found.groups()
        tag = f"{int(inode):x}-{int(size):x}-{int(re.sub('[^0-9]', '', changed)):x}"
        try:
            modified_at = datetime.fromtimestamp(int(seconds), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise TransferFailed("the file has a time that cannot be") from error
        return cls(int(size), modified_at, int(mode, 8), f'"{tag}"')


class OpenFile:
    """A file that is open in the pod. Choose a part of it, iterate ``content()`` once, and close it.

    Args:
        answer: The answer of the script that has the file open.
        facts: The facts about the file.
        wish: The input of the script, which says which bytes to send; nothing ends the script.
        record: Is called with how the transfer ended, and with its number of bytes.
    """

    def __init__(
        self,
        answer: Answer,
        facts: FileFacts,
        wish: asyncio.Future[bytes],
        record: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self.facts = facts
        self._answer = answer
        self._wish = wish
        self._record = record
        self._length = 0
        self._sha256 = ""

    async def choose(self, first: int, length: int) -> str:
        """Tells the script which bytes to send.

        Returns:
            The SHA-256 of these bytes, in hexadecimal; the pod has read them once to compute it.

        Raises:
            GamguiError: The pod did not answer.
        """
        self._length = length
        self._wish.set_result(f"{first} {length}\n".encode())
        try:
            self._sha256 = _hash(await self._answer.line())
        except BaseException as error:
            await self._record(outcome_of(error), 0)
            raise
        return self._sha256

    async def content(self) -> AsyncGenerator[bytes, None]:
        """The chosen bytes. Closes the file at the end, also when the bytes are closed before they are read.

        The last bytes come only when all are known to be right. So a caller who has as many bytes as were
        announced has all of them.

        Raises:
            TransferFailed: (while iterating) The bytes are not all there, or not those that were announced:
                the file has changed, or the connection broke.
        """
        return await begun(self._sent())

    async def _sent(self) -> AsyncGenerator[bytes, None]:
        outcome, size, held, hashed = "cancelled", 0, b"", hashlib.sha256()
        try:
            yield b""
            async for data in self._answer.chunks():
                size += len(data)
                if size > self._length:
                    break
                hashed.update(data)
                if held:
                    yield held
                held = data
            if size != self._length or hashed.hexdigest() != self._sha256:
                raise TransferFailed("what came is not what was announced; read the file again")
            yield held
            outcome = "sent"
        except GamguiError as error:
            outcome = error.reason
            raise
        finally:
            await self.aclose()
            await self._record(outcome, size)

    async def aclose(self) -> None:
        """Closes the file. If no bytes were chosen, this ends the script."""
        if not self._wish.done():
            self._wish.set_result(b"")
            await self._answer.end_quietly()
        await self._answer.aclose()


def _hash(words: Sequence[str]) -> str:
    """The hash in the script's line.

    Raises:
        TransferFailed: The script's answer makes no sense.
    """
    if len(words) != 1 or not SHA256.fullmatch(words[0]):
        raise TransferFailed("the pod's answer cannot be read")
    return words[0]


async def begun(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The pieces behind the first one, which is empty: a generator that never began cleans up nothing."""
    await anext(pieces)
    return pieces
