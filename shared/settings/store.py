"""Where documents are kept."""

from __future__ import annotations

from shared.settings.setting import GOOGLE_CLOUD_PROJECT, SESSION_STORE, Group, StoreKind, setting


class StoreSettings(Group):
    """Where documents are kept."""

    kind: StoreKind = SESSION_STORE
    sqlite_path: str = setting("SQLITE_PATH", default=".local/sessions.db", doc="File of the SQLite store")
    google_cloud_project: str = GOOGLE_CLOUD_PROJECT
    firestore_database: str = setting(
        "FIRESTORE_DATABASE", default="(default)", doc="Name of the Firestore database"
    )
    firestore_emulator_host: str = setting(
        "FIRESTORE_EMULATOR_HOST",
        default="",
        doc="host:port of Firestore's emulator, in place of the service",
    )
