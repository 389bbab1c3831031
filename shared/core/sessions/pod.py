"""A session's pod, as the use cases see it."""

from __future__ import annotations

import dataclasses
import enum

from shared.reasons import Reason


class PodPhase(enum.StrEnum):
    """The phase of a session's pod: fewer distinctions than Kubernetes' phases, and no undecided ones.

    ``UNSEEN``: this cluster has no such pod, and it is not known whether it is the session's cluster.
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
        phase: ``FAILED``: the pod will never be ready (again); ``PENDING``: it may become ready.
        reason: Kubernetes' own words, ``Reason: message``.
        code: Reason code of a failure, for the problem document.
        lingers: The pod has failed, but what runs in it may go on until its grace period is over.
    """

    phase: PodPhase
    reason: str | None = None
    code: Reason | None = None
    lingers: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The connection to a cluster, for people: the source of its settings, and the cluster's name."""

    method: str
    cluster: str
