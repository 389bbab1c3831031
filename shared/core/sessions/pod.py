"""A session's pod, as the use cases see it."""

from __future__ import annotations

import dataclasses
import enum

from shared.reasons import Reason


class PodPhase(enum.StrEnum):
    """What a session's pod is to us: less than Kubernetes' phases, and decided.

    ``UNSEEN``: there is no such pod here, and nobody knows whether the session is on this cluster.
    """

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    GONE = "gone"
    UNSEEN = "unseen"


@dataclasses.dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as the use cases see it.

    Attributes:
        phase: ``FAILED`` means it never becomes ready (again); ``PENDING`` that it may.
        reason: Kubernetes' own words, ``Reason: message``.
        code: UPPER_SNAKE code of a failure, for the problem document.
    """

    phase: PodPhase
    reason: str | None = None
    code: Reason | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """How the cluster is reached, for people: the source of the connection and the cluster's name."""

    method: str
    cluster: str
