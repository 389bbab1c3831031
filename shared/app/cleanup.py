"""Cleanup."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.app.sessions import retention
from shared.core.cleanup.service import CleanupService
from shared.kube.pods.activity import KubernetesActivity

if TYPE_CHECKING:
    from shared.app.composition import App


def service(app: App) -> CleanupService:
    """What ends sessions that nobody ends."""
    settings = app.settings.cleanup
    return CleanupService(
        stores=app.store.cleanup,
        access=app.access,
        states=app.states,
        jobs=app.jobs,
        activity=KubernetesActivity(app.runtime, app.held),
        inventory=app.inventory,
        audit=app.auditor,
        clock=app.clock,
        telemetry=app.telemetry,
        credentials_retention=retention(settings.credentials_retention_days),
        grace=timedelta(seconds=settings.orphan_grace_seconds),
        seconds=settings.seconds,
    )
