"""Builds the use cases of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.cluster import each
from shared.core.jobs.service import JobService
from shared.kube.jobs.runtime import KubernetesJobs
from shared.virtual.jobs import VirtualJobs

if TYPE_CHECKING:
    from shared.app.composition import App


def service(app: App) -> JobService:
    """The use cases of jobs."""
    return JobService(
        store=app.store.jobs,
        sessions=app.store.sessions,
        access=app.access,
        runtimes=each(app, KubernetesJobs(app.runtime, app.job_limits, app.held), VirtualJobs()),
        audit=app.auditor,
        clock=app.clock,
    )
