"""What the end of a pod waits for, over real connections: execs that hang, flood, lie and fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from shared.core.audit.auditor import Auditor
from shared.core.jobs.endings import JobEnds
from shared.core.jobs.model import JobState
from shared.core.sessions.model import SessionState
from shared.kube.jobs.runtime import KubernetesJobs
from shared.kube.pods.runtime import KubernetesRuntime
from shared.virtual.jobs import VirtualJobs
from tests.shared.kube.jobs.test_runtime import LIMITS
from tests.shared.kube.pods.test_runtime import OPTIONS
from tests.shared.store.samples import SetClock, a_job, a_session
from tests.support.clusters import each
from tests.support.exec_server import api_at
from tests.support.scripted_runtime import KeptAudit
from tests.support.stores import SqliteStore
from tests.support.web_server import WebServer

Exec = Callable[[web.WebSocketResponse, str], Awaitable[None]]
EXITED = b'\x03{"metadata":{},"status":"Success"}'


async def says_nothing(socket: web.WebSocketResponse, tag: str) -> None:
    async for _ in socket:
        pass


async def floods(socket: web.WebSocketResponse, tag: str) -> None:
    await socket.send_bytes(b"\x02" + f"{tag} 10 11\n".encode())
    while True:
        await socket.send_bytes(b"\x01" + b"x" * 32_000)


async def floods_before_its_first_line(socket: web.WebSocketResponse, tag: str) -> None:
    while True:
        await socket.send_bytes(b"\x01" + b"x" * 32_000)
        await asyncio.sleep(0.001)


async def lies(socket: web.WebSocketResponse, tag: str) -> None:
    await socket.send_bytes(b"\x02" + f"{tag} 10 11\n".encode())
    await socket.send_bytes(b"\x01j1 ended 9 9 9 9 9 exited 999 9 9 9\nnonsense\n")
    await socket.send_bytes(EXITED)


async def leaves(socket: web.WebSocketResponse, tag: str) -> None:
    await socket.close()


@pytest.mark.parametrize("stops", [True, False], ids=["stops", "does not stop"])
async def test_no_exec_holds_up_the_end_of_its_pod(tmp_path: Path, stops: bool) -> None:
    """All kinds at once, as it is waiting that takes the time. What is held is let go at the end only."""
    held, clock = asyncio.Event(), SetClock()
    store = SqliteStore(tmp_path / "sessions.db", clock=clock)
    kinds: dict[str, Exec | int | None] = {
        "never-upgrades": None,
        "refuses": 500,
        "says-nothing": says_nothing,
        "floods": floods,
        "floods-first": floods_before_its_first_line,
        "lies": lies,
        "leaves": leaves,
    }

    async def execute(request: web.Request) -> web.StreamResponse:
        kind = kinds[request.match_info["pod"]]
        if kind is None or (request.query.get("stdin") != "true" and not stops):
            await held.wait()
            raise web.HTTPGone
        if isinstance(kind, int):
            raise web.HTTPInternalServerError
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        if request.query.get("stdin") != "true":
            await socket.send_bytes(EXITED)
        else:
            await kind(socket, request.query.getall("command")[3])
        return socket

    async def status(request: web.Request) -> web.Response:
        await held.wait()
        raise web.HTTPGone

    server = WebServer()
    server.app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/exec", execute)
    server.app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}", status)
    async with server:
        api = api_at(f"http://{server.address}")
        pods = KubernetesRuntime(api, OPTIONS, shutdown=asyncio.Event())
        ends = JobEnds(
            store=store,
            runtimes=each(KubernetesJobs(pods, LIMITS), VirtualJobs()),
            audit=Auditor(KeptAudit(), clock),
            clock=clock,
        )

        async def ended(kind: str) -> None:
            session = await store.create(a_session(state=SessionState.DELETING, pod_name=kind))
            job = await store.create_job(a_job(session_id=session.id))
            await ends.note_ends(session)
            await ends.conclude(session)
            seen = await store.get_job(job.id)
            assert seen is not None
            assert (kind, seen.state) == (kind, JobState.LOST)

        await asyncio.gather(*(ended(kind) for kind in kinds))
        assert not held.is_set()
        held.set()
        await pods.close()
    await store.close()
