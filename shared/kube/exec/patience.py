"""How long an exec is read on when the command has ended, or has not even begun.

A process that has left its command's group may keep the command's output open. Then Kubernetes sends no
status, however long ago the command ended (what a container runtime waits for is the end of the output).
So the supervisor says itself that the command has ended, on both streams: what comes before these marks is
all of the command's output.

Only time that is spent waiting for the container counts: a caller that reads slowly cuts nothing off.
"""

from __future__ import annotations

import asyncio
import enum
import math

from shared.core.held import PIECE_OVERHEAD
from shared.kube.exec.socket import ExecSocket
from shared.kube.exec.transcript import Transcript

HEARTBEAT_SECONDS = 15.0
"""Longest wait in one go while the command runs."""

_MIB = 1024 * 1024


class Phase(enum.Enum):
    """What is still to come, with the most seconds of waiting for it and the most bytes that it may take."""

    RUNNING = (math.inf, math.inf)
    REFUSED = (5.0, math.inf)
    """Nothing was started. The status adds only the exit code."""
    ENDED = (10.0, 64 * _MIB)
    """The command has ended; the rest of its standard output is in the buffers on its way."""
    COMPLETE = (2.0, _MIB)
    """All of the command's output has come; the status has not, or what was left behind holds it up."""


class Patience:
    """Receives one exec's messages as long as there is something to wait for.

    Args:
        transcript: Says how far the command is.
    """

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._seconds, self._bytes = Phase.RUNNING.value
        self.phase = Phase.RUNNING

    async def receive(self, socket: ExecSocket) -> bytes | None:
        """The next message; None when no more comes.

        Raises:
            TimeoutError: Nothing came. Ask ``over`` whether to go on.
        """
        self._look()
        loop = asyncio.get_running_loop()
        began, limit = loop.time(), min(HEARTBEAT_SECONDS, self._seconds)
        try:
            message = await socket.receive(max(limit, 0))
        except TimeoutError:
            self._seconds -= max(limit, loop.time() - began)
            raise
        self._seconds -= loop.time() - began
        self._bytes -= len(message or b"") + PIECE_OVERHEAD
        return message

    @property
    def over(self) -> bool:
        """Whether what was waited for has not come."""
        self._look()
        return self._seconds <= 0 or self._bytes <= 0

    def _look(self) -> None:
        phase = self._phase()
        if phase is not self.phase:
            self.phase = phase
            self._seconds, self._bytes = phase.value

    def _phase(self) -> Phase:
        if self._transcript.refused:
            return Phase.REFUSED
        if self._transcript.code is None:
            return Phase.RUNNING
        return Phase.COMPLETE if self._transcript.complete else Phase.ENDED
