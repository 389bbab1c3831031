"""Builds the use cases of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.files.service import SessionFiles

if TYPE_CHECKING:
    from shared.app.composition import App


def service(app: App) -> SessionFiles:
    """The use cases of sessions' files."""
    return SessionFiles(
        access=app.access,
        audit=app.auditor,
        timeout_seconds=app.settings.commands.max_timeout_seconds,
        max_bytes=app.settings.files.max_bytes,
        held=app.held,
    )
