"""One exec's WebSocket: whatever the peer sends, it bounds frames, lets other tasks run and ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeAlias

import aiohttp

from shared.core.held import PIECE_OVERHEAD
from shared.errors import ClusterUnavailable
from shared.kube.api.client import KubeApi
from shared.kube.exec import channels

MAX_FRAME_BYTES = 1024 * 1024
"""Longest message that is read; the kubelet sends 32 KiB at most (io.Copy)."""

_TURN_BYTES = 64 * 1024
"""After so many bytes that had arrived already, the event loop's other tasks have a turn."""

_CLOSE_SECONDS = 1.0

Background: TypeAlias = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """Where to run: a container of a pod."""

    namespace: str
    pod: str
    name: str

    @property
    def exec_path(self) -> str:
        """Path of the exec subresource."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/exec"


class ExecSocket:
    """One connection. Only one task may receive at a time.

    Args:
        socket: The upgraded connection.

    Attributes:
        fault: Why the connection ended, if the cause was a message of the other end; else empty.
        patient: Whether closing waits for the other end and throws away what it still sends. Set it to
            False where that may be much.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._turn = 0
        self._receiving: asyncio.Timeout | None = None
        self._closing: float | None = None
        self.fault = ""
        self.patient = True

    @property
    def protocol(self) -> str | None:
        """The subprotocol that was agreed on."""
        return self._socket.protocol

    async def send(self, frame: bytes) -> None:
        """Sends a binary message.

        Raises:
            ConnectionError: The connection has ended.
        """
        await self._socket.send_bytes(frame)

    async def ping(self) -> None:
        """Sends a ping, if the connection lives."""
        with contextlib.suppress(ConnectionError):
            await self._socket.ping()

    async def receive(self, seconds: float) -> bytes | None:
        """The next binary message; None when no more comes.

        Args:
            seconds: How long to wait.

        Raises:
            TimeoutError: Nothing came.
        """
        await self._give_way()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        try:
            # aiohttp's own limit would end before aiohttp closes the socket, which aiohttp does only when
            # the other end has nothing more to say.
            async with asyncio.timeout_at(min(deadline, self._closing or deadline)) as self._receiving:
                message = await self._socket.receive()
        except TimeoutError:
            if self._closing is None:
                raise
            return None
        finally:
            self._receiving = None
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            self._turn += len(data) + PIECE_OVERHEAD
            return data
        if message.type is aiohttp.WSMsgType.TEXT:
            self.fault = "the container sent a message that is none of the protocol's"
        elif message.type is aiohttp.WSMsgType.ERROR:
            self.fault = f"the container sent a message that is broken or longer than {MAX_FRAME_BYTES} bytes"
        return None

    async def close(self) -> None:
        """Closes the connection, in a second even if the other end goes on sending."""
        self._closing = asyncio.get_running_loop().time() + (_CLOSE_SECONDS if self.patient else 0)
        # A wait whose time is over cannot be rescheduled, even if its task does not know that yet.
        if self._receiving is not None and not self._receiving.expired():
            self._receiving.reschedule(self._closing)
        with contextlib.suppress(ConnectionError, ClusterUnavailable, TimeoutError):
            async with asyncio.timeout_at(self._closing):
                await self._socket.close()

    async def _give_way(self) -> None:
        """Lets other tasks run now and then: to receive what has arrived already never suspends a task."""
        if self._turn >= _TURN_BYTES:
            self._turn = 0
            await asyncio.sleep(0)


async def open_exec(api: KubeApi, container: Container, params: Sequence[tuple[str, str]]) -> ExecSocket:
    """Begins an exec.

    Args:
        api: The cluster.
        container: Where to run.
        params: Query parameters of the subresource.

    Raises:
        ApiError: The API server refused it.
        ClusterUnavailable: It was not reached.
    """
    socket = await api.websocket(
        container.exec_path,
        params=[*params, ("container", container.name)],
        protocols=(channels.V5, channels.V4),
        max_message_bytes=MAX_FRAME_BYTES,
    )
    return ExecSocket(socket)
