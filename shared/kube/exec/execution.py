"""Runs one command in a container over the API server's WebSocket and tells how it ended.

Closing the stream ends nothing: a process survives the close of its client's socket
(kubernetes#89031). So the command runs under a supervisor (supervisor.sh) in a process
group of its own. When the time is over, the caller is gone or the function shuts down,
this module ends that group with a second exec. If this process dies first, the supervisor
sees the end of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncGenerator, AsyncIterator

from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Heartbeat
from shared.core.held import Held
from shared.errors import ClusterUnavailable, GamguiError, UnprocessableRequest
from shared.kube.api.client import RETRY_SECONDS, KubeApi
from shared.kube.api.errors import ApiError
from shared.kube.api.retries import passes, repeated
from shared.kube.exec import channels, supervisor
from shared.kube.exec.lifetime import PodLost, SocketLifetime
from shared.kube.exec.patience import Patience, Phase
from shared.kube.exec.socket import Background, Container, ExecSocket
from shared.kube.exec.stop import stop_command
from shared.kube.exec.transcript import Transcript
from shared.kube.exec.verdict import broken_off, may_be_lost, verdict
from shared.reasons import Reason

_BEGIN_SECONDS = 5.0
"""How long to wait for a command's begin after its caller has gone: only a begun command can be ended."""

_PIECE_BYTES = 64 * 1024
"""Longest piece of output that is passed on: other tasks wait while a piece is handled."""

_NO_REST = "the command has ended, but the rest of its output has not come"
_FLOOD = "the container said more than a command may that has not begun, or what no command says"


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
        held: Counts the bytes that are held of the command's output; None: nobody asks.
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
        self._transcript = Transcript(self._tag, held=held)
        self._upgraded = False

    async def events(self) -> AsyncGenerator[ExecEvent, None]:
        """Runs the command.

        Yields:
            ``Started``, then ``Output`` and ``Heartbeat`` as they come, and last ``Exit``.

        Raises:
            ApiError: The API server refused the exec.
            ClusterUnavailable: The API server was not reached.
            InvalidRequest: The command is too long.
            UnprocessableRequest: Input was given, but the server cannot end it.
        """
        header = supervisor.command_line(self._command)
        first, rest = await repeated(lambda: self._attempt(header), self._may_repeat, RETRY_SECONDS)
        async with contextlib.aclosing(rest):
            yield first
            async for event in rest:
                yield event

    async def _attempt(self, header: bytes) -> tuple[ExecEvent, AsyncGenerator[ExecEvent, None]]:
        """Begins the command; returns the first event, and what gives the others."""
        self._upgraded = False
        events = self._events(header)
        return await anext(events), events

    def _may_repeat(self, error: ClusterUnavailable) -> bool:
        """Whether to begin again. What was refused before the upgrade was tried often enough by ``KubeApi``.

        What was refused has not begun. But a part of the caller's input may be sent, and is not there again.
        """
        return self._upgraded and self._command.stdin is None and passes(error)

    async def _events(self, header: bytes) -> AsyncGenerator[ExecEvent, None]:
        life = await self._connect()
        self._upgraded = True
        socket, ended = life.socket, False
        feeding = asyncio.create_task(self._feed(socket, header))
        life.attend(self._command.timeout_seconds, self._stop)
        try:
            async for event in self._read(life):
                # After an unknown result the command may still run, unless a shutdown has told it to end.
                ended = isinstance(event, Exit) and (
                    event.result is not ExecResult.UNKNOWN or life.interrupted
                )
                yield event
        except ApiError:
            ended = True  # it was refused
            raise
        finally:
            feeding.cancel()
            life.leave()
            if ended:
                self._transcript.close()
                self._background(socket.close())
            else:
                # Awaited, because a server that is told to stop waits for its requests only;
                # shielded, because it must go on when the server gives this request up.
                await asyncio.shield(self._background(self._abandon(socket)))

    async def _connect(self) -> SocketLifetime:
        params = [("command", word) for word in supervisor.supervisor_argv(self._tag)]
        params += [("tty", "false"), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        life = await SocketLifetime.connect(
            self._api, self._container, params, pod_lost=self._pod_lost, shutdown=self._shutdown
        )
        if self._command.stdin is not None and life.socket.protocol != channels.V5:
            await life.socket.close()
            raise UnprocessableRequest(
                "this cluster speaks only v4.channel.k8s.io, which cannot end a command's input "
                "(Kubernetes 1.30 or newer can); run the command without stdin",
                reason=Reason.STDIN_NOT_SUPPORTED,
            )
        return life

    async def _read(self, life: SocketLifetime) -> AsyncGenerator[ExecEvent, None]:
        transcript, socket = self._transcript, life.socket
        patience = Patience(transcript)
        while not patience.over:
            try:
                message = await patience.receive(socket)
            except TimeoutError:
                if patience.phase is Phase.RUNNING:
                    # The ping keeps proxies from closing an idle connection; a pong is not insisted
                    # on, as the server's reader may wait for a process that reads its input slowly.
                    await socket.ping()
                    yield Heartbeat()
                continue
            if message is None:
                for event in transcript.end():
                    yield event
                yield (
                    self._broken_off(socket.fault, life)
                    if socket.fault
                    else await self._end(self._announced_end(), life)
                )
                return
            channel = message[0] if message else -1
            if channel == channels.STATUS:
                self._raise_refusal(message[1:])
                for event in transcript.end():
                    yield event
                yield await self._end(channels.read_status(message[1:]), life)
                return
            for at in range(1, max(len(message), 2), _PIECE_BYTES):
                if at > 1:
                    await asyncio.sleep(0)
                for event in transcript.feed(channel, message[at : at + _PIECE_BYTES]):
                    yield event
            if transcript.flooded:
                socket.patient = False
                yield self._broken_off(_FLOOD, life)
                return
            if transcript.code is not None:
                life.no_limit()
        socket.patient = False
        yield await self._without_status(patience.phase, life)

    def _raise_refusal(self, status: bytes) -> None:
        refusal = None if self._transcript.said_anything else channels.read_refusal(status)
        if refusal is not None:
            raise refusal

    async def _without_status(self, phase: Phase, life: SocketLifetime) -> Exit:
        """The result when there is no use in waiting for the status any longer."""
        end = self._announced_end()
        if end is not None:
            return await self._end(dataclasses.replace(end, left_running=True), life)
        return self._broken_off("it did not end" if phase is Phase.REFUSED else _NO_REST, life)

    def _announced_end(self) -> Exit | None:
        """The end as the supervisor has said it; None if it has not, or if output is still missing."""
        code = self._transcript.code
        return None if code is None or not self._transcript.complete else channels.ended_with(code)

    async def _end(self, status: Exit | None, life: SocketLifetime) -> Exit:
        """The one result of the command, made of the status, if there was one, and of what else is known."""
        if life.lost is None and may_be_lost(status) and not (life.timed_out or life.interrupted):
            # Deletion, eviction and OOM end a command by a signal or without a status: the pod tells it.
            await life.ask_whether_lost()
        return verdict(
            status,
            self._transcript.announced,
            self._limit_of(life),
            life.interrupted,
            life.lost,
            said=self._transcript.first_line,
        )

    def _broken_off(self, fault: str, life: SocketLifetime) -> Exit:
        transcript = self._transcript
        return broken_off(fault, transcript.announced, self._limit_of(life), said=transcript.first_line)

    def _limit_of(self, life: SocketLifetime) -> float | None:
        """The time limit in seconds if the command took longer, else None."""
        return self._command.timeout_seconds if life.timed_out else None

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
                # A command may end before its input does: then the rest of the input is not sent.
                await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                over.cancel()
            if sending.done() and not sending.cancelled() and sending.exception() is not None:
                # Input that broke off must not look like input that ended.
                await self._transcript.begun.wait()
                await self._stop()
                return
            await socket.send(channels.CLOSE_STDIN)

    async def _send_input(self, socket: ExecSocket, source: AsyncIterator[bytes]) -> None:
        async for data in source:
            for frame in channels.stdin_frames(data):
                await socket.send(frame)

    async def _abandon(self, socket: ExecSocket) -> None:
        """Ends the command, then the connection.

        The order matters: the command would take the close of the connection for the end of its input.
        """
        if self._command.stdin is not None:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_BEGIN_SECONDS):
                    await self._until_begun(socket)
        self._transcript.close()
        await self._stop()
        socket.patient = False
        await socket.close()

    async def _until_begun(self, socket: ExecSocket) -> None:
        """Reads on until the supervisor has said which command is to be ended."""
        while not (self._transcript.begun.is_set() or self._transcript.flooded):
            message = await socket.receive(_BEGIN_SECONDS)
            if message is None:
                return
            self._transcript.feed(message[0] if message else -1, message[1:])

    async def _stop(self) -> None:
        """Ends the command. If the cluster does not answer, only closing the socket is left to do."""
        announced = self._transcript.announced
        if announced is None or announced.pid is None:
            return  # closing the socket ends the supervisor's input, and with it the command
        argv = supervisor.stop_argv(self._tag, announced)
        with contextlib.suppress(GamguiError, TimeoutError):
            await stop_command(self._api, self._container, argv, self._background)
