"""The request of a caller who creates a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from shared.core.sessions.model import Resources


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A caller's request for a session, checked and with the defaults filled in.

    Attributes:
        ttl_seconds: Life of the session from its creation on.
        idle_seconds: Time without work after which cleanup may delete the session.
        wait_seconds: How long the create request waits for the pod to become ready.
        env: Variables of the session's commands and jobs.
        credentials: Names of the credential files that the session may have; None: all of the owner's.
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
