"""All settings, read once from the environment.

``Settings.from_env`` is the only reader of the environment in ``shared/``. Each field of a group names its
variable and says what it means. ``make docs`` makes the table in README.md from the fields, and a test
compares the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from shared.settings.access import AccessSettings
from shared.settings.cleanup import CleanupSettings
from shared.settings.cluster import ClusterSettings
from shared.settings.commands import CommandSettings
from shared.settings.files import FileSettings
from shared.settings.identity import IdentitySettings
from shared.settings.images import ImageSettings
from shared.settings.jobs import JobSettings
from shared.settings.owners import OwnerSettings
from shared.settings.platform import PlatformSettings
from shared.settings.pods import PodSettings
from shared.settings.rates import RateSettings
from shared.settings.sessions import SessionSettings
from shared.settings.setting import Group
from shared.settings.store import StoreSettings
from shared.settings.values import parsed
from shared.settings.virtual import VirtualSettings

_Group = TypeVar("_Group", bound=Group)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an operator. Durations are in seconds, sizes in bytes."""

    identity: IdentitySettings
    access: AccessSettings
    store: StoreSettings
    cluster: ClusterSettings
    pods: PodSettings
    images: ImageSettings
    sessions: SessionSettings
    owners: OwnerSettings
    cleanup: CleanupSettings
    commands: CommandSettings
    jobs: JobSettings
    files: FileSettings
    rates: RateSettings
    virtual: VirtualSettings
    platform: PlatformSettings

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads and validates the settings.

        Args:
            environ: The process's environment, or a test's.

        Raises:
            ConfigurationError: A value is malformed, or a required one is missing;
                names the variable.
        """
        return cls(**{name: _read(group, environ) for name, group in get_type_hints(cls).items()})


def _read(group: type[_Group], environ: Mapping[str, str]) -> _Group:
    """Reads one group; a field whose variable is absent or empty keeps its default."""
    types = get_type_hints(group)
    values: dict[str, Any] = {}
    for name, field in group.fields.items():
        if environ.get(field.env):
            values[name] = parsed(field.env, environ[field.env], types[name])
    return group(**values)
