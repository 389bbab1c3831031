"""Limits of files."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import size


class FileSettings(Group):
    """Limits of files.

    Raises:
        ConfigurationError: The limit is no Kubernetes quantity; names the variable.
    """

    max_size: str = setting(
        "MAX_FILE_BYTES",
        default="2Gi",
        doc="Largest file, or content of a tar, that may be uploaded, as a Kubernetes quantity",
    )

    def check(self) -> None:
        """See ``Group``."""
        size("MAX_FILE_BYTES", self.max_size)

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return int(size("MAX_FILE_BYTES", self.max_size))
