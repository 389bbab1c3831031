"""What a record says about a command without showing it: lengths, keyed digests, names of variables.

A digest is HMAC-SHA-256 under a key of the installation. A person with the key can check whether a known
command is the one that ran. A reader of records without the key cannot guess what is masked in them.
"""

from __future__ import annotations

import hashlib
import hmac
import shlex
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

COMPLETE = "complete"
BROKEN = "broken"
UNREAD = "unread"


class Evidence:
    """What a record says about one command.

    Args:
        key: The key of the digests. None: the key is not known, and there are no digests.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._input = None if key is None else hmac.new(key, digestmod=hashlib.sha256)
        self._bytes = 0
        self._end = COMPLETE

    def of_command(self, argv: Sequence[str], env: Mapping[str, str]) -> dict[str, str | int | None]:
        """The fields of a record's detail for program, arguments and variables.

        Length and digest are those of ``/proc/PID/cmdline``: each word, ended by a NUL.

        Args:
            argv: Program and arguments as they are executed.
            env: The variables of the request, whose names are recorded.
        """
        executed = b"".join(word.encode(errors="backslashreplace") + b"\0" for word in argv)
        detail: dict[str, str | int | None] = {
            "command": shlex.join(argv),
            "command_bytes": len(executed),
        }
        if self._key is not None:
            detail["command_digest"] = hmac.digest(self._key, executed, "sha256").hex()
        if env:
            detail["env"] = " ".join(sorted(env))
        return detail

    def metered(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Passes the command's input on, and counts and digests it on the way."""
        self._end = UNREAD  # this value stays if the command never begins to read
        return self._metered(pieces)

    async def _metered(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in pieces:
                self.count(piece)
                yield piece
        except Exception:
            self._end = BROKEN
            raise
        self._end = COMPLETE

    def count(self, piece: bytes) -> None:
        """Adds a piece of the input to count and digest."""
        self._bytes += len(piece)
        if self._input is not None:
            self._input.update(piece)

    def of_input(self) -> dict[str, str | int | None]:
        """The fields of a record's detail for the input that has passed so far."""
        detail: dict[str, str | int | None] = {"stdin_bytes": self._bytes, "stdin_end": self._end}
        if self._input is not None and self._bytes:
            detail["stdin_digest"] = self._input.hexdigest()
        return detail
