"""What use cases have in common, put together as ``app/composition.py`` does, around what a test gives."""

from __future__ import annotations

from typing import Any

from shared.core.audit.auditor import Auditor
from shared.core.clock import Clock
from shared.core.clusters.connected import AdaptersOfClusters, ConnectedClusters
from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.core.jobs.ports import JobRuntime
from shared.core.jobs.service import JobService
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.concurrency import Streams
from shared.core.sessions.pods import SessionPods
from shared.core.sessions.ports import PodRuntime
from shared.core.sessions.states import SessionStates
from shared.virtual.jobs import VirtualJobs
from shared.virtual.runtime import VirtualRuntime
from tests.shared.store.samples import RETENTION
from tests.support.clusters import seen
from tests.support.people import ROOT
from tests.support.scripted_runtime import KeptAudit


def wired(
    store: Any,
    runtime: PodRuntime,
    clock: Clock,
    audit: KeptAudit,
    *,
    jobs: JobRuntime | None = None,
    job_store: Any = None,
    view: ConnectedClusters | None = None,
    streams: Streams | None = None,
) -> dict[str, Any]:
    """The arguments that services take: store, clock, audit, states, access and jobs.

    Args:
        store: Of sessions.
        runtime: Has their pods.
        clock: Says what time it is.
        audit: Takes all records.
        jobs: Runs jobs; those of virtual sessions if none is given.
        job_store: Where jobs are kept, if elsewhere.
        view: Which clusters are seen; one that has all sessions if none is given.
        streams: Counts the streams between callers and pods.
    """
    made: dict[str, Any] = {"store": store, "clock": clock, "audit": Auditor(audit, clock)}
    made["states"] = SessionStates(store, clock, RETENTION)
    view = view or seen()
    runtimes = AdaptersOfClusters(view, {DEFAULT: runtime, VIRTUAL: VirtualRuntime()})
    pods = SessionPods(runtimes, view, store)
    access = SessionAccess(**made, pods=pods, administrators=[ROOT.email], streams=streams)
    made["jobs"] = JobService(
        store=job_store or store,
        sessions=store,
        access=access,
        runtimes=AdaptersOfClusters(view, {DEFAULT: jobs or VirtualJobs(), VIRTUAL: VirtualJobs()}),
        audit=made["audit"],
        clock=clock,
    )
    return {**made, "access": access}
