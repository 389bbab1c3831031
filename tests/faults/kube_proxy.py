"""An HTTP proxy in front of a Kubernetes API server that fails calls as the test says.

One request a connection: what comes back is passed on as it is, be it an answer, a watch or a
WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from shared.kube.api.client import KubeApi
from tests.faults.line import Fault, Kind, Line
from tests.support import kubeconfigs

_MOST = 1024 * 1024
_REASONS = {
    Kind.TOO_MANY: "TooManyRequests",
    Kind.EXPIRED_TOKEN: "Unauthorized",
    Kind.CONFLICT: "Conflict",
    Kind.GONE: "Expired",
    Kind.FAULT: "InternalError",
    Kind.UNAVAILABLE: "ServiceUnavailable",
}


@dataclasses.dataclass(frozen=True)
class Upstream:
    """Where the API server is, and how it is reached."""

    host: str
    port: int
    trust: ssl.SSLContext
    authorization: str

    @classmethod
    async def of(cls, api: KubeApi) -> Upstream:
        """The one that a client talks to."""
        connection = await api.connection()
        server = urlsplit(connection.server)
        assert server.hostname is not None and server.port is not None and connection.ssl_context is not None
        authorization = await connection.credentials.authorization(refresh=False)
        return cls(server.hostname, server.port, connection.ssl_context, authorization or "")


@dataclasses.dataclass(frozen=True)
class _Request:
    method: str
    target: str
    upgrade: bool
    data: bytes

    @property
    def watch(self) -> bool:
        return "watch=1" in self.target

    @property
    def call(self) -> str:
        what = "exec" if self.upgrade else "watch" if self.watch else self.method
        return f"{what} {self.target.partition('?')[0]}"


class KubeProxy:
    """Serves on a free loopback port, without TLS; shows who it is to the API server by itself.

    Args:
        upstream: The API server.
        line: Knows what goes wrong.
    """

    def __init__(self, upstream: Upstream, line: Line) -> None:
        self._upstream = upstream
        self._line = line
        self._handlers: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[str]:
        """Gives the path of a kubeconfig that names this proxy."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0, limit=_MOST)
        port = server.sockets[0].getsockname()[1]
        config = kubeconfigs.document({"server": f"http://127.0.0.1:{port}"})
        try:
            yield kubeconfigs.write(folder, config, f"config-{port}")
        finally:
            server.close()
            for handler in self._handlers:
                handler.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await self._read(reader)
                fault = self._line.arrives(request.call)
                if fault is None:
                    await self._pass_on(request, reader, writer)
                else:
                    await self._fail(request, fault, reader, writer)
        finally:
            await _closed(writer)

    async def _read(self, reader: asyncio.StreamReader) -> _Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.splitlines()[:-1]
        method, target, _ = first.split()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        upgrade = "upgrade" in headers
        headers["authorization"] = self._upstream.authorization
        if not upgrade:
            headers["connection"] = "close"
        passed_on = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return _Request(method, target, upgrade, f"{first}\r\n{passed_on}\r\n".encode() + body)

    @contextlib.asynccontextmanager
    async def _sent(
        self, request: _Request
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        upstream = self._upstream
        reader, writer = await asyncio.open_connection(upstream.host, upstream.port, ssl=upstream.trust)
        try:
            writer.write(request.data)
            await writer.drain()
            yield reader, writer
        finally:
            writer.transport.abort()  # TLS would say goodbye, and wait for the answer
            await _closed(writer)

    async def _pass_on(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with self._sent(request) as (far_reader, far_writer):
            if request.upgrade and not await _upgraded(far_reader, writer):
                return
            ways = [
                asyncio.create_task(_pump(reader, far_writer)),
                asyncio.create_task(_pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _answer(self, request: _Request) -> bytes:
        """What the server answers; of a stream, its beginning."""
        async with self._sent(request) as (far_reader, _):
            if request.upgrade or request.watch:
                return await far_reader.read(_MOST)
            return await far_reader.read(-1)

    async def _fail(
        self, request: _Request, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answer = b""
        if fault.acted or fault.kind is Kind.TORN:
            answer = await self._answer(request)
        match fault.kind:
            case Kind.CRASH | Kind.HANG:
                self._line.held.set()
                while await reader.read(_MOST):  # until who called is gone
                    pass
            case Kind.RESET:
                writer.transport.abort()
            case Kind.TORN:
                writer.write(answer[: len(answer) * 2 // 3])
                await writer.drain()
            case Kind.GARBAGE:
                writer.write(_http(200, b"<html>Welcome</html>", "text/html"))
                await writer.drain()
            case Kind.GONE if request.watch:
                event = {"type": "ERROR", "object": _status(fault.kind)}
                writer.write(_http(200, json.dumps(event).encode() + b"\n"))
                await writer.drain()
            case _:
                retry = "Retry-After: 1\r\n" if fault.kind is Kind.TOO_MANY else ""
                body = json.dumps(_status(fault.kind)).encode()
                writer.write(_http(int(fault.kind), body, headers=retry))
                await writer.drain()


def _status(kind: Kind) -> dict[str, object]:
    reason = _REASONS[kind]
    return {"kind": "Status", "status": "Failure", "code": int(kind), "reason": reason, "message": "injected"}


def _http(status: int, body: bytes, content_type: str = "application/json", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}Connection: close\r\n\r\n".encode() + body


async def _upgraded(far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Passes on the answer to an upgrade; one that refuses ends the connection, as all others do."""
    head = await far_reader.readuntil(b"\r\n\r\n")
    if head.split()[1] == b"101":
        writer.write(head)
        return True
    first, *lines = head.split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
    body = await far_reader.readexactly(lengths[0])
    writer.write(b"\r\n".join([first, b"Connection: close", *lines]) + body)
    await writer.drain()
    return False


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
