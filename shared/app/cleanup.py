"""Builds the cleanup service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.app.cluster import each
from shared.app.sessions import retention
from shared.core.cleanup.service import CleanupService
from shared.core.clusters.installation import Neighbours
from shared.kube.pods.activity import KubernetesActivity
from shared.virtual.activity import NoActivity

if TYPE_CHECKING:
    from shared.app.composition import App


def service(app: App) -> CleanupService:
    """The service that ends sessions which nobody else ends."""
    settings = app.settings.cleanup
    return CleanupService(
        stores=app.store.cleanup,
        access=app.access,
        states=app.states,
        jobs=app.jobs,
        activity=each(app, KubernetesActivity(app.runtime, app.held), NoActivity()),
        inventory=app.inventory,
        audit=app.auditor,
        clock=app.clock,
        telemetry=app.telemetry,
        credentials_retention=retention(settings.credentials_retention_days),
        longest_life=timedelta(seconds=app.settings.sessions.max_ttl_seconds),
        grace=timedelta(seconds=settings.orphan_grace_seconds),
        seconds=settings.seconds,
        installation=app.store.installation,
        neighbours=Neighbours(app.store.connections),
    )
