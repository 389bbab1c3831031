"""The smallest possible client of the function, so that the client's own work is not what is measured."""

from __future__ import annotations

import asyncio
import socket
import time
import urllib.parse
from pathlib import Path

_TAIL = 4096
_BUFFER = 1024 * 1024
_TIMEOUT_SECONDS = 120.0


async def post(url: str, headers: dict[str, str], body: bytes | Path) -> tuple[int, bytes, float]:
    """Sends a request and throws the answer away.

    Args:
        url: A URL with scheme http.
        headers: Headers in addition to Host, Content-Length and Connection.
        body: The body, or a file with the body.

    Returns:
        Number of the answer's bytes with all framing, the last of these bytes, and the seconds that it took.

    Raises:
        RuntimeError: The status is not 200.
    """
    return await asyncio.to_thread(_exchange, urllib.parse.urlsplit(url), headers, body)


def _exchange(
    url: urllib.parse.SplitResult, headers: dict[str, str], body: bytes | Path
) -> tuple[int, bytes, float]:
    length = len(body) if isinstance(body, bytes) else body.stat().st_size
    lines = [f"POST {url.path}?{url.query} HTTP/1.1" if url.query else f"POST {url.path} HTTP/1.1"]
    sent = {**headers, "Host": url.netloc, "Content-Length": str(length), "Connection": "close"}
    lines += [f"{name}: {value}" for name, value in sent.items()]
    started = time.perf_counter()
    with socket.create_connection((url.hostname or "", url.port or 80), _TIMEOUT_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        if isinstance(body, bytes):
            connection.sendall(body)
        else:
            with body.open("rb") as file:
                connection.sendfile(file)
        received, tail, buffer = 0, b"", memoryview(bytearray(_BUFFER))
        while count := connection.recv_into(buffer):
            if not received and not bytes(buffer[:count]).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"answered {bytes(buffer[:1000])!r}")
            received += count
            tail = (tail + bytes(buffer[max(0, count - _TAIL) : count]))[-_TAIL:]
    return received, tail, time.perf_counter() - started
