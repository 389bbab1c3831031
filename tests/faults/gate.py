"""A store before and after each of whose calls a test can stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from tests.faults.line import Line

GO, STOP, STOP_AFTERWARDS = b"g", b"s", b"a"

Ask: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Told the name of a call, answers what is to become of it."""


class GatedStore:
    """Asks before every call of a store.

    Args:
        store: Does the work.
        ask: Is asked.
        held: Is told when a call is stopped, which then never ends.
    """

    def __init__(self, store: Any, ask: Ask, held: Callable[[], None]) -> None:
        self._store = store
        self._ask = ask
        self._held = held

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("audit", "connections"):
            return GatedStore(method, self._ask, self._held)
        if name == "close":
            return method

        async def call(*args: Any, **options: Any) -> Any:
            answer = await self._ask(name)
            result = await method(*args, **options) if answer != STOP else None
            if answer != GO:
                self._held()
                await asyncio.Event().wait()
            return result

        return call


def answer(line: Line, call: str) -> bytes:
    """What becomes of a call of this line."""
    fault = line.arrives(call)
    return GO if fault is None else STOP_AFTERWARDS if fault.acted else STOP


def gated(store: Any, line: Line) -> GatedStore:
    """A store in the test's own process."""

    async def ask(call: str) -> bytes:
        return answer(line, call)

    return GatedStore(store, ask, line.held.set)


@contextlib.asynccontextmanager
async def keeper(line: Line) -> AsyncIterator[int]:
    """Serves the gate of a store in another process; gives the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while call := (await reader.readline()).decode().strip():
                if call == "held":
                    line.held.set()
                else:
                    writer.write(answer(line, call))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def guarded(store: Any, port: int) -> GatedStore:
    """A store whose gate is kept by another process, at this port."""
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    lock = asyncio.Lock()

    async def ask(call: str) -> bytes:
        async with lock:
            if not streams:
                streams.append(await asyncio.open_connection("127.0.0.1", port))
            reader, writer = streams[0]
            writer.write(f"{call}\n".encode())
            return await reader.readexactly(1)

    return GatedStore(store, ask, lambda: streams[0][1].write(b"held\n"))
