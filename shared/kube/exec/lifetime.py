"""The life of an exec's WebSocket: connect, then end when time is over, the pod is lost or we shut down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from shared.core.sessions.pod import PodStatus
from shared.errors import GamguiError
from shared.kube.api.client import KubeApi
from shared.kube.exec.socket import Container, ExecSocket, open_exec

_STATUS_SECONDS = 3.0
"""How long the status may take to come after the command was told to end."""

_SHUTDOWN_SECONDS = 8.0
"""Cloud Run kills ten seconds after SIGTERM; the rest is for the answer."""

_LOST_SECONDS = 1.0
_WATCH_AFTER_SECONDS = 1.0

PodLost: TypeAlias = Callable[[bool], Awaitable[PodStatus]]
Stop: TypeAlias = Callable[[], Awaitable[None]]


class SocketLifetime:
    """The life of one exec's socket. It knows nothing of what the two ends say to each other.

    Begin with ``connect``, then call ``attend``, and ``leave`` before you close the socket.

    Args:
        socket: A socket that was just opened.
        pod_lost: Waits until the pod has failed or is gone, then returns how; with True,
            a pod that is being deleted counts only when its grace period is over.
        shutdown: Set when this process is told to end, and the exec with it.

    Attributes:
        socket: The socket as given.
        timed_out: The time limit was reached.
        interrupted: This process was told to end.
        lost: How the pod ended; None: it is not known to have ended.
    """

    def __init__(self, socket: ExecSocket, *, pod_lost: PodLost, shutdown: asyncio.Event) -> None:
        self.socket = socket
        self.timed_out = False
        self.interrupted = False
        self.lost: PodStatus | None = None
        self._pod_lost = pod_lost
        self._shutdown = shutdown
        self._tasks: list[asyncio.Task[None]] = []
        self._limited: asyncio.Timeout | None = None

    @classmethod
    async def connect(
        cls,
        api: KubeApi,
        container: Container,
        params: Sequence[tuple[str, str]],
        *,
        pod_lost: PodLost,
        shutdown: asyncio.Event,
    ) -> SocketLifetime:
        """Begins an exec.

        Args:
            api: The cluster.
            container: Where to run.
            params: Query parameters of the subresource, the container's name excepted.
            pod_lost: See the class.
            shutdown: See the class.

        Raises:
            ApiError: The API server refused it.
            ClusterUnavailable: It was not reached.
        """
        return cls(await open_exec(api, container, params), pod_lost=pod_lost, shutdown=shutdown)

    def attend(self, timeout_seconds: float, stop: Stop) -> None:
        """Closes the socket when the time is over, the pod is lost or this process is told to end.

        Args:
            timeout_seconds: Longest time that the exec may take.
            stop: Ends what runs in the container. It is called when the time is over and at a shutdown,
                before the socket is closed. It must not raise: nobody is there to catch it.
        """
        self._tasks = [
            asyncio.create_task(self._limit(timeout_seconds, stop)),
            asyncio.create_task(self._watch()),
        ]

    async def ask_whether_lost(self) -> None:
        """Gives the cluster a second to say that the pod has ended; ``lost`` then holds the answer."""
        with contextlib.suppress(TimeoutError, GamguiError):
            async with asyncio.timeout(_LOST_SECONDS):  # wait_for may lose a cancellation in Python 3.11
                self.lost = await self._pod_lost(False)

    def no_limit(self) -> None:
        """What the time limit is for has ended: it does not come any more. If it has come, it stands."""
        if self._limited is not None and not (self.interrupted or self._limited.expired()):
            self._limited.reschedule(None)

    def leave(self) -> None:
        """Ends what ``attend`` began. The socket stays open."""
        for task in self._tasks:
            task.cancel()

    async def _limit(self, timeout_seconds: float, stop: Stop) -> None:
        """Ends the exec at its time limit or at this process's shutdown; waits a little for the status."""
        try:
            async with asyncio.timeout(timeout_seconds) as self._limited:
                await self._shutdown.wait()
        except TimeoutError:
            self.timed_out = True
        else:
            self.interrupted = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_SECONDS if self.interrupted else None):
                await stop()
                await asyncio.sleep(_STATUS_SECONDS)
        await self.socket.close()

    async def _watch(self) -> None:
        """Closes the stream of a pod that died, because it may stay open (kubernetes#129144)."""
        await asyncio.sleep(_WATCH_AFTER_SECONDS)
        while self.lost is None:
            try:
                self.lost = await self._pod_lost(True)
            except GamguiError:
                await asyncio.sleep(_WATCH_AFTER_SECONDS)  # the cluster is away: the pod may live
        await asyncio.sleep(_LOST_SECONDS)
        await self.socket.close()
