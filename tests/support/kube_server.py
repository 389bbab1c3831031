"""An API server whose answers a test scripts, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.support.web_server import served
from tests.support.witness import confirm


@dataclasses.dataclass
class Answer:
    """One scripted answer.

    Attributes:
        status: HTTP status; 0 drops the connection without an answer.
        body: Sent as JSON.
        headers: Sent along.
        lines: Sent as a watch stream, in these very pieces.
        torn: Breaks the stream after the pieces instead of ending it.
        hangs: Does not answer, or stays silent after the pieces.
    """

    status: int = 200
    body: Any = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    lines: list[bytes] | None = None
    torn: bool = False
    hangs: bool = False


@dataclasses.dataclass
class KubeServer:
    """Answers requests in the order of the script; the last answer stands for all that follow.

    Attributes:
        confirmed: Objects that were sent, once the official client has confirmed them.
    """

    script: list[Answer]
    requests: list[web.Request] = dataclasses.field(default_factory=list)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    confirmed: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[KubeServer]:
        """Serves on loopback; in the end asks the witness whether what was sent is Kubernetes'."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with served(app) as self.url:
            yield self
        for body in filter(None, self.bodies):
            sent = json.loads(body)
            if isinstance(sent, dict) and "kind" in sent:
                confirm(sent)
                self.confirmed.append(sent)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        assert request.transport is not None
        if answer.hangs and answer.lines is None:
            await asyncio.sleep(3600)
        if answer.status == 0:
            request.transport.abort()
            return web.Response()
        if answer.lines is None:
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        response = web.StreamResponse(status=answer.status)
        await response.prepare(request)
        for piece in answer.lines:
            await response.write(piece)
            await asyncio.sleep(0.01)
        if answer.hangs:
            await asyncio.sleep(3600)
        if answer.torn and request.transport is not None:
            request.transport.abort()
        return response


def failure(code: int, reason: str, message: str = "no", **headers: str) -> Answer:
    """A ``Status`` that says no."""
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return Answer(code, body, {name.replace("_", "-"): value for name, value in headers.items()})


def events(*pairs: tuple[str, dict[str, Any]]) -> list[bytes]:
    """Watch events as lines."""
    return [json.dumps({"type": kind, "object": item}).encode() + b"\n" for kind, item in pairs]
