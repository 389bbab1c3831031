"""The ports to clusters, as Protocols. Adapters implement them."""

from __future__ import annotations

from typing import Protocol, TypeVar

from shared.core.clusters.model import KnownConnection, Look

T_co = TypeVar("T_co", covariant=True)


class OnCluster(Protocol):
    """A thing on a cluster that records its cluster, such as a session."""

    @property
    def id(self) -> str:
        """The thing's own id."""
        ...

    @property
    def connection_id(self) -> str:
        """Id of the connection by which the thing was created."""
        ...

    @property
    def cluster_identity(self) -> str:
        """``ClusterIdentity.text`` of the thing's cluster; empty when that was not recorded."""
        ...


class Cluster(Protocol):
    """A cluster that this instance is connected to."""

    async def look(self, recorded: str) -> Look:
        """Compares this cluster with a recorded identity. It asks the cluster once per connection.

        Args:
            recorded: The ``ClusterIdentity.text`` that was recorded; empty: none.

        Raises:
            ClusterUnavailable: The cluster does not answer.
            ConnectionFailed: The cluster is not reached.
            StoreUnavailable: The connection's document cannot be read.
        """
        ...


class ClusterView(Protocol):
    """Which clusters this instance sees. Errors as in ``Cluster``."""

    async def look(self, thing: OnCluster) -> Look:
        """What this instance sees of the thing's cluster."""
        ...

    async def require_seen(self, thing: OnCluster) -> Look:
        """What ``look`` returns, for a caller that needs the thing's cluster.

        Raises:
            OnAnotherCluster: The thing's sight is ``ELSEWHERE``.
        """
        ...


class Clusters(Protocol[T_co]):
    """Returns the adapters that talk to a thing's cluster."""

    async def of(self, thing: OnCluster) -> T_co:
        """The adapters of the thing's cluster. Errors as in ``ClusterView.require_seen``."""
        ...


class ConnectionStore(Protocol):
    """Keeps the documents of connections. Raises ``StoreUnavailable`` when the store does not answer."""

    async def get(self, connection_id: str) -> KnownConnection | None:
        """The document; None when there is none."""
        ...

    async def put(self, connection: KnownConnection) -> KnownConnection:
        """Stores the document if the stored version is still ``connection.version`` (empty: none is stored).

        Returns:
            The document with its new version.

        Raises:
            VersionConflict: The stored version is another one.
        """
        ...
