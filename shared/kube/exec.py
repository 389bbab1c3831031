"""Runs one command in a container over the API server's WebSocket and tells how it ended.

The stream itself ends nothing: a process survives the close of its client's socket
(kubernetes#89031). So the command runs under a supervisor (supervisor.sh) in a process
group of its own, and whoever gives up here - time over, caller gone, function shutting
down - ends that group with a second exec. Should this process die first, the supervisor
sees the end of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import TypeAlias

import aiohttp

from shared.errors import ClusterUnavailable, GamguiError, UnprocessableRequest
from shared.kube import channels, supervisor
from shared.kube.api import KubeApi
from shared.kube.transcript import Transcript
from shared.sessions.execution import Command, ExecEvent, ExecResult, Exit, Heartbeat
from shared.sessions.ports import PodStatus

HEARTBEAT_SECONDS = 15.0
_STOP_SECONDS = 10.0
"""The command has five seconds to end after TERM; the rest is for the exec that sends it."""

_BEGIN_SECONDS = 5.0
"""A command whose caller has gone before it began has so long to begin, so that it can be ended."""

_STATUS_SECONDS = 3.0
_SHUTDOWN_SECONDS = 8.0
"""Cloud Run kills ten seconds after SIGTERM; the rest is for the answer."""

_INTERRUPTED = "the service instance shut down and told the command to end"
_LOST_SECONDS = 1.0
_WATCH_AFTER_SECONDS = 1.0

PodLost: TypeAlias = Callable[[bool], Awaitable[PodStatus]]


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


class Execution:
    """One command. Iterate ``events()`` once, and close it.

    Args:
        api: The cluster.
        container: Where to run.
        command: What to run.
        pod_lost: Waits until the pod has failed or is gone, then says how; with True,
            a pod that is being deleted counts only when its grace period is over.
        background: Runs a coroutine to its end, as a task of its own.
        shutdown: Set when this process is told to end, and the command with it.
    """

    def __init__(
        self,
        api: KubeApi,
        container: Container,
        command: Command,
        *,
        pod_lost: PodLost,
        background: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
        shutdown: asyncio.Event,
    ) -> None:
        self._api = api
        self._container = container
        self._command = command
        self._pod_lost = pod_lost
        self._background = background
        self._shutdown = shutdown
        self._tag = f"gamgui-{secrets.token_hex(8)}"
        self._transcript = Transcript(self._tag, has_input=command.stdin is not None)
        self._timed_out = False
        self._interrupted = False
        self._lost: PodStatus | None = None

    async def events(self) -> AsyncGenerator[ExecEvent, None]:
        """Runs the command.

        Yields:
            ``Started``, then ``Output`` and ``Heartbeat`` as they come, and last ``Exit``.

        Raises:
            ApiError: The API server refused the exec.
            ClusterUnavailable: It was not reached.
            InvalidRequest: The command is too long.
            UnprocessableRequest: Input was given, but the server cannot end it.
        """
        header = supervisor.command_line(self._command)
        socket = await self._connect()
        ended = False
        tasks = [
            asyncio.create_task(self._feed(socket, header)),
            asyncio.create_task(self._limit(socket)),
            asyncio.create_task(self._watch(socket)),
        ]
        try:
            async for event in self._read(socket):
                # Where nobody knows how it ended, it may still run; all there was to do may be done.
                ended = isinstance(event, Exit) and (
                    event.result is not ExecResult.UNKNOWN or self._interrupted
                )
                yield event
        finally:
            for task in tasks:
                task.cancel()
            if ended:
                self._background(_close(socket))
            else:
                # Waited for, as a server that is told to stop waits for its requests only;
                # shielded, as it must go on when the server gives this request up.
                await asyncio.shield(self._background(self._abandon(socket)))

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        params = [("command", word) for word in supervisor.supervisor_argv(self._tag)]
        params += [("container", self._container.name), ("tty", "false")]
        params += [(stream, "true") for stream in ("stdin", "stdout", "stderr")]
        socket = await self._api.websocket(
            self._container.exec_path, params=params, protocols=(channels.V5, channels.V4)
        )
        if self._command.stdin is not None and socket.protocol != channels.V5:
            await _close(socket)
            raise UnprocessableRequest(
                "this cluster speaks only v4.channel.k8s.io, which cannot end a command's input "
                "(Kubernetes 1.30 or newer can); run the command without stdin",
                reason="STDIN_NOT_SUPPORTED",
            )
        return socket

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[ExecEvent, None]:
        while True:
            try:
                message = await socket.receive(timeout=HEARTBEAT_SECONDS)
            except TimeoutError:
                # The ping keeps proxies from closing an idle connection; a pong is not insisted
                # on, as the server's reader may wait for a process that reads its input slowly.
                with contextlib.suppress(ConnectionError):
                    await socket.ping()
                yield Heartbeat()
                continue
            if message.type is not aiohttp.WSMsgType.BINARY:
                yield await self._end(None)
                return
            channel, data = message.data[0] if message.data else -1, message.data[1:]
            if channel == channels.STATUS:
                for event in self._transcript.end():
                    yield event
                yield await self._end(channels.read_status(data))
                return
            for event in self._transcript.feed(channel, data):
                yield event

    async def _end(self, status: Exit | None) -> Exit:
        """The one result of the command, from the status, if there was one, and what is known besides."""
        killed = status is None or status.exit_code in (137, 143)
        if self._lost is None and killed and not (self._timed_out or self._interrupted):
            # Deletion, eviction and OOM end a command by signal or without a status; the pod knows.
            with contextlib.suppress(TimeoutError, GamguiError):
                self._lost = await asyncio.wait_for(self._pod_lost(False), _LOST_SECONDS)
        code = status.exit_code if status else None
        if self._timed_out:
            limit = f"the command took longer than {self._command.timeout_seconds:g} s and was ended"
            name = status.signal if status else None
            return Exit(result=ExecResult.TIMED_OUT, exit_code=code, signal=name, reason=limit)
        if self._lost is not None and killed:
            return Exit(result=ExecResult.POD_LOST, reason=self._lost.reason)
        if status is None:
            reason = "the connection to the container ended without a status"
            return Exit(result=ExecResult.UNKNOWN, reason=_INTERRUPTED if self._interrupted else reason)
        announced = self._transcript.announced
        if announced is not None and announced.failure is not None:
            return Exit(result=ExecResult.START_FAILED, reason=announced.failure)
        if announced is None and status.result is not ExecResult.START_FAILED:
            said = self._transcript.first_line.decode(errors="replace").strip()
            reason = f"the image's shell could not start the command: {said or f'exit code {code}'}"
            return Exit(result=ExecResult.START_FAILED, reason=reason)
        return dataclasses.replace(status, reason=_INTERRUPTED) if self._interrupted else status

    async def _feed(self, socket: aiohttp.ClientWebSocketResponse, header: bytes) -> None:
        """Sends the header, then the caller's input. Ends quietly when the socket does."""
        with contextlib.suppress(ConnectionError):
            for frame in channels.stdin_frames(header):
                await socket.send_bytes(frame)
            if self._command.stdin is None:
                return
            sending = asyncio.create_task(self._send_input(socket, self._command.stdin))
            over = asyncio.create_task(self._transcript.input_over.wait())
            try:
                # A command may end before its input: what is left is not sent.
                await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                over.cancel()
            if sending.done() and not sending.cancelled() and sending.exception() is not None:
                # Input that broke off must not look like input that ended.
                await self._transcript.begun.wait()
                await self._stop_quietly()
                return
            await socket.send_bytes(channels.CLOSE_STDIN)

    async def _send_input(
        self, socket: aiohttp.ClientWebSocketResponse, source: AsyncIterator[bytes]
    ) -> None:
        async for data in source:
            for frame in channels.stdin_frames(data):
                await socket.send_bytes(frame)

    async def _limit(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ends the command when its time or this process's is over; then waits a little for the status."""
        try:
            async with asyncio.timeout(self._command.timeout_seconds):
                await self._shutdown.wait()
        except TimeoutError:
            self._timed_out = True
        else:
            self._interrupted = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_SECONDS if self._interrupted else None):
                await self._stop_quietly()
                await asyncio.sleep(_STATUS_SECONDS)
        await _close(socket)

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ends the stream of a pod that died: such streams may stay open (kubernetes#129144)."""
        await asyncio.sleep(_WATCH_AFTER_SECONDS)
        while self._lost is None:
            try:
                self._lost = await self._pod_lost(True)
            except GamguiError:
                await asyncio.sleep(_WATCH_AFTER_SECONDS)  # the cluster is away: the pod may live
        await asyncio.sleep(_LOST_SECONDS)
        await _close(socket)

    async def _abandon(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ends the command, then its connection: to be closed would look to it like input that ended."""
        if self._command.stdin is not None:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_BEGIN_SECONDS):
                    await self._until_begun(socket)
        await self._stop_quietly()
        await _close(socket)

    async def _until_begun(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Reads on until it is known which command is to be ended."""
        while not self._transcript.begun.is_set():
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            if message.data:
                self._transcript.feed(message.data[0], message.data[1:])

    async def _stop_quietly(self) -> None:
        """Where the cluster does not answer, closing the socket is what is left to do."""
        with contextlib.suppress(GamguiError, TimeoutError):
            await self._stop()

    async def _stop(self) -> None:
        """Ends the command's process group by a second exec: TERM, then KILL after 5 s."""
        announced = self._transcript.announced
        if announced is None or announced.pid is None:
            return  # closing the socket ends the supervisor's input, and with it the command
        params = [("command", word) for word in supervisor.stop_argv(self._tag, announced)]
        params += [("container", self._container.name), ("stdout", "true"), ("stderr", "true")]
        async with asyncio.timeout(_STOP_SECONDS):
            socket = await self._api.websocket(
                self._container.exec_path, params=params, protocols=(channels.V5, channels.V4)
            )
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == bytes(
                        [channels.STATUS]
                    ):
                        break
            finally:
                self._background(_close(socket))


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError, ClusterUnavailable):
        await socket.close()
