"""Adapters that keep sessions: Firestore and SQLite."""

from __future__ import annotations

from pathlib import Path

from shared.sessions.ports import Clock, SessionStore
from shared.settings import Settings

__all__ = ["session_store"]


def session_store(settings: Settings, *, clock: Clock) -> SessionStore:
    """The store that ``SESSION_STORE`` asks for. Only its own imports are made; the first
    call connects.

    Args:
        settings: ``session_store``, ``sqlite_path``, ``google_cloud_project`` and
            ``firestore_*`` count.
        clock: Says which idempotency records are expired.
    """
    if settings.session_store == "sqlite":
        from shared.store.sqlite import SqliteStore  # noqa: PLC0415

        return SqliteStore(Path(settings.sqlite_path), clock=clock)
    from shared.store.firestore import FirestoreStore  # noqa: PLC0415

    return FirestoreStore(
        project=settings.google_cloud_project,
        database=settings.firestore_database,
        emulator_host=settings.firestore_emulator_host,
        clock=clock,
    )
