"""Builds what writes audit records and what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.audit.auditor import Auditor
from shared.core.audit.trail import AuditTrail

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.sessions.audit import SessionAudit


def auditor(app: App) -> Auditor:
    """Writes audit records."""
    return Auditor(AuditTrail(app.store.audit), app.clock)


def session_audit(app: App) -> SessionAudit:
    """Reads audit records."""
    from shared.core.sessions.audit import SessionAudit

    return SessionAudit(access=app.access, store=app.store.audit, audit=app.auditor)
