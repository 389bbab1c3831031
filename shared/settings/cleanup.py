"""How long things are kept, and how long one run of cleanup may take."""

from __future__ import annotations

from shared.settings.setting import Group, setting


class CleanupSettings(Group):
    """How long things are kept, and how long one run of cleanup may take."""

    seconds: int = setting(
        "CLEANUP_SECONDS", default=120, doc="Time for one run of cleanup; what is left is for the next"
    )
    orphan_grace_seconds: int = setting(
        "ORPHAN_GRACE_SECONDS", default=600, doc="Age from which a pod or secret without a session is deleted"
    )
    retention_days: int = setting(
        "RETENTION_DAYS",
        default=30,
        doc="How long a deleted session can still be seen, with its jobs and audit records",
    )
    credentials_retention_days: int = setting(
        "CREDENTIALS_RETENTION_DAYS",
        default=90,
        doc="How long an owner's credentials are kept that are neither put, nor in a session of his",
    )
