"""Clusters and how they are told apart.

A connection leads to a cluster, and tomorrow perhaps to another one: what the settings name may change,
and so may what stands behind an address. So whatever is on a cluster says by which connection it was made,
and which cluster that was: the uid of a namespace, which Kubernetes gives once and never again.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

DEFAULT: Final = "default"
"""The connection that the settings name."""

VIRTUAL: Final = "virtual"
"""The cluster that executes nothing."""

_KUBE_SYSTEM, _NAMESPACE = "kube-system", "namespace"
_MOST_MET = 32
"""So many clusters a connection's document remembers."""


class Sight(enum.StrEnum):
    """What an instance knows of the cluster that something is on.

    ``HERE``: it sees that cluster; what it does not find there is gone. ``ELSEWHERE``: it sees another one.
    ``UNKNOWN``: what it finds is there, but of what it does not find it knows nothing.
    """

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """The uids by which a cluster is known, as far as they may be read; empty: not known.

    Attributes:
        kube_system: Of the namespace ``kube-system``: every cluster has one, as long as it exists.
        namespace: Of the namespace of the sessions. A cluster may have several in turn.
    """

    kube_system: str = ""
    namespace: str = ""

    @property
    def text(self) -> str:
        """The best of them, with which of the two it is: ``kube-system:UID`` or ``namespace:UID``."""
        return self.texts[0] if self.texts else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that are known, the best first."""
        known = ((_KUBE_SYSTEM, self.kube_system), (_NAMESPACE, self.namespace))
        return tuple(f"{kind}:{uid}" for kind, uid in known if uid)

    def sight(self, recorded: str, met: Iterable[ClusterIdentity] = ()) -> Sight:
        """Whether this is the cluster that was recorded.

        A right that is given or taken away later changes which of the uids is known. So a recorded
        uid counts also when it was met together with one of these before; and only two uids of the
        same kind show that there are two clusters.

        Args:
            recorded: A ``text``; empty: nothing was recorded.
            met: All that has ever been met by this connection.
        """
        seen = list(met)
        here, there = _linked(set(self.texts), seen), _linked({recorded}, seen)
        if not recorded or not here:
            return Sight.UNKNOWN
        if here & there:
            return Sight.HERE
        if _has(_KUBE_SYSTEM, here) and _has(_KUBE_SYSTEM, there):
            return Sight.ELSEWHERE
        # Of a namespace only the one that is there now tells: the cluster may have had others.
        if self.namespace and _has(_NAMESPACE, {recorded}):
            return Sight.ELSEWHERE
        return Sight.UNKNOWN


def _linked(texts: set[str], met: Sequence[ClusterIdentity]) -> set[str]:
    """These uids and all that were met together with one of them."""
    linked: set[str] = set(texts)
    while True:
        more = {text for one in met if not linked.isdisjoint(one.texts) for text in one.texts}
        if more <= linked:
            return linked
        linked |= more


def _has(kind: str, texts: set[str]) -> bool:
    return any(text.startswith(f"{kind}:") for text in texts)


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What an instance sees of the cluster of one thing, at one moment.

    Attributes:
        sight: Whether it is the cluster of the thing.
        identity: ``ClusterIdentity.text`` of the cluster that is seen; empty when it is not known.
        connection: Another object when the connection was made anew since: perhaps to another cluster.
    """

    sight: Sight
    identity: str
    connection: object


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownConnection:
    """The document of a connection: what whoever used it has met.

    Attributes:
        id: ``default``; later those that users register.
        cluster: Name of the cluster for people.
        met: The clusters that were met, the last one first.
        met_at: When the last one was met. It is not noted every time.
        version: The store's opaque version; empty before it is stored.
    """

    id: str
    cluster: str
    met: tuple[ClusterIdentity, ...]
    met_at: datetime
    version: str = ""

    def meeting(self, cluster: str, identity: ClusterIdentity, at: datetime) -> KnownConnection:
        """The document after a cluster was met."""
        others = tuple(one for one in self.met if one != identity)
        met = (identity, *others)[:_MOST_MET]
        return dataclasses.replace(self, cluster=cluster, met=met, met_at=at)
