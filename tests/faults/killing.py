"""Runs an operation in a function's process, and kills that at the call that the test names."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.faults.gate import keeper
from tests.faults.sweep import Point
from tests.support.laptop import ROOT, base_environment


@dataclasses.dataclass(frozen=True)
class _Function:
    pid: int
    port: int


class Forks:
    """Starts functions."""

    def __init__(self, parent: asyncio.subprocess.Process) -> None:
        self._parent = parent
        self._asking = asyncio.Lock()

    async def start(self, function: str, environment: dict[str, str], gate: int) -> _Function:
        """A new process that serves this function, with these settings and no others."""
        told = {"function": function, "environment": base_environment(**environment), "gate": gate}
        assert self._parent.stdin is not None and self._parent.stdout is not None
        async with self._asking:
            self._parent.stdin.write(json.dumps(told).encode() + b"\n")
            return _Function(**json.loads(await self._parent.stdout.readline()))

    async def killed(self, point: Point, settings: dict[str, str]) -> None:
        """Runs a point's operation, and kills its process by SIGKILL when its call is held."""
        request = point.operation.request(point.subject)
        async with keeper(point.line) as gate:
            function = await self.start(request.function, settings, gate)
            url = f"http://127.0.0.1:{function.port}{request.path}"
            headers = {"X-Dev-User": request.user or point.subject.owner}
            if request.body:
                headers["Content-Type"] = "application/json"
            async with aiohttp.ClientSession() as http:

                async def answer() -> tuple[int, Any]:
                    async with http.request(
                        request.method, url, data=request.body or None, headers=headers
                    ) as response:
                        return response.status, await response.json(content_type=None)

                asked = asyncio.create_task(answer())
                held = asyncio.create_task(point.line.held.wait())
                try:
                    await asyncio.wait([asked, held], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    os.kill(function.pid, signal.SIGKILL)
                    held.cancel()
                try:
                    point.answer = await asked
                except aiohttp.ClientError:
                    point.answer = None  # it was killed before it answered


@contextlib.asynccontextmanager
async def forks() -> AsyncIterator[Forks]:
    """The process from which functions are forked."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.function_forks"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=base_environment(),
    )
    try:
        assert parent.stdout is not None
        assert (await parent.stdout.readline()).strip() == b"ready"
        yield Forks(parent)
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        await parent.wait()
