"""What one owner may have at once, so that the others have what they need."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import size


class OwnerSettings(Group):
    """What one owner may have at once, so that the others have what they need.

    Raises:
        ConfigurationError: A value is malformed; names the variable.
    """

    max_cpu: str = setting(
        "MAX_CPU_PER_OWNER",
        default="8",
        doc="Most CPU of one owner's sessions on a cluster together: a third of the namespace's quota",
    )
    max_memory: str = setting(
        "MAX_MEMORY_PER_OWNER", default="8Gi", doc="Most memory of one owner's sessions, likewise"
    )
    max_disk: str = setting(
        "MAX_DISK_PER_OWNER",
        default="157Gi",
        doc="Most disk that the volumes of one owner's sessions may take: a third of what fifty take; one "
        "session always fits",
    )
    max_execs: int = setting(
        "MAX_EXECS_PER_OWNER",
        default=256,
        doc="Most commands of one owner at once; each instance of a function counts its own",
    )
    max_streams: int = setting(
        "MAX_STREAMS_PER_OWNER",
        default=48,
        doc="Most other streams of one owner at once: followers of jobs, listings, transfers; likewise",
    )
    max_all_streams: int = setting(
        "MAX_STREAMS",
        default=1000,
        doc="Most commands and streams of all owners at once in an instance; fewer where the process may not "
        "open as many files",
    )

    def check(self) -> None:
        """See ``Group``."""
        size("MAX_CPU_PER_OWNER", self.max_cpu)
        size("MAX_MEMORY_PER_OWNER", self.max_memory)
        size("MAX_DISK_PER_OWNER", self.max_disk)
