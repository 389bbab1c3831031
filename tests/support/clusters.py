"""A cluster that a test sets, and what services need to find the sessions on it."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from shared.core.clusters.connected import AdaptersOfClusters, ConnectedClusters
from shared.core.clusters.model import DEFAULT, VIRTUAL, ClusterIdentity, Look
from shared.core.clusters.ports import Clusters
from shared.core.sessions.pods import SessionPods
from shared.core.sessions.ports import PodRuntime, SessionStore
from shared.errors import GamguiError
from shared.virtual.cluster import VirtualCluster
from shared.virtual.runtime import VirtualRuntime
from tests.shared.store.samples import HERE

_T = TypeVar("_T")


@dataclasses.dataclass(slots=True)
class SetCluster:
    """A ``Cluster`` whose answers are attributes.

    Attributes:
        identity: Which it is.
        met: What its connection has met before.
        connection: Another object means that it was connected anew.
        error: Raised instead.
    """

    identity: ClusterIdentity = HERE
    met: tuple[ClusterIdentity, ...] = ()
    connection: object = "first"
    error: GamguiError | None = None

    async def look(self, recorded: str) -> Look:
        if self.error is not None:
            raise self.error
        return Look(self.identity.sight(recorded, self.met), self.identity.text, self.connection)


def seen(cluster: SetCluster | None = None) -> ConnectedClusters:
    """The view of an instance that is connected to this cluster."""
    return ConnectedClusters({DEFAULT: cluster or SetCluster(), VIRTUAL: VirtualCluster()})


def each(default: _T, virtual: _T, cluster: SetCluster | None = None) -> Clusters[_T]:
    """These adapters, of this cluster and of the virtual one."""
    return AdaptersOfClusters(seen(cluster), {DEFAULT: default, VIRTUAL: virtual})


def pods_of(store: SessionStore, runtime: PodRuntime, cluster: SetCluster | None = None) -> SessionPods:
    """The pods of sessions on this cluster."""
    return SessionPods(each(runtime, VirtualRuntime(), cluster), seen(cluster), store)
