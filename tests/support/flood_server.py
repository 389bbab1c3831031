"""An API server whose pod floods: on any channel, in frames of any size, at any stage."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator

from aiohttp import web

from tests.support.web_server import served

STATUS = b'\x03{"metadata":{},"status":"Success"}'
_BATCH_BYTES = 64 * 1024


@dataclasses.dataclass
class FloodServer:
    """Serves execs, each a flood that ends only with its connection.

    Attributes:
        frame: What is sent again and again, with its channel; a str goes as a text message.
        announces: Whether a supervisor's first line comes before it.
        says: What a supervisor's command says on standard output before the flood.
        status_first: Whether the end is told, and the flood comes all the same.
        stop_floods: What comes to end a command is flooded too.
        execs: How many there were.
        stops: How many came to end a command.
    """

    frame: bytes | str
    announces: bool = False
    says: bytes = b""
    status_first: bool = False
    stop_floods: bool = True
    execs: int = 0
    stops: int = 0
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FloodServer]:
        """Serves on loopback; pods are always there."""
        app = web.Application()
        path = "/api/v1/namespaces/{namespace}/pods"
        app.router.add_get(path + "/{pod}/exec", self._exec)
        app.router.add_get(path, self._watch)
        app.router.add_get(path + "/{pod}", self._pod)
        async with served(app) as self.url:
            yield self

    async def _pod(self, request: web.Request) -> web.Response:
        container = {"name": "session", "ready": True, "state": {"running": {}}}
        status = {"phase": "Running", "containerStatuses": [container]}
        return web.json_response({"metadata": {"name": "pod", "resourceVersion": "1"}, "status": status})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(3600)
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        stops = request.query.get("stdin") != "true"
        self.execs += 1
        self.stops += stops
        with contextlib.suppress(ConnectionError, RuntimeError):
            if stops and not self.stop_floods:
                await socket.send_bytes(STATUS)
                return socket
            if not stops and self.announces:
                await socket.send_bytes(f"\x02{request.query.getall('command')[3]} 10 11\n".encode())
            if not stops and self.says:
                await socket.send_bytes(b"\x01" + self.says)
            if self.status_first:
                await socket.send_bytes(STATUS)
            await self._flood(request)
        return socket

    async def _flood(self, request: web.Request) -> None:
        """Writes past aiohttp, many messages at once: to make a flood is to cost little."""
        transport = request.transport
        assert transport is not None
        message = _message(self.frame)
        batch = message * max(1, _BATCH_BYTES // (len(message) + 128))
        while not transport.is_closing():
            transport.write(batch)
            await asyncio.sleep(0)
            while transport.get_write_buffer_size() > _BATCH_BYTES:
                await asyncio.sleep(0.001)


def _message(frame: bytes | str) -> bytes:
    """A whole message of a server's (RFC 6455, 5.2)."""
    data = frame.encode() if isinstance(frame, str) else frame
    begin = bytes([0x81 if isinstance(frame, str) else 0x82])
    if len(data) < 126:
        return begin + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return begin + b"\x7e" + struct.pack(">H", len(data)) + data
    return begin + b"\x7f" + struct.pack(">Q", len(data)) + data
