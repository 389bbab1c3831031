"""Which sessions are virtual."""

from __future__ import annotations

from typing import Literal

from shared.settings.setting import Group, setting

Fallback = Literal["none", "virtual"]


class VirtualSettings(Group):
    """Which sessions are virtual."""

    only: bool = setting(
        "USE_MOCK_CONTAINER_ADAPTER",
        default=False,
        doc="`true`: virtual sessions, no cluster; commands are not executed",
    )
    fallback: Fallback = setting(
        "SESSION_FALLBACK",
        default="none",
        doc="`virtual`: create a virtual session when no cluster is reachable",
    )
