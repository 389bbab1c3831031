"""Builds the database that ``SESSION_STORE`` names. Only the client of that database is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.store.engine import Engine


def engine(app: App) -> Engine:
    """The database.

    Raises:
        ConfigurationError: The database would not outlive this instance.
    """
    settings = app.settings.store
    if settings.kind == "sqlite":
        if app.settings.platform.on_cloud_run:
            raise ConfigurationError(
                "SESSION_STORE=sqlite would lose sessions with the instance on Cloud Run; use firestore",
                variable="SESSION_STORE",
            )
        from shared.store.sqlite.engine import SqliteEngine

        return SqliteEngine(Path(settings.sqlite_path), telemetry=app.telemetry)
    from shared.store.firestore.engine import FirestoreEngine

    return FirestoreEngine(
        project=settings.google_cloud_project,
        database=settings.firestore_database,
        emulator_host=settings.firestore_emulator_host,
        telemetry=app.telemetry,
    )
