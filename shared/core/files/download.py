"""A file that is open in the pod: first its facts, then its bytes."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

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
        etag: Strong (RFC 9110, 8.8.1): inode, size and the time of the last change to the
            nanosecond, which nobody in the pod can set. Hashing the file would take a pass over
            all of it for every range of it.
    """

    size: int
    modified_at: datetime
    mode: int
    etag: str

    @classmethod
    def read(cls, line: str) -> FileFacts:
        """From what the script says.

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
    """Choose a part of it, iterate ``content()`` once, and close it.

    Args:
        answer: Of the script that has it open.
        facts: What it is.
        wish: Taken by the script: which bytes to send; nothing ends it.
        record: Told how the transfer ended, and of how many bytes.
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
        """Says which bytes are wanted.

        Returns:
            Their SHA-256, in hexadecimal: the pod has read them once.

        Raises:
            GamguiError: The pod did not answer.
        """
        self._length = length
        self._wish.set_result(f"{first} {length}\n".encode())
        try:
            self._sha256 = " ".join(await self._answer.line())
            if not SHA256.fullmatch(self._sha256):
                raise TransferFailed("the pod's answer cannot be read")
        except GamguiError as error:
            await self._record(error.reason, 0)
            raise
        return self._sha256

    async def content(self) -> AsyncGenerator[bytes, None]:
        """The bytes that were chosen. Closes the file.

        The last of them come only when all are known to be right: who has got as many as were
        announced has got a whole file.

        Raises:
            TransferFailed: They are not all, or not those that were announced: the file has
                changed, or the connection broke.
        """
        outcome, size, held, hashed = "cancelled", 0, b"", hashlib.sha256()
        try:
            async for data in self._answer.chunks():
                size += len(data)
                if size > self._length:
                    break
                hashed.update(data)
                if held:
                    yield held
                held = data
            if size != self._length or hashed.hexdigest() != self._sha256:
                raise TransferFailed("the file changed while it was read; read it again")
            yield held
            outcome = "sent"
        except GamguiError as error:
            outcome = error.reason
            raise
        finally:
            await self.aclose()
            await self._record(outcome, size)

    async def aclose(self) -> None:
        """Closes the file. If nothing was chosen, this ends the script."""
        if not self._wish.done():
            self._wish.set_result(b"")
            await self._answer.end_quietly()
        await self._answer.aclose()
