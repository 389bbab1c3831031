"""One exec session: connects the frames of a WebSocket with the streams of a command.

The first byte of a message is its channel: 0 stdin, 1 stdout, 2 stderr, 3 status, 4 resize. In v5 a client
ends its stdin by the two bytes 255 and channel (k8s.io/apimachinery/pkg/util/remotecommand).
"""

import asyncio
import json
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from ..runtime.model import RunningContainer, StartError
from . import statuses
from .commands import ExecProcess, start, start_terminal
from .descriptors import Descriptor

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
PROTOCOLS = (V5, V4)
_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_FRAME = 32 * 1024
_MAX_MESSAGE = 4 * 1024 * 1024
# After so many bytes other sessions get their turn; a socket that is never full would keep the event loop
# busy.
_TURN = 8 * _FRAME
_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """The command that a client wants to run, and with which streams."""

    command: tuple[str, ...]
    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


class ExecSession:
    """Runs one command for one client.

    Args:
        request: The request to upgrade; it offers one of :data:`PROTOCOLS`.
        options: The command and its streams.
    """

    def __init__(self, request: web.Request, options: ExecOptions) -> None:
        self._request = request
        self._options = options
        self._socket = web.WebSocketResponse(
            protocols=PROTOCOLS, compress=False, max_msg_size=_MAX_MESSAGE, timeout=_CLOSE_TIMEOUT_S
        )

    async def run(self, container: RunningContainer | None, container_id: str) -> web.WebSocketResponse:
        """Upgrade the connection, run the command, and send its output and its exit status.

        Args:
            container: The container to run it in, or None when the container has ended.
            container_id: Id of the container, for the message in that case.
        """
        await self._socket.prepare(self._request)
        # An empty message on the lowest channel tells the client that the session has begun.
        first = _STDOUT if self._options.stdout else _STDERR if self._options.stderr else _STATUS
        await self._send(first, b"")
        if container is None:
            await self._end(statuses.not_running(container_id))
            return self._socket
        try:
            process = self._start(container)
        except StartError as error:
            await self._end(statuses.not_started(str(error)))
            return self._socket
        await self._serve(process)
        return self._socket

    def _start(self, container: RunningContainer) -> ExecProcess:
        options = self._options
        if options.tty:
            return start_terminal(container, options.command)
        return start(
            container, options.command, stdin=options.stdin, stdout=options.stdout, stderr=options.stderr
        )

    async def _serve(self, process: ExecProcess) -> None:
        client = asyncio.create_task(self._receive(process))
        outputs = asyncio.create_task(self._forward_all(process))
        try:
            await asyncio.wait((client, outputs), return_when=asyncio.FIRST_COMPLETED)
            if not outputs.done():
                return
            outputs.result()
            code = await process.exit
            await self._end(statuses.exited(code) if code else statuses.success())
        except ConnectionError:
            return
        finally:
            client.cancel()
            outputs.cancel()
            # This comes before the next await, because this task is cancelled when the client's connection is
            # lost.
            process.abandon()
            await asyncio.gather(client, outputs, return_exceptions=True)

    async def _forward_all(self, process: ExecProcess) -> None:
        """Send all output until the command has closed it and has ended."""
        streams = ((_STDOUT, process.stdout), (_STDERR, process.stderr))
        async with asyncio.TaskGroup() as group:
            for channel, descriptor in streams:
                if descriptor is not None:
                    group.create_task(self._forward(channel, descriptor))
        await asyncio.shield(process.exit)

    async def _forward(self, channel: int, descriptor: Descriptor) -> None:
        sent = 0
        frame = memoryview(bytearray(1 + _FRAME))
        frame[0] = channel
        while count := await descriptor.read_into(frame[1:]):
            await self._socket.send_bytes(bytes(frame[: 1 + count]))
            sent += count
            if sent >= _TURN:
                sent = 0
                await asyncio.sleep(0)

    async def _receive(self, process: ExecProcess) -> None:
        """Take messages from the client until it closes the socket.

        No input is kept here: a command that does not read its input stops this method, and with it the
        client.
        """
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT) or not message.data:
                continue
            # The API server treats text and binary messages alike, and the official client sends text as
            # text.
            data: bytes = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            channel = data[0]
            if channel == _STDIN and process.stdin is not None:
                await process.stdin.write(memoryview(data)[1:])
            elif channel == _RESIZE:
                _resize(process, data[1:])
            elif channel == _CLOSE and self._socket.ws_protocol == V5 and data[1:] == bytes((_STDIN,)):
                process.close_stdin()

    async def _send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes((channel,)) + data)

    async def _end(self, status: bytes) -> None:
        try:
            await self._send(_STATUS, status)
            await self._socket.close()
        except ConnectionError:
            # The client left before the status could be sent.
            return


def _resize(process: ExecProcess, data: bytes) -> None:
    try:
        size = json.loads(data)
        columns, rows = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError):
        return
    if 0 < columns < 65536 and 0 < rows < 65536:
        process.resize(columns, rows)
