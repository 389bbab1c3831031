"""Who may do more than a user of sessions."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import require_addresses


class AccessSettings(Group):
    """Who may do more than a user of sessions.

    Raises:
        ConfigurationError: An administrator's address is no e-mail address; names the variable.
    """

    admin_emails: tuple[str, ...] = setting(
        "ADMIN_EMAILS",
        default=(),
        doc="Callers who may list, look at and delete everybody's sessions and read their audit records, "
        "comma-separated; commands, files, jobs and credentials stay their owners'",
    )
    cleanup_callers: tuple[str, ...] = setting(
        "CLEANUP_CALLERS",
        default=(),
        doc="E-mail addresses that may call `POST /v1/cleanup`, comma-separated: "
        "the scheduler's service account",
    )

    def check(self) -> None:
        """See ``Group``."""
        require_addresses("ADMIN_EMAILS", self.admin_emails)
