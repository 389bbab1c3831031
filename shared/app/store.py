"""The store that ``SESSION_STORE`` names. Only its own client is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.cleanup.ports import CleanupStore


def store(app: App) -> CleanupStore:
    """The store; with a collector, one that tells each call.

    Raises:
        ConfigurationError: It would not outlive this instance.
    """
    if not app.settings.platform.otlp_endpoint:
        return _store(app)
    from shared.telemetry.observed import observed_store

    return observed_store(_store(app), app.telemetry)


def _store(app: App) -> CleanupStore:
    settings = app.settings.store
    if settings.kind == "sqlite":
        if app.settings.platform.on_cloud_run:
            raise ConfigurationError(
                "SESSION_STORE=sqlite would lose sessions with the instance on Cloud Run; use firestore",
                variable="SESSION_STORE",
            )
        from shared.store.sqlite.store import SqliteStore

        return SqliteStore(Path(settings.sqlite_path), clock=app.clock)
    from shared.store.firestore.store import FirestoreStore

    return FirestoreStore(
        project=settings.google_cloud_project,
        database=settings.firestore_database,
        emulator_host=settings.firestore_emulator_host,
        clock=app.clock,
    )
