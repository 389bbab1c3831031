"""A gRPC server between a store and Firestore's emulator that fails calls as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import grpc
import grpc.aio

_SERVICE = "/google.firestore.v1.Firestore/"


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One call that fails.

    Attributes:
        method: ``Commit``, ``BatchGetDocuments`` or ``RunQuery``.
        code: What the caller is told.
        applied: The call does its work first: its answer is lost, not the call.
        hang: The caller is told nothing, until he gives up.
    """

    method: str
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    applied: bool = False
    hang: bool = False


class FaultyFirestore(grpc.GenericRpcHandler):  # type: ignore[misc] # the library has no annotations
    """Passes calls on to the emulator, unless a fault is due.

    Attributes:
        faults: Used up from the front, each by the next call of its method.
        calls: The methods called, in order.
    """

    def __init__(self, emulator_host: str) -> None:
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.calls: list[str] = []
        self._emulator_host = emulator_host
        self._upstream: grpc.aio.Channel | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serves on a free loopback port; gives host:port."""
        server = grpc.aio.server(handlers=[self])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(self._emulator_host) as self._upstream:
            try:
                yield f"127.0.0.1:{port}"
            finally:
                await server.stop(grace=0)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method.removeprefix(_SERVICE)

        async def unary(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return (await self._answers(method, request, context))[0]

        async def stream(
            request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            for answer in await self._answers(method, request, context):
                yield answer

        if method == "Commit":
            return grpc.unary_unary_rpc_method_handler(unary)
        return grpc.unary_stream_rpc_method_handler(stream)

    async def _answers(
        self, method: str, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> list[bytes]:
        self.calls.append(method)
        fault = self._due(method)
        if fault is not None and fault.hang:
            await asyncio.Event().wait()
        if fault is not None and not fault.applied:
            await context.abort(fault.code, "injected 10.0.0.7:443")
        answers = await self._passed_on(method, request, context)
        if fault is not None:
            await context.abort(fault.code, "injected 10.0.0.7:443")
        return answers

    def _due(self, method: str) -> Fault | None:
        if self.always is not None and self.always.method == method:
            return self.always
        for fault in self.faults:
            if fault.method == method:
                self.faults.remove(fault)
                return fault
        return None

    async def _passed_on(
        self, method: str, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> list[bytes]:
        assert self._upstream is not None
        metadata = [pair for pair in context.invocation_metadata() or () if pair[0] != "user-agent"]
        try:
            if method == "Commit":
                return [await self._upstream.unary_unary(_SERVICE + method)(request, metadata=metadata)]
            call = self._upstream.unary_stream(_SERVICE + method)(request, metadata=metadata)
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
            raise
