"""What one run of cleanup costs: reads of the store, calls of the Kubernetes API, and time."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.laboratory import USER, Laboratory
from bench.report import Ratio
from local.namespace import ensure_namespace
from shared.app.composition import App
from shared.core.cleanup.report import Action
from shared.core.ids import new_session_id
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.names import pod_name
from shared.core.sessions.pod import PodPhase
from shared.kube.api.client import KubeApi
from shared.kube.connect.connector import ClusterConnector
from shared.settings import Settings
from shared.store.engine import Engine

_SIZES = ((100, 50), (10_000, 50), (10_000, 500))
"""Numbers of stored sessions, and how many of these are due."""

_LIVE = 20
"""Number of sessions that run and are not due; the others are deleted, and kept for a while."""

_AT_ONCE = 16


class _CountingEngine:
    """Counts reads as Firestore bills them: one for each document, and one for an empty answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._engine, name)
        if not inspect.iscoroutinefunction(attribute) or name.startswith(
            ("create", "update", "put", "delete")
        ):
            return attribute

        async def counted(*arguments: Any, **options: Any) -> Any:
            answer = await attribute(*arguments, **options)
            self.reads += max(1, len(answer)) if isinstance(answer, Sequence) else 1
            return answer

        return counted


class _CountingApi(KubeApi):
    """Counts calls; a watch counts as one, and so does an exec."""

    calls: Counter[str]

    async def request(self, method: str, path: str, **options: Any) -> Any:
        self.calls[method] += 1
        return await super().request(method, path, **options)

    async def websocket(self, path: str, **options: Any) -> Any:
        self.calls["exec"] += 1
        return await super().websocket(path, **options)

    async def watch(self, path: str, **options: Any) -> AsyncGenerator[tuple[str, Any], None]:
        self.calls["watch"] += 1
        async for event in super().watch(path, **options):
            yield event


class _CountingApp(App):
    """The composition root with a counting database and a counting API."""

    @functools.cached_property
    def engine(self) -> Any:
        """See ``App``."""
        # A cached_property keeps its function as ``func``.
        return _CountingEngine(App.engine.func(self))  # type: ignore[attr-defined]

    @functools.cached_property
    def kube(self) -> _CountingApi:
        """See ``App``."""
        api = _CountingApi(ClusterConnector(self.settings.cluster))
        api.calls = Counter()
        return api


async def cleanup_cost(lab: Laboratory) -> list[Ratio]:
    """Fills a store with few and with many sessions, and runs cleanup once on each.

    Raises:
        RuntimeError: Cleanup left something undone, or did something else.
    """
    few, many, due = [await _measured(lab, stored, due) for stored, due in _SIZES]
    more = due.due - many.due
    reads, calls = (due.reads - many.reads) / more, (due.calls.total() - many.calls.total()) / more
    flat = (many.seconds / many.due) / (few.seconds / few.due)
    times = f"{many.seconds / many.due * 1000:.1f} ms against {few.seconds / few.due * 1000:.1f} ms"
    constant = f"and {many.reads - reads * many.due:.0f} in all; {due.due} due of {due.stored}: {due.reads}"
    return [
        Ratio("cleanup: store reads for a due session", reads, "<=", 2, detail=constant),
        Ratio("cleanup: API calls for a due session", calls, "<=", 2, detail=str(dict(due.calls))),
        Ratio("cleanup: time for a due session, of 10,000 / of 100", flat, "<=", 1.25, detail=times),
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """The costs of one run of cleanup."""

    stored: int
    due: int
    reads: int
    calls: Counter[str]
    seconds: float


async def _measured(lab: Laboratory, stored: int, due: int) -> _Run:
    settings = {
        **lab.settings,
        "SQLITE_PATH": str(lab.folder / f"cleanup-{stored}-{due}.db"),
        "K8S_NAMESPACE": f"gamgui-cleanup-{stored}-{due}",
        "SESSION_CPU": "10m",
        "SESSION_MEMORY": "16Mi",
    }
    app = _CountingApp(Settings.from_env(settings))
    try:
        await ensure_namespace(app)
        return await _one_run(app, stored, due)
    finally:
        await app.close()


async def _one_run(app: _CountingApp, stored: int, due: int) -> _Run:
    await _fill(app, stored, due)
    app.engine.reads = 0
    app.kube.calls.clear()
    started = time.monotonic()
    report = await app.cleanup.run(dry_run=False)
    took = time.monotonic() - started
    ended = report.count("session", Action.DELETED)
    if report.faults or ended != due:
        raise RuntimeError(f"cleanup ended {ended} of {due}: {report.faults} {report.decisions[-3:]}")
    return _Run(stored, due, app.engine.reads, app.kube.calls.copy(), took)


async def _fill(app: _CountingApp, stored: int, due: int) -> None:
    """Stores the sessions: half of the due ones are idle, half expired; due and live sessions have pods."""
    now = datetime.now(UTC)
    identity = (await app.cluster.look("")).identity
    plain = dataclasses.replace(_session(app.settings, now), cluster_identity=identity)
    idle = dataclasses.replace(plain, last_used_at=now - timedelta(hours=2))
    expired = dataclasses.replace(plain, created_at=now - timedelta(hours=9), expires_at=now)
    running = [*([idle] * (due // 2)), *([expired] * (due - due // 2)), *([plain] * _LIVE)]
    deleted = dataclasses.replace(plain, state=SessionState.DELETED, purge_at=now + timedelta(days=30))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def make(like: Session) -> None:
        session_id = new_session_id()
        session = dataclasses.replace(like, id=session_id, pod_name=pod_name(session_id))
        async with slots:
            await app.store.sessions.create(session)
            if session.live:
                await app.runtime.create(dataclasses.replace(session, expires_at=now + timedelta(hours=8)))

    await asyncio.gather(*(make(like) for like in running))
    await asyncio.gather(*(make(deleted) for _ in range(stored - len(running))))
    while True:
        phases = [pod.status.phase async for pod in app.inventory.pods() if pod.status is not None]
        if phases.count(PodPhase.READY) == len(running):
            return
        await asyncio.sleep(0.5)


def _session(settings: Settings, now: datetime) -> Session:
    return Session(
        id="",
        owner=USER,
        name="bench",
        state=SessionState.RUNNING,
        image=settings.images.default,
        resources=Resources(settings.sessions.cpu, settings.sessions.memory),
        labels={},
        cluster="bench",
        namespace=settings.pods.namespace,
        pod_name="",
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(hours=8),
        idle_seconds=3600,
    )
