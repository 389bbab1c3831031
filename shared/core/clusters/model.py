"""Clusters and how they are told apart.

A connection may lead to another cluster tomorrow: the settings may change, and so may the cluster behind an
address. So a thing on a cluster, such as a session, records the connection by which it was created, and the
cluster's identity: the uid of a namespace, which Kubernetes never assigns twice.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

DEFAULT: Final = "default"
"""Id of the connection that the settings name."""

VIRTUAL: Final = "virtual"
"""Id of the connection to the virtual cluster, which executes nothing."""

_KUBE_SYSTEM, _NAMESPACE = "kube-system", "namespace"
_MOST_MET = 32
"""Maximum number of clusters that a connection's document remembers."""


class Sight(enum.StrEnum):
    """What an instance knows about the cluster of a thing, such as a session.

    ``HERE``: it sees that cluster; a pod that it does not find there is gone. ``ELSEWHERE``: it sees
    another cluster. ``UNKNOWN``: it may see that cluster; a pod that it finds exists, but a pod that it
    does not find may exist on another cluster.
    """

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """The uids that identify a cluster, as far as this service may read them; empty: not known.

    Attributes:
        kube_system: Uid of the namespace ``kube-system``. It is the same for a cluster's whole life.
        namespace: Uid of the namespace of the sessions. It changes when the namespace is created anew.
    """

    kube_system: str = ""
    namespace: str = ""

    @property
    def text(self) -> str:
        """The best known uid with its kind: ``kube-system:UID`` or ``namespace:UID``; empty: none known."""
        return self.texts[0] if self.texts else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All known uids with their kinds, the best first."""
        known = ((_KUBE_SYSTEM, self.kube_system), (_NAMESPACE, self.namespace))
        return tuple(f"{kind}:{uid}" for kind, uid in known if uid)

    def sight(self, recorded: str, met: Iterable[ClusterIdentity] = ()) -> Sight:
        """Whether this is the recorded cluster.

        When an access right is granted or taken away, another of the two uids may be known than before. So a
        recorded uid also counts as this cluster's if it was once met together with one of this cluster's
        uids. Only two different uids of the same kind show that there are two clusters.

        Args:
            recorded: The ``text`` that was recorded; empty: nothing was recorded.
            met: The identities of all clusters that this connection has met.
        """
        seen = list(met)
        here, there = _linked(set(self.texts), seen), _linked({recorded}, seen)
        if not recorded or not here:
            return Sight.UNKNOWN
        if here & there:
            return Sight.HERE
        if _has(_KUBE_SYSTEM, here) and _has(_KUBE_SYSTEM, there):
            return Sight.ELSEWHERE
        # Only the present namespace's uid is compared: the cluster may have had other namespaces before.
        if self.namespace and _has(_NAMESPACE, {recorded}):
            return Sight.ELSEWHERE
        return Sight.UNKNOWN


def _linked(texts: set[str], met: Sequence[ClusterIdentity]) -> set[str]:
    """These uids, and all uids that were met together with them, directly or through others."""
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
        sight: Whether the instance sees the thing's cluster.
        identity: ``ClusterIdentity.text`` of the cluster that the instance sees; empty when not known.
        connection: An object that stands for the connection. Two looks with different objects mean that the
            connection was made anew in between, perhaps to another cluster.
    """

    sight: Sight
    identity: str
    connection: object


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownConnection:
    """The document of a connection: the clusters that instances have met by it.

    Attributes:
        id: The connection's id: ``default``; later also the ids of connections that users register.
        cluster: Name of the last met cluster, for people.
        met: The clusters that were met, the last one first.
        met_at: When the last cluster was met; not every meeting is noted.
        other_installations: Ids of the other installations whose objects the last run of cleanup has met in
            the namespace.
        version: The store's opaque version; empty before the document is stored.
    """

    id: str
    cluster: str
    met: tuple[ClusterIdentity, ...]
    met_at: datetime
    other_installations: tuple[str, ...] = ()
    version: str = ""

    def meeting(self, cluster: str, identity: ClusterIdentity, at: datetime) -> KnownConnection:
        """The document after a cluster was met at ``at``."""
        others = tuple(one for one in self.met if one != identity)
        met = (identity, *others)[:_MOST_MET]
        return dataclasses.replace(self, cluster=cluster, met=met, met_at=at)
