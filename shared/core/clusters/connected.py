"""The clusters to which an instance is connected, by the ids of the connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from shared.core.clusters.model import Look, Sight
from shared.core.clusters.ports import Cluster, ClusterView, OnCluster
from shared.errors import OnAnotherCluster

T = TypeVar("T")


class ConnectedClusters:
    """A ``ClusterView`` of the clusters behind some connections.

    Args:
        clusters: The clusters, by the id of the connection.
    """

    def __init__(self, clusters: Mapping[str, Cluster]) -> None:
        self._clusters = clusters

    async def look(self, thing: OnCluster) -> Look:
        """See ``ClusterView``. A thing that was created by an unknown connection is elsewhere."""
        cluster = self._clusters.get(thing.connection_id)
        if cluster is None:
            return Look(Sight.ELSEWHERE, "", None)
        return await cluster.look(thing.cluster_identity)

    async def require_seen(self, thing: OnCluster) -> Look:
        """See ``ClusterView``."""
        look = await self.look(thing)
        if look.sight is Sight.ELSEWHERE:
            raise OnAnotherCluster(
                "the session is on a cluster that this service is not connected to now: "
                "ask the operator; nothing of it is lost",
                session=thing.id,
            )
        return look


class AdaptersOfClusters(Generic[T]):
    """A ``Clusters`` with one set of adapters per connection.

    Args:
        view: Says whether the cluster behind a connection is a thing's cluster.
        adapters: The adapters, by the id of the connection.
    """

    def __init__(self, view: ClusterView, adapters: Mapping[str, T]) -> None:
        self._view = view
        self._adapters = adapters

    async def of(self, thing: OnCluster) -> T:
        """See ``Clusters``."""
        await self._view.require_seen(thing)
        return self._adapters[thing.connection_id]
