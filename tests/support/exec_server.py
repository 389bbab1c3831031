"""A small API server that replays recorded exec frames, and a proxy that delivers them badly."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from tests.support.web_server import served

RECORDINGS = Path(__file__).resolve().parent.parent / "kubernetes-recordings"


def recording(name: str, note: str) -> dict[str, Any]:
    """One recorded step, found by the beginning of its note."""
    steps = json.loads((RECORDINGS / f"{name}.json").read_text())["steps"]
    return next(step for step in steps if (step["note"] or "").startswith(note))


def frames_of(step: dict[str, Any], sender: str = "server") -> list[bytes]:
    """The step's frames; what a long one was cut by is filled up with its last byte."""
    found = []
    for frame in step["frames"]:
        if frame["from"] == sender:
            data = base64.b64decode(frame["base64"])
            found.append(data + data[-1:] * (frame["bytes"] - len(data)))
    return found


class NoCredentials:
    """Nothing to show."""

    async def authorization(self, *, refresh: bool = False) -> str | None:
        return None


class FixedConnector:
    """Always the same connection; notes when it is told that it failed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.invalidated = 0

    async def connection(self) -> Connection:
        return self._connection

    def invalidate(self, connection: Connection) -> None:
        self.invalidated += 1


def api_at(url: str) -> KubeApi:
    """A client of the server at a plain URL."""
    connection = Connection(method="kubeconfig", cluster="test", server=url, credentials=NoCredentials())
    return KubeApi(FixedConnector(connection))


@dataclasses.dataclass
class ExecServer:
    """Serves execs by sending frames, with the supervisor's first line where a real one puts it.

    Attributes:
        frames: What to send; the first one is the empty frame that every exec begins with. TAG in them is
            replaced by the supervisor's tag.
        announce: Whether the supervisor started (the shell was there).
        protocols: What the server speaks.
        cut_after: Closes the connection, without a close frame, after so many frames.
        delay_seconds: How long the command runs before its status.
        announce_when: The supervisor starts only then.
        after_stop: The frames behind the supervisor's line come when an exec has come to end the command.
        stop_hangs: What comes to end a command gets no answer.
        refusals: Statuses with which the next execs end, before anything has begun.
        received: Messages of the client, per exec.
        stopped: Execs that came to end a command.
    """

    frames: Sequence[bytes] = ()
    announce: bool = True
    protocols: Sequence[str] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    cut_after: int | None = None
    wait_for_input_end: bool = False
    stop_hangs: bool = False
    delay_seconds: float = 0
    announce_when: asyncio.Event | None = None
    after_stop: bool = False
    refusals: list[bytes] = dataclasses.field(default_factory=list)
    stopping: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    received: list[list[bytes]] = dataclasses.field(default_factory=list)
    commands: list[list[str]] = dataclasses.field(default_factory=list)
    stopped: list[list[str]] = dataclasses.field(default_factory=list)
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ExecServer]:
        """Serves on loopback."""
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/exec", self._exec)
        async with served(app) as self.url:
            yield self

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        command = request.query.getall("command")
        if request.query.get("stdin") != "true":
            self.stopped.append(command)  # what ends a command takes no input
            self.stopping.set()
            if self.stop_hangs:
                await socket.receive()  # until the client gives up
            await socket.send_bytes(b'\x03{"metadata":{},"status":"Success"}')
            return socket
        received: list[bytes] = []
        self.commands.append(command)
        self.received.append(received)
        if self.refusals:
            await socket.send_bytes(b"\x01")
            await socket.send_bytes(b"\x03" + self.refusals.pop(0))
            await _listen(socket, received, asyncio.Event())
            return socket
        begun = asyncio.Event()
        listening = asyncio.create_task(_listen(socket, received, begun))
        frames = [frame.replace(b"TAG", command[3].encode()) for frame in self.frames]
        if self.announce and frames:
            frames.insert(1, b"\x02" + f"{command[3]} 10 11\n".encode())
        try:
            for number, frame in enumerate(frames):
                if number == self.cut_after:
                    assert request.transport is not None
                    request.transport.abort()
                    return socket
                if number == 1 and self.announce:
                    await begun.wait()  # the supervisor speaks after its first line of input
                    if self.announce_when is not None:
                        await self.announce_when.wait()
                if number == 2 and self.after_stop:
                    await self.stopping.wait()
                if frame[:1] == b"\x03":
                    await asyncio.sleep(self.delay_seconds)
                if self.wait_for_input_end and frame[:1] == b"\x03":
                    await listening
                await socket.send_bytes(frame)
            if self.cut_after is not None:
                assert request.transport is not None
                request.transport.close()
            else:
                await listening
        finally:
            listening.cancel()
        return socket


async def _listen(socket: web.WebSocketResponse, received: list[bytes], begun: asyncio.Event) -> None:
    """Notes what the client sends, until it closes the socket or its input."""
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            received.append(message.data)
            begun.set()
            if message.data == b"\xff\x00":
                return


@contextlib.asynccontextmanager
async def crumbling(url: str, size: int = 1) -> AsyncIterator[str]:
    """A proxy that passes the server's bytes on in pieces of ``size``.

    Yields:
        Its URL.
    """
    port = int(url.rpartition(":")[2])
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for piece in cut(data):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for coroutine in (
            pump(reader, back, lambda data: [data]),
            pump(there, writer, lambda data: [data[at : at + size] for at in range(0, len(data), size)]),
        ):
            task = asyncio.create_task(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
