"""What the use cases need to know of clusters, as Protocols. Adapters implement them."""

from __future__ import annotations

from typing import Protocol, TypeVar

from shared.core.clusters.model import KnownConnection, Look

T_co = TypeVar("T_co", covariant=True)


class OnCluster(Protocol):
    """Something that is on a cluster and says on which."""

    @property
    def id(self) -> str:
        """Its own id."""
        ...

    @property
    def connection_id(self) -> str:
        """By which connection it was made."""
        ...

    @property
    def cluster_identity(self) -> str:
        """``ClusterIdentity.text`` of its cluster; empty when that was not noted."""
        ...


class Cluster(Protocol):
    """A cluster that this instance is connected to."""

    async def look(self, recorded: str) -> Look:
        """Says which cluster it is. It is asked once per connection.

        Args:
            recorded: ``ClusterIdentity.text`` to compare it with.

        Raises:
            ClusterUnavailable: It does not answer.
            ConnectionFailed: It is not reached.
            StoreUnavailable: The connection's document cannot be read.
        """
        ...


class ClusterView(Protocol):
    """Which clusters this instance sees. Errors as in ``Cluster``."""

    async def look(self, thing: OnCluster) -> Look:
        """What can be seen of the cluster of this thing."""
        ...

    async def require_seen(self, thing: OnCluster) -> Look:
        """The same, for who needs that cluster.

        Raises:
            OnAnotherCluster: It is not among those that are seen.
        """
        ...


class Clusters(Protocol[T_co]):
    """Gives what talks to the cluster that something is on."""

    async def of(self, thing: OnCluster) -> T_co:
        """The adapters of its cluster. Errors as in ``ClusterView.require_seen``."""
        ...


class ConnectionStore(Protocol):
    """Keeps the documents of connections. Raises ``StoreUnavailable`` when the store does not answer."""

    async def get(self, connection_id: str) -> KnownConnection | None:
        """The document, or None."""
        ...

    async def put(self, connection: KnownConnection) -> KnownConnection:
        """Stores the document if there is still the one of ``connection.version`` (empty: none).

        Returns:
            The document with its new version.

        Raises:
            VersionConflict: There is another one.
        """
        ...
