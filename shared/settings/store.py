"""Where documents are kept."""

from __future__ import annotations

from shared.settings.setting import Group, StoreKind, google_cloud_project, session_store, setting


class StoreSettings(Group):
    """Where documents are kept."""

    kind: StoreKind = session_store()
    sqlite_path: str = setting("SQLITE_PATH", default=".local/sessions.db", doc="File of the SQLite store")
    google_cloud_project: str = google_cloud_project()
    firestore_database: str = setting(
        "FIRESTORE_DATABASE", default="(default)", doc="Name of the Firestore database"
    )
    firestore_emulator_host: str = setting(
        "FIRESTORE_EMULATOR_HOST",
        default="",
        doc="host:port of Firestore's emulator, in place of the service",
    )
