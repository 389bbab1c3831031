"""Limits of commands."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import require_order


class CommandSettings(Group):
    """Limits of commands.

    Raises:
        ConfigurationError: The default timeout is longer than the longest timeout; names the variable.
    """

    timeout_seconds: int = setting(
        "EXEC_TIMEOUT_SECONDS", default=300, doc="Time a command may take when the request does not say"
    )
    max_timeout_seconds: int = setting(
        "MAX_EXEC_TIMEOUT_SECONDS", default=3300, doc="Longest time that a request may ask for a command"
    )
    max_per_session: int = setting(
        "MAX_EXECS_PER_SESSION",
        default=256,
        doc="Most commands at once in one session; each instance of the function counts its own",
    )

    def check(self) -> None:
        """See ``Group``."""
        require_order(
            "EXEC_TIMEOUT_SECONDS", self.timeout_seconds, "MAX_EXEC_TIMEOUT_SECONDS", self.max_timeout_seconds
        )
