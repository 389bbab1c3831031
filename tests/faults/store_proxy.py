"""Firestore's emulator behind a line of calls: they fail as the test says, or are held."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from tests.faults.line import Kind, Line
from tests.support.faulty_firestore import FaultyFirestore

CODES = {
    Kind.ABORTED: grpc.StatusCode.ABORTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.TOO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class StoreProxy(FaultyFirestore):
    """A gRPC server in front of the emulator.

    Args:
        emulator_host: host:port.
        line: Knows what goes wrong.
    """

    def __init__(self, emulator_host: str, line: Line) -> None:
        super().__init__(emulator_host)
        self._line = line

    async def _answers(
        self, method: str, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> list[bytes]:
        fault = self._line.arrives(method)
        if fault is None:
            return await self._passed_on(method, request, context)
        if fault.acted:
            await self._passed_on(method, request, context)
        if fault.kind in (Kind.CRASH, Kind.HANG):
            self._line.held.set()
            await asyncio.Event().wait()
        await context.abort(CODES[fault.kind], "injected")
        raise AssertionError("abort raises")
