"""Builds what an instance uses in the cluster, or its replacement where there is no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from shared.core.clusters.connected import AdaptersOfClusters, ConnectedClusters
from shared.core.clusters.model import DEFAULT, VIRTUAL

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.cleanup.ports import Inventory
    from shared.core.clusters.ports import Clusters
    from shared.core.credentials.ports import CredentialStore
    from shared.core.sessions.ports import PodRuntime
    from shared.kube.api.client import KubeApi
    from shared.kube.clusters import KubernetesCluster
    from shared.kube.jobs.runtime import JobLimits
    from shared.kube.pods.manifest import PodOptions

_T = TypeVar("_T")


def clusters(app: App) -> ConnectedClusters:
    """The clusters that this instance sees; only the virtual one with ``USE_MOCK_CONTAINER_ADAPTER``."""
    from shared.virtual.cluster import VirtualCluster

    if app.settings.virtual.only:
        return ConnectedClusters({VIRTUAL: VirtualCluster()})
    return ConnectedClusters({DEFAULT: app.cluster, VIRTUAL: VirtualCluster()})


def cluster(app: App) -> KubernetesCluster:
    """The object that says which cluster the settings lead to."""
    from shared.kube.clusters import KubernetesCluster

    namespace = app.settings.pods.namespace
    return KubernetesCluster(DEFAULT, app.kube, namespace, app.store.connections, app.clock)


def each(app: App, default: _T, virtual: _T) -> Clusters[_T]:
    """Holds one adapter for each cluster.

    Args:
        app: The instance.
        default: The adapter of the cluster that the settings name.
        virtual: The adapter of the virtual cluster.
    """
    return AdaptersOfClusters(app.clusters, {DEFAULT: default, VIRTUAL: virtual})


def kube(app: App) -> KubeApi:
    """The client of the Kubernetes API."""
    from shared.kube.api.client import KubeApi
    from shared.kube.connect.connector import ClusterConnector

    return KubeApi(ClusterConnector(app.settings.cluster), app.telemetry)


def runtime(app: App) -> PodRuntime:
    """The runtime of pods: Kubernetes, or the virtual one with ``USE_MOCK_CONTAINER_ADAPTER``.

    With a collector, the Kubernetes runtime reports each call to it.
    """
    if app.settings.virtual.only:
        return app.virtual
    from shared.kube.pods.runtime import KubernetesRuntime
    from shared.shutdown import shutdown_event

    made = KubernetesRuntime(
        app.kube,
        app.pod_options,
        app.settings.pods.template,
        shutdown=shutdown_event(),
        held=app.held,
        cluster=app.cluster,
        installation=app.store.installation,
    )
    if not app.settings.platform.otlp_endpoint:
        return made
    from shared.telemetry.runtime import ToldRuntime

    return ToldRuntime(made, app.telemetry, app.clock)


def pod_options(app: App) -> PodOptions:
    """What the operator chooses for the pods of all sessions."""
    from shared.kube.pods.manifest import PodOptions

    return PodOptions.from_settings(app.settings.pods, app.job_limits, app.settings.sessions.max_ttl_seconds)


def job_limits(app: App) -> JobLimits:
    """The limits that the operator sets for jobs."""
    from shared.kube.jobs.runtime import JobLimits

    return JobLimits(
        disk_bytes=app.settings.jobs.disk_bytes,
        unfinished=app.settings.jobs.max_per_session,
        follow_seconds=app.settings.commands.max_timeout_seconds,
    )


def inventory(app: App) -> Inventory:
    """Lists what is in the namespace; with ``USE_MOCK_CONTAINER_ADAPTER`` it lists nothing."""
    if app.settings.virtual.only:
        from shared.virtual.inventory import EmptyInventory

        return EmptyInventory()
    from shared.kube.pods.inventory import KubernetesInventory

    return KubernetesInventory(app.kube, app.settings.pods.namespace)


def credential_store(app: App) -> CredentialStore:
    """Secrets in Kubernetes, or memory with ``USE_MOCK_CONTAINER_ADAPTER``."""
    if app.settings.virtual.only:
        from shared.virtual.credentials import MemoryCredentials

        return MemoryCredentials()
    from shared.kube.credentials.secret import KubernetesSecrets

    return KubernetesSecrets(app.kube, app.settings.pods.namespace, app.store.installation)
