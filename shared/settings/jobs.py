"""Limits of jobs."""

from __future__ import annotations

from shared.errors import ConfigurationError
from shared.settings.setting import Group, setting

_LEAST_DISK = 1024 * 1024


class JobSettings(Group):
    """Limits of jobs.

    Raises:
        ConfigurationError: The disk for a job's output is too small for its log; names the variable.
    """

    disk_bytes: int = setting(
        "JOB_DISK_BYTES",
        default=256 * 1024 * 1024,
        doc="Bytes of output kept of one job; when there are more, the oldest go first",
    )
    max_per_session: int = setting(
        "MAX_JOBS_PER_SESSION",
        default=12,
        doc="Unfinished jobs of one session at once; more are refused with 429",
    )

    def check(self) -> None:
        """See ``Group``."""
        if self.disk_bytes < _LEAST_DISK:
            raise ConfigurationError(f"JOB_DISK_BYTES is less than {_LEAST_DISK}", variable="JOB_DISK_BYTES")
