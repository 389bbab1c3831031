"""Reads the output of a script in the pod, lines and then bytes, and translates its failures."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Container

from shared.core.commands import ExecEvent, ExecResult, Exit, Output
from shared.core.held import Held, HeldBuffer, bounded
from shared.errors import (
    Conflict,
    GamguiError,
    InsufficientStorage,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TransferFailed,
)
from shared.reasons import Reason

log = logging.getLogger(__name__)

SHA256 = re.compile(r"[0-9a-f]{64}")
"""A hash as scripts print it."""

_MAX_LINE_BYTES = 8192
"""Longest line; a line may hold a path, which has at most 4095 bytes."""

_MAX_KEPT_STDERR = 1000
_MAX_STDERR_BYTES = 1024 * 1024
"""Most error output; a tar of a folder complains about each file that it cannot read."""

_MAX_FAREWELL_BYTES = 64 * 1024
"""Most output that is read while a script ends that has nothing more to say."""

_CHANGED = 3
"""Exit code of a script that has sent a part of a file which then changed."""


class Answer:
    """Reads the output of one script. Close it after use.

    Args:
        events: The events of the script's command.
        path: The path that the script works on, for messages.
        held: Counts the bytes that are held of the output; None: they are not counted.
    """

    def __init__(self, events: AsyncGenerator[ExecEvent, None], path: str, held: Held | None = None) -> None:
        self._events = bounded(events, stdout=None, stderr=_MAX_STDERR_BYTES)
        self._buffer = HeldBuffer(held or Held())
        self._path = path
        self._rest = b""
        self._errors = b""
        self._exit: Exit | None = None

    async def line(self) -> list[str]:
        """The next line, split into words.

        Raises:
            GamguiError: The script says that its work cannot be done, or ended without printing a line.
        """
        read = bytearray()
        newline = -1
        while newline < 0:
            piece = await self._next()
            if piece is None:
                raise self._fault()
            looked = len(read)
            read += piece
            self._buffer.resize(len(read))
            newline = read.find(b"\n", looked, _MAX_LINE_BYTES)
            if newline < 0 and len(read) >= _MAX_LINE_BYTES:
                raise self._fault()
        line, self._rest = bytes(read[:newline]), bytes(read[newline + 1 :])
        self._buffer.resize(len(self._rest))
        words = line.decode(errors="replace").split(" ")
        if words[0].startswith("!"):
            await self.end_quietly()
            raise self._refusal(words[0][1:], " ".join(words[1:]))
        return words

    @property
    def exit_code(self) -> int | None:
        """The script's exit code; None before its end, or if it is not known."""
        return None if self._exit is None else self._exit.exit_code

    async def chunks(self, success: Container[int] = (0,)) -> AsyncGenerator[bytes, None]:
        """The rest of the output, to the end of the script.

        Args:
            success: Exit codes of a script that has done its work.

        Raises:
            GamguiError: The script failed, so that the output is incomplete or wrong.
        """
        while (piece := await self._next()) is not None:
            yield piece
        end = self._exit
        if end is None or end.result is not ExecResult.EXITED or end.exit_code not in success:
            raise self._fault()

    async def end_quietly(self) -> None:
        """Waits for the end of a script with nothing more to say; reads only a little if it goes on."""
        left = _MAX_FAREWELL_BYTES
        while left > 0 and (piece := await self._next()) is not None:
            left -= len(piece)

    async def aclose(self) -> None:
        """Ends the script, if it still runs."""
        self._buffer.resize(0)
        await self._events.aclose()

    async def _next(self) -> bytes | None:
        """The next bytes; None when there are no more."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._buffer.resize(0)
            return rest
        async for event in self._events:
            if isinstance(event, Exit):
                self._exit = event
            elif isinstance(event, Output) and event.stream == "stdout":
                return event.data
            elif isinstance(event, Output):
                self._errors = (self._errors + event.data)[-_MAX_KEPT_STDERR:]
        return None

    def _changed(self) -> GamguiError:
        """The error for a file that was rewritten while it was read."""
        return TransferFailed(
            "the file changed while it was read; read it again", reason=Reason.FILE_CHANGED, path=self._path
        )

    def _fault(self) -> GamguiError:
        """The error for a script that did not end as it should have."""
        end = self._exit
        if end is not None and end.result is ExecResult.POD_LOST:
            return NotFound(f"the session's pod does not run: {end.reason}", reason=Reason.POD_NOT_RUNNING)
        if end is not None and (end.result, end.exit_code) == (ExecResult.EXITED, _CHANGED):
            return self._changed()
        log.warning("a file script ended unexpectedly: %s; stderr: %r", end, self._errors)
        if end is not None and end.result is ExecResult.TIMED_OUT:
            return TransferFailed("it took longer than a request may take", path=self._path)
        return TransferFailed(
            "the pod did not do its part to the end; look at the file, then try again", path=self._path
        )

    def _refusal(self, word: str, more: str) -> GamguiError:
        """The error that a script's word stands for."""
        path = self._path
        errors: dict[str, GamguiError] = {
            "missing": NotFound("there is no such file", reason=Reason.FILE_NOT_FOUND, path=path),
            "folder": Conflict(
                "it is a folder: list it with ?list=true, or accept application/x-tar",
                reason=Reason.NOT_A_FILE,
                path=path,
            ),
            "in-the-way": Conflict(
                f"a folder is where the tar has a file: {more}", reason=Reason.NOT_A_FILE, path=path
            ),
            "not-a-file": Conflict("it is neither file nor folder", reason=Reason.NOT_A_FILE, path=path),
            "not-a-folder": Conflict(
                "it, or what the path leads through, is not a folder", reason=Reason.NOT_A_FOLDER, path=path
            ),
            "not-empty": Conflict("the folder is not empty", reason=Reason.FOLDER_NOT_EMPTY, path=path),
            "outside": PermissionDenied(
                "the path leads out of the workspace", reason=Reason.PATH_OUTSIDE_WORKSPACE, path=path
            ),
            "denied": PermissionDenied(
                "the file's or folder's permissions forbid it", reason=Reason.FILE_ACCESS_DENIED, path=path
            ),
            "changed": self._changed(),
            "full": InsufficientStorage("the session's disk is full", path=path),
            "wrong-digest": InvalidRequest(
                "the file is not what Repr-Digest says; nothing was stored",
                reason=Reason.DIGEST_MISMATCH,
                field="Repr-Digest",
            ),
            "broken": TransferFailed("what the pod wrote is not what was sent; try again", path=path),
            "missing-tool": Conflict(
                f"the session's image has no {more}, which files need",
                reason=Reason.IMAGE_UNSUITABLE,
                tool=more,
            ),
        }
        return errors.get(word) or self._fault()
