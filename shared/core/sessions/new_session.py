"""What a caller asks for when he creates a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from shared.core.sessions.model import Resources


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What a caller asks for, checked and with the defaults filled in.

    Attributes:
        wait_seconds: How long create waits for the pod to become ready.
        env: Variables of its commands and jobs.
        credentials: Names of the credential files that it may have; None: all that there are.
    """

    name: str
    image: str
    resources: Resources
    labels: Mapping[str, str]
    env: Mapping[str, str] = dataclasses.field(repr=False)
    ttl_seconds: int
    idle_seconds: int
    wait_seconds: float
    credentials: tuple[str, ...] | None = None
