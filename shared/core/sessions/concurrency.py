"""The limits on what runs at once: commands in one session, and streams of one owner and of all."""

from __future__ import annotations

import contextlib
import enum
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TypeVar

from shared.errors import TooManyRequests
from shared.reasons import Reason

_T = TypeVar("_T")

_RETRY_SECONDS = 1.0
_STREAM_RETRY_SECONDS = 5.0


class ExecSlots:
    """Counts the commands that this instance runs in each session.

    The counts are in memory: a count that all instances share would cost two writes of the session's
    document for each command, and would stay too high when an instance dies.

    Args:
        limit: Maximum number of commands at once in one session.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, session_id: str) -> Generator[None]:
        """A context that takes one slot of the session until it ends.

        Raises:
            TooManyRequests: No slot is free (reason ``TOO_MANY_EXECS``).
        """
        if self._running[session_id] >= self._limit:
            raise TooManyRequests(
                f"{self._limit} commands run in this session already",
                reason=Reason.TOO_MANY_EXECS,
                retry_after_seconds=_RETRY_SECONDS,
                session=session_id,
                limit=self._limit,
            )
        self._running[session_id] += 1
        try:
            yield
        finally:
            self._running[session_id] -= 1
            if not self._running[session_id]:
                del self._running[session_id]


class StreamKind(enum.StrEnum):
    """What a stream between a caller and a pod carries: a command, or anything else."""

    COMMAND = "command"
    OTHER = "other"


class Streams:
    """Counts this instance's streams between callers and pods: each costs descriptors and memory.

    The counts are in memory, for the same reason as those of ``ExecSlots``.

    Args:
        of_owner: Maximum number of streams of one owner at once, by kind; absent: not limited.
        total: Maximum number of streams of all owners at once; None: not limited.
    """

    def __init__(self, of_owner: Mapping[StreamKind, int] | None = None, total: int | None = None) -> None:
        self._of_owner = of_owner or {}
        self._total = total
        self._open: Counter[tuple[str, StreamKind]] = Counter()
        self._all = 0

    @contextlib.contextmanager
    def taken(self, owner: str, kind: StreamKind = StreamKind.OTHER) -> Generator[None]:
        """A context that counts one stream of an owner until it ends.

        Raises:
            TooManyRequests: The owner or the instance has as many as it may have (reason
                ``TOO_MANY_STREAMS``).
        """
        limit = self._of_owner.get(kind)
        if limit is not None and self._open[owner, kind] >= limit:
            what = (
                "commands" if kind is StreamKind.COMMAND else "streams (followers of jobs, transfers, lists)"
            )
            raise _too_many_streams(f"you have {limit} {what} at once, which is the most", limit)
        if self._total is not None and self._all >= self._total:
            raise _too_many_streams("too many commands and streams are open here", self._total)
        self._open[owner, kind] += 1
        self._all += 1
        try:
            yield
        finally:
            self._all -= 1
            self._open[owner, kind] -= 1
            if not self._open[owner, kind]:
                del self._open[owner, kind]

    async def counted(self, owner: str, source: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
        """The items of a generator, which is one stream of the owner from its first item until it is closed.

        Raises:
            TooManyRequests: As in ``taken``.
        """
        async with contextlib.aclosing(source):
            with self.taken(owner):
                async for item in source:
                    yield item


def _too_many_streams(detail: str, limit: int) -> TooManyRequests:
    return TooManyRequests(
        f"{detail}: end one, or try again later",
        reason=Reason.TOO_MANY_STREAMS,
        retry_after_seconds=_STREAM_RETRY_SECONDS,
        limit=limit,
    )
