"""Clusters that are lists of pods, and instances whose connection leads to one of them, or to another one."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.core.cleanup.ports import Belonging, KeptCredentials
from shared.core.cleanup.service import CleanupService
from shared.core.clusters.connected import AdaptersOfClusters, ConnectedClusters
from shared.core.clusters.model import DEFAULT, VIRTUAL, ClusterIdentity, Look
from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Started
from shared.core.jobs.service import JobService
from shared.core.sessions.concurrency import ExecSlots
from shared.core.sessions.model import Session
from shared.core.sessions.pod import ConnectionInfo, PodPhase, PodStatus
from shared.core.sessions.ports import MountedCredentials
from shared.core.sessions.service import SessionService
from shared.core.telemetry import SILENT
from shared.errors import ClusterUnavailable, NotFound
from shared.reasons import Reason
from shared.virtual.activity import NoActivity
from shared.virtual.cluster import VirtualCluster
from tests.shared.store.samples import SetClock
from tests.support.scripted_runtime import KeptAudit
from tests.support.stores import SqliteStore, cleaning
from tests.support.wiring import wired

GONE = PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)
LONGEST_LIFE = timedelta(days=1)


@dataclasses.dataclass
class FakeCluster:
    """A cluster.

    Attributes:
        pods: By their names, the sessions that they were made for; with when.
        ended: Names of pods in which nothing runs any more.
    """

    identity: ClusterIdentity
    pods: dict[str, tuple[Session, datetime]] = dataclasses.field(default_factory=dict)
    ended: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Link:
    """The connection of an instance: ``Cluster``, ``PodRuntime``, ``Inventory`` and ``Activity`` in one.

    Attributes:
        cluster: Where it leads; None: nobody answers.
        turns: After so many calls it leads to another cluster each time; the numbers of the calls.
        reads: Which uids may be read.
        pod_clock: The time in the clusters.
    """

    cluster: FakeCluster | None
    clock: SetClock
    turns: list[tuple[int, FakeCluster | None]] = dataclasses.field(default_factory=list)
    reads: tuple[bool, bool] = (True, True)
    met: tuple[ClusterIdentity, ...] = ()
    connection: object = dataclasses.field(default_factory=object)
    calls: int = 0

    def lead_to(self, cluster: FakeCluster | None) -> None:
        """Another deploy, or another cluster behind the same name."""
        self.cluster, self.connection = cluster, object()

    def _called(self) -> FakeCluster:
        self.calls += 1
        if self.turns and self.calls >= self.turns[0][0]:
            self.lead_to(self.turns.pop(0)[1])
        if self.cluster is None:
            raise ClusterUnavailable("nobody answers")
        return self.cluster

    async def look(self, recorded: str) -> Look:
        if self.cluster is None:
            raise ClusterUnavailable("nobody answers")
        whole = self.cluster.identity
        known = ClusterIdentity(
            kube_system=whole.kube_system if self.reads[0] else "",
            namespace=whole.namespace if self.reads[1] else "",
        )
        return Look(known.sight(recorded, self.met), known.text, self.connection)

    async def connect(self) -> ConnectionInfo:
        return ConnectionInfo("fake", "fake")

    async def ping(self) -> None:
        self._called()

    async def close(self) -> None:
        return None

    async def create(self, session: Session) -> str:
        self._called().pods[session.pod_name] = (session, self.clock.now())
        return ""

    async def status(self, session: Session) -> PodStatus:
        return self._status(self._called(), session)

    def _status(self, cluster: FakeCluster, session: Session) -> PodStatus:
        if session.pod_name not in cluster.pods:
            return GONE
        ended = session.pod_name in cluster.ended
        return PodStatus(PodPhase.FAILED, "Ended: it has ended") if ended else PodStatus(PodPhase.READY)

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        return await self.status(session)

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        cluster = self._called()
        was = cluster.pods.pop(session.pod_name, None)
        if was is None or timeout_seconds <= 0:
            return was is None
        return self._status(self._called(), session) is GONE

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        if self._status(self._called(), session).phase is not PodPhase.READY:
            raise NotFound("the session's pod does not run", reason=Reason.POD_NOT_RUNNING)
        yield Started(1)
        yield Exit(result=ExecResult.EXITED, exit_code=0)

    async def processes(self, session: Session) -> int:
        if self._status(self._called(), session).phase is not PodPhase.READY:
            raise NotFound("the session's pod does not run", reason=Reason.POD_NOT_RUNNING)
        return 0

    async def pods(self) -> AsyncGenerator[Belonging, None]:
        cluster = self._called()
        for name, (session, made) in list(cluster.pods.items()):
            yield Belonging(
                kind="pod",
                name=name,
                uid=f"{cluster.identity.kube_system}-{name}",
                session_id=session.id,
                created_at=made,
                status=self._status(cluster, session),
            )

    async def secrets(self) -> AsyncGenerator[Belonging, None]:
        self._called()
        none: tuple[Belonging, ...] = ()
        for one in none:
            yield one

    async def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        self._called()
        none: tuple[KeptCredentials, ...] = ()
        for one in none:
            yield one

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        return False

    async def delete_belonging(self, belonging: Belonging) -> None:
        cluster = self._called()
        if belonging.uid == f"{cluster.identity.kube_system}-{belonging.name}":
            cluster.pods.pop(belonging.name, None)

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        cluster = self._called()
        return {session.id for session in sessions if session.pod_name not in cluster.pods}


class _Inventory:
    """The inventory of a link: its ``delete`` takes another argument than that of pods."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.delete = link.delete_belonging

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


@dataclasses.dataclass
class Instance:
    """The services of an instance that is connected by this link."""

    link: Link
    store: SqliteStore
    clock: SetClock
    audit: KeptAudit = dataclasses.field(default_factory=KeptAudit)
    sessions: SessionService = dataclasses.field(init=False)
    cleanup: CleanupService = dataclasses.field(init=False)
    jobs: JobService = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        view = ConnectedClusters({DEFAULT: self.link, VIRTUAL: VirtualCluster()})
        known = wired(self.store, self.link, self.clock, self.audit, view=view)
        self.jobs = known["jobs"]
        self.sessions = SessionService(
            **known,
            places={DEFAULT: self.link},
            credentials=_NoCredentials(),
            namespace="gamgui",
            slots=ExecSlots(99),
            limit=99,
        )
        self.cleanup = CleanupService(
            **cleaning(known),
            activity=AdaptersOfClusters(view, {DEFAULT: self.link, VIRTUAL: NoActivity()}),
            inventory=_Inventory(self.link),
            telemetry=SILENT,
            grace=timedelta(minutes=10),
            credentials_retention=timedelta(days=90),
            longest_life=LONGEST_LIFE,
            seconds=60,
        )


class _NoCredentials:
    async def mounted(self, owner: object, choice: object) -> MountedCredentials:
        return MountedCredentials()
