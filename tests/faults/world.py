"""A namespace and a store of a test's own, the services on them, and time that passes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from local.namespace import ensure_namespace
from shared.app.composition import App
from shared.core.cleanup.report import Report
from shared.core.ids import new_session_id
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.names import SESSION_LABEL, pod_labels, pod_name
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.pod import PodPhase
from shared.kube.api.objects import Pod
from shared.kube.pods.diagnosis import diagnose
from shared.settings import Settings
from tests.faults.kube_proxy import KubeProxy, Upstream
from tests.faults.line import Line
from tests.faults.store_proxy import StoreProxy
from tests.support.patience import PATIENCE
from tests.support.people import person

IMAGE = "localhost/busybox:1"
LIMIT = 3
RUNS = 3
"""So often cleanup runs at most, until all is right."""

CLEANUP_SECONDS = 20
GRACE_SECONDS = 2.1
"""After so long an orphan is older than a second, by times that are whole seconds."""

_SLOW = "trap 'sleep 1.5; exit 0' TERM; sleep 3600 & wait"
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_SLOW_CONTAINER = {
    "name": "slow",
    "image": IMAGE,
    "command": ["sh", "-c", _SLOW],
    "securityContext": _RESTRICTED,
}
_TEMPLATE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PodTemplate",
    "metadata": {"name": "slow"},
    "template": {"spec": {"containers": [_SLOW_CONTAINER]}},
}
"""Pods that take a while to go, so that they are waited for."""

_BETWEEN_RUNS = timedelta(minutes=2)
NEW = NewSession(
    name="",
    image=IMAGE,
    resources=Resources("10m", "16Mi"),
    labels={},
    env={},
    ttl_seconds=3600,
    idle_seconds=1800,
    wait_seconds=30,
)
READY = dataclasses.replace(NEW, wait_seconds=PATIENCE)
"""What is prepared runs before anything goes wrong, however slow the machine is."""


class _Later:
    """A clock that is ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@dataclasses.dataclass(frozen=True)
class Place:
    """What worlds are made in.

    Attributes:
        folder: Takes files.
        firestore: host:port of an emulator; without, sessions are kept in SQLite.
        cluster_fails: Whether calls of the cluster go by the line.
        store_gated: Whether those of SQLite do; of Firestore all do.
    """

    kubeconfig: str
    folder: Path
    firestore: str = ""
    cluster_fails: bool = True
    store_gated: bool = False


class World:
    """One namespace and one store."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = f"faults-{secrets.token_hex(5)}"
        self.app = App(Settings.from_env(self.settings()))
        self._upstream: Upstream | None = None
        self._identity = ""

    @contextlib.asynccontextmanager
    async def made(self) -> AsyncIterator[World]:
        """Makes the namespace; disconnects at the end."""
        await ensure_namespace(self.app)
        self._identity = (await self.app.cluster.look("")).identity
        await self.app.kube.request("POST", self.path("podtemplates"), body=_TEMPLATE)
        self._upstream = await Upstream.of(self.app.kube)
        try:
            yield self
        finally:
            await self.app.close()

    def settings(self, kubeconfig: str = "", firestore: str = "") -> dict[str, str]:
        """The settings of a function here, by way of proxies where they are named."""
        store = {"SESSION_STORE": "sqlite", "SQLITE_PATH": str(self.place.folder / f"{self.name}.db")}
        if self.place.firestore:
            store = {
                "SESSION_STORE": "firestore",
                "FIRESTORE_EMULATOR_HOST": firestore or self.place.firestore,
                "GOOGLE_CLOUD_PROJECT": self.name,
            }
        return {
            **store,
            "AUTH_MODE": "dev",
            "KUBECONFIG": kubeconfig or self.place.kubeconfig,
            "K8S_NAMESPACE": self.name,
            "SESSION_IMAGE": IMAGE,
            "MAX_SESSIONS_PER_OWNER": str(LIMIT),
            "ORPHAN_GRACE_SECONDS": "1",
            "CLEANUP_SECONDS": str(CLEANUP_SECONDS),
            "K8S_POD_TEMPLATE": _TEMPLATE["metadata"]["name"],
            "CLEANUP_CALLERS": "scheduler@example.com",
        }

    @contextlib.asynccontextmanager
    async def behind(self, line: Line) -> AsyncIterator[dict[str, str]]:
        """Settings of a function all of whose calls go by this line."""
        assert self._upstream is not None
        async with contextlib.AsyncExitStack() as stack:
            kubeconfig = firestore = ""
            if self.place.cluster_fails:
                proxy = KubeProxy(self._upstream, line)
                kubeconfig = await stack.enter_async_context(proxy.serving(self.place.folder))
            if self.place.firestore:
                store = StoreProxy(self.place.firestore, line)
                firestore = await stack.enter_async_context(store.serving())
            yield self.settings(kubeconfig, firestore)

    async def objects(self, kind: str) -> list[dict[str, Any]]:
        """All pods or secrets of the namespace."""
        found = await self.app.kube.request("GET", self.path(kind))
        return list(found["items"])

    def path(self, kind: str) -> str:
        """Where the API server has them."""
        return f"/api/v1/namespaces/{self.name}/{kind}"

    async def sessions(self) -> list[Session]:
        """All sessions of the store, deleted ones too."""
        return list(await _all_sessions(self.app, self.owners))

    @functools.cached_property
    def owners(self) -> list[str]:
        """Whoever has, or may have, sessions here; who makes a world's owners adds them."""
        return []

    def new_owner(self) -> str:
        """Somebody nobody knows yet."""
        self.owners.append(f"{secrets.token_hex(6)}@example.com")
        return self.owners[-1]

    async def unscheduled_pod(self, session: Session) -> None:
        """A session's pod that no node takes: it is there, and costs nothing."""
        installation = await self.app.store.installation.id()
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": session.pod_name,
                "labels": pod_labels(session.id, session.owner, installation),
            },
            "spec": {
                "nodeSelector": {"no": "node"},
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [_SLOW_CONTAINER],
            },
        }
        await self.app.kube.request("POST", self.path("pods"), body=body)

    async def stored(self, session: Session, *states: SessionState) -> Session:
        """Stores a session and takes it through these states, all at the time of its creation."""
        stored = await self.app.store.sessions.create(session)
        for state in states:
            stored = await self.app.store.sessions.update(stored.to(state, session.created_at))
        return stored

    def document(self, owner: str, state: SessionState, **values: Any) -> Session:
        """A session of two hours ago."""
        session_id, then = new_session_id(), datetime.now(UTC) - timedelta(hours=2)
        return Session(
            **{
                "id": session_id,
                "owner": owner,
                "name": session_id,
                "state": state,
                "image": IMAGE,
                "resources": NEW.resources,
                "labels": {},
                "cluster": "local",
                "namespace": self.name,
                "pod_name": pod_name(session_id),
                "created_at": then,
                "last_used_at": then,
                "expires_at": then + timedelta(hours=8),
                "idle_seconds": 24 * 3600,
                "cluster_identity": self._identity,
                **values,
            }
        )

    async def settled(self) -> list[str]:
        """Lets time pass and cleanup run until all is right.

        Returns:
            What is still wrong after the last run.
        """
        wrong: list[str] = []
        for run in range(1, RUNS + 1):
            await self.cleanup(_BETWEEN_RUNS * run)
            await self._those_that_go_are_gone()
            wrong = await self.wrong()
            if not wrong:
                break
        return wrong

    async def _those_that_go_are_gone(self) -> None:
        """Waits for pods that were told to go: between two runs there is time enough for that."""
        async with asyncio.timeout(PATIENCE):
            while any("deletionTimestamp" in pod["metadata"] for pod in await self.objects("pods")):
                await asyncio.sleep(0.2)

    async def cleanup(self, ahead: timedelta) -> Report:
        """One run of cleanup, at a later time."""
        later = App(self.app.settings)
        later.__dict__["clock"] = _Later(ahead)
        try:
            return await later.cleanup.run(dry_run=False)
        finally:
            await later.close()

    async def wrong(self) -> list[str]:
        """Where store and cluster do not agree, or something goes on for ever."""
        pods = {pod["metadata"]["name"]: pod for pod in await self.objects("pods")}
        sessions = await self.sessions()
        running = {session.pod_name: session for session in sessions if session.state is SessionState.RUNNING}
        wrong = [f"pod {name} without a session" for name in pods if name not in running]
        for session in sessions:
            pod = pods.get(session.pod_name)
            if session.state in (SessionState.PENDING, SessionState.DELETING):
                wrong.append(f"session {session.id} is {session.state} for ever")
            elif session.state is SessionState.RUNNING and (
                pod is None or diagnose(cast("Pod", pod)).phase is not PodPhase.READY
            ):
                wrong.append(f"session {session.id} is running without a pod that is ready")
            if session.state in (SessionState.FAILED, SessionState.DELETED):
                jobs, _ = await self.app.jobs.list_jobs(
                    person(session.owner), session.id, limit=100, after=None
                )
                wrong += [f"job {job.id} is {job.state} for ever" for job in jobs if not job.state.over]
        secrets = [secret["metadata"] for secret in await self.objects("secrets")]
        wrong += [
            f"secret {one['name']} is nobody's" for one in secrets if SESSION_LABEL in one.get("labels", {})
        ]
        return wrong


async def _all_sessions(app: App, owners: list[str]) -> list[Session]:
    return [
        session
        for owner in owners
        for session in await app.store.sessions.list_sessions(owner, state=None, limit=100, after=None)
    ]
