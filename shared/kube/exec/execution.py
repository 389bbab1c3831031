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
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Heartbeat
from shared.core.held import Held
from shared.core.sessions.pod import PodStatus
from shared.errors import GamguiError, UnprocessableRequest
from shared.kube.api.client import KubeApi
from shared.kube.exec import channels, supervisor
from shared.kube.exec.socket import Background, Container, ExecSocket, open_exec
from shared.kube.exec.stop import stop_command
from shared.kube.exec.transcript import Transcript
from shared.kube.exec.verdict import Known, broken_off, may_be_lost, verdict
from shared.reasons import Reason

HEARTBEAT_SECONDS = 15.0
_BEGIN_SECONDS = 5.0
"""A command whose caller has gone before it began has so long to begin, so that it can be ended."""

_STATUS_SECONDS = 3.0
_SHUTDOWN_SECONDS = 8.0
"""Cloud Run kills ten seconds after SIGTERM; the rest is for the answer."""

_LOST_SECONDS = 1.0
_WATCH_AFTER_SECONDS = 1.0

_REFUSED_SECONDS = 5.0
"""When nothing was started, so long is waited for the status: its exit code is all that it adds."""

_PIECE_BYTES = 64 * 1024
"""Longest piece of output that is passed on: what is done with it takes a moment that others wait."""

_FLOOD = "the container said more than a command may that has not begun, or what no command says"

__all__ = ["Container", "Execution", "PodLost"]

PodLost: TypeAlias = Callable[[bool], Awaitable[PodStatus]]


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
        held: Counts what is held of the command's output.
    """

    def __init__(
        self,
        api: KubeApi,
        container: Container,
        command: Command,
        *,
        pod_lost: PodLost,
        background: Background,
        shutdown: asyncio.Event,
        held: Held | None = None,
    ) -> None:
        self._api = api
        self._container = container
        self._command = command
        self._pod_lost = pod_lost
        self._background = background
        self._shutdown = shutdown
        self._tag = f"gamgui-{secrets.token_hex(8)}"
        self._transcript = Transcript(self._tag, has_input=command.stdin is not None, held=held)
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
                self._transcript.close()
                self._background(socket.close())
            else:
                # Waited for, as a server that is told to stop waits for its requests only;
                # shielded, as it must go on when the server gives this request up.
                await asyncio.shield(self._background(self._abandon(socket)))

    async def _connect(self) -> ExecSocket:
        params = [("command", word) for word in supervisor.supervisor_argv(self._tag)]
        params += [("tty", "false"), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        socket = await open_exec(self._api, self._container, params)
        if self._command.stdin is not None and socket.protocol != channels.V5:
            await socket.close()
            raise UnprocessableRequest(
                "this cluster speaks only v4.channel.k8s.io, which cannot end a command's input "
                "(Kubernetes 1.30 or newer can); run the command without stdin",
                reason=Reason.STDIN_NOT_SUPPORTED,
            )
        return socket

    async def _read(self, socket: ExecSocket) -> AsyncGenerator[ExecEvent, None]:
        transcript, loop = self._transcript, asyncio.get_running_loop()
        given_up: float | None = None
        while True:
            if transcript.refused:
                given_up = given_up or loop.time() + _REFUSED_SECONDS
            left = HEARTBEAT_SECONDS if given_up is None else given_up - loop.time()
            try:
                message = await socket.receive(left)
            except TimeoutError:
                if given_up is not None:
                    yield broken_off("it did not end", self._known())
                    return
                # The ping keeps proxies from closing an idle connection; a pong is not insisted
                # on, as the server's reader may wait for a process that reads its input slowly.
                await socket.ping()
                yield Heartbeat()
                continue
            if message is None:
                fault = socket.fault
                yield broken_off(fault, self._known()) if fault else await self._end(None)
                return
            channel = message[0] if message else -1
            if channel == channels.STATUS:
                for event in transcript.end():
                    yield event
                yield await self._end(channels.read_status(message[1:]))
                return
            for at in range(1, max(len(message), 2), _PIECE_BYTES):
                if at > 1:
                    await asyncio.sleep(0)
                for event in transcript.feed(channel, message[at : at + _PIECE_BYTES]):
                    yield event
            if transcript.flooded:
                socket.patient = False
                yield broken_off(_FLOOD, self._known())
                return

    async def _end(self, status: Exit | None) -> Exit:
        """The one result of the command, from the status, if there was one, and what is known besides."""
        if self._lost is None and may_be_lost(status) and not (self._timed_out or self._interrupted):
            # Deletion, eviction and OOM end a command by signal or without a status; the pod knows.
            with contextlib.suppress(TimeoutError, GamguiError):
                self._lost = await asyncio.wait_for(self._pod_lost(False), _LOST_SECONDS)
        return verdict(status, self._known())

    def _known(self) -> Known:
        return Known(
            announced=self._transcript.announced,
            first_line=self._transcript.first_line,
            timeout_seconds=self._command.timeout_seconds,
            timed_out=self._timed_out,
            interrupted=self._interrupted,
            lost=self._lost,
        )

    async def _feed(self, socket: ExecSocket, header: bytes) -> None:
        """Sends the header, then the caller's input. Ends quietly when the socket does."""
        with contextlib.suppress(ConnectionError):
            for frame in channels.stdin_frames(header):
                await socket.send(frame)
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
            await socket.send(channels.CLOSE_STDIN)

    async def _send_input(self, socket: ExecSocket, source: AsyncIterator[bytes]) -> None:
        async for data in source:
            for frame in channels.stdin_frames(data):
                await socket.send(frame)

    async def _limit(self, socket: ExecSocket) -> None:
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
        await socket.close()

    async def _watch(self, socket: ExecSocket) -> None:
        """Ends the stream of a pod that died: such streams may stay open (kubernetes#129144)."""
        await asyncio.sleep(_WATCH_AFTER_SECONDS)
        while self._lost is None:
            try:
                self._lost = await self._pod_lost(True)
            except GamguiError:
                await asyncio.sleep(_WATCH_AFTER_SECONDS)  # the cluster is away: the pod may live
        await asyncio.sleep(_LOST_SECONDS)
        await socket.close()

    async def _abandon(self, socket: ExecSocket) -> None:
        """Ends the command, then its connection: to be closed would look to it like input that ended."""
        if self._command.stdin is not None:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_BEGIN_SECONDS):
                    await self._until_begun(socket)
        self._transcript.close()
        await self._stop_quietly()
        socket.patient = False
        await socket.close()

    async def _until_begun(self, socket: ExecSocket) -> None:
        """Reads on until it is known which command is to be ended."""
        while not (self._transcript.begun.is_set() or self._transcript.flooded):
            message = await socket.receive(_BEGIN_SECONDS)
            if message is None:
                return
            self._transcript.feed(message[0] if message else -1, message[1:])

    async def _stop_quietly(self) -> None:
        """Where the cluster does not answer, closing the socket is what is left to do."""
        with contextlib.suppress(GamguiError, TimeoutError):
            await self._stop()

    async def _stop(self) -> None:
        announced = self._transcript.announced
        if announced is not None and announced.pid is not None:
            argv = supervisor.stop_argv(self._tag, announced)
            await stop_command(self._api, self._container, argv, self._background)
        # Otherwise closing the socket ends the supervisor's input, and with it the command.
