"""Settings to adapters: what an instance has to do with the world, built when first needed.

Nothing heavy is imported here: each adapter is, when it is built.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.errors import ConfigurationError
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.core.cleanup.ports import CleanupStore, Inventory
    from shared.core.clusters.connected import ConnectedClusters
    from shared.core.credentials.ports import CredentialStore
    from shared.core.held import Held
    from shared.core.sessions.ports import PodRuntime
    from shared.core.telemetry import Telemetry
    from shared.identity.model import IdentityVerifier
    from shared.kube.api.client import KubeApi
    from shared.kube.clusters import KubernetesCluster


class SystemClock:
    """The time of day of this machine."""

    def now(self) -> datetime:
        """See ``Clock``."""
        return datetime.now(UTC)


class Adapters:
    """The adapters of one instance. Belongs to one event loop.

    Args:
        settings: What the operator set.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.version = version("gamgui-session-functions")

    @functools.cached_property
    def clock(self) -> SystemClock:
        """The clock of all services."""
        return SystemClock()

    @functools.cached_property
    def held(self) -> Held:
        """Counts what is held of what pods say."""
        from shared.core.held import Held

        return Held()

    @functools.cached_property
    def telemetry(self) -> Telemetry:
        """What takes traces and metrics: nothing, unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set."""
        if not self.settings.otlp_endpoint:
            from shared.core.telemetry import SILENT

            return SILENT
        from shared.shutdown import shutdown_event
        from shared.telemetry.otel import OtelTelemetry

        service, store = self.settings.k_service or "gamgui", self.settings.session_store
        try:
            return OtelTelemetry(
                service=service, version=self.version, store=store, shutdown=shutdown_event()
            )
        except ValueError as error:
            raise ConfigurationError(
                f"OpenTelemetry refuses a variable whose name begins with OTEL_: {error}", variable="OTEL_"
            ) from error

    @functools.cached_property
    def store(self) -> CleanupStore:
        """The store that ``SESSION_STORE`` names."""
        if not self.settings.otlp_endpoint:
            return self._store()
        from shared.telemetry.observed import observed_store

        return observed_store(self._store(), self.telemetry)

    def _store(self) -> CleanupStore:
        if self.settings.session_store == "sqlite":
            if self.settings.on_cloud_run:
                raise ConfigurationError(
                    "SESSION_STORE=sqlite would lose sessions with the instance on Cloud Run; use firestore",
                    variable="SESSION_STORE",
                )
            from shared.store.sqlite.store import SqliteStore

            return SqliteStore(Path(self.settings.sqlite_path), clock=self.clock)
        from shared.store.firestore.store import FirestoreStore

        return FirestoreStore(
            project=self.settings.google_cloud_project,
            database=self.settings.firestore_database,
            emulator_host=self.settings.firestore_emulator_host,
            clock=self.clock,
        )

    @functools.cached_property
    def kube(self) -> KubeApi:
        """The cluster."""
        from shared.kube.api.client import KubeApi
        from shared.kube.connect.connector import ClusterConnector

        return KubeApi(ClusterConnector(self.settings), self.telemetry)

    @functools.cached_property
    def clusters(self) -> ConnectedClusters:
        """The clusters that this instance sees: the settings' own, unless ``USE_MOCK_CONTAINER_ADAPTER``."""
        from shared.core.clusters.connected import ConnectedClusters
        from shared.virtual.cluster import VirtualCluster

        if self.settings.use_mock_container_adapter:
            return ConnectedClusters({VIRTUAL: VirtualCluster()})
        return ConnectedClusters({DEFAULT: self.cluster, VIRTUAL: VirtualCluster()})

    @functools.cached_property
    def cluster(self) -> KubernetesCluster:
        """Says which cluster the settings lead to."""
        from shared.kube.clusters import KubernetesCluster

        namespace, connections = self.settings.k8s_namespace, self.store.connections
        return KubernetesCluster(DEFAULT, self.kube, namespace, connections, self.clock)

    @functools.cached_property
    def runtime(self) -> PodRuntime:
        """Kubernetes, or nothing at all with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            return self.virtual
        from shared.kube.pods.manifest import PodOptions
        from shared.kube.pods.runtime import KubernetesRuntime
        from shared.shutdown import shutdown_event

        options = PodOptions.from_settings(self.settings)
        template = self.settings.k8s_pod_template
        runtime = KubernetesRuntime(
            self.kube, options, template, shutdown=shutdown_event(), held=self.held, cluster=self.cluster
        )
        if not self.settings.otlp_endpoint:
            return runtime
        from shared.telemetry.observed import observed_runtime

        return observed_runtime(runtime, self.telemetry, self.clock)

    @functools.cached_property
    def virtual(self) -> PodRuntime:
        """The runtime of virtual sessions."""
        from shared.virtual.runtime import VirtualRuntime

        return VirtualRuntime()

    @functools.cached_property
    def inventory(self) -> Inventory:
        """What there is in the namespace; nothing with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            from shared.virtual.inventory import EmptyInventory

            return EmptyInventory()
        from shared.kube.pods.inventory import KubernetesInventory

        return KubernetesInventory(self.kube, self.settings.k8s_namespace)

    @functools.cached_property
    def credential_store(self) -> CredentialStore:
        """Secrets in Kubernetes, or memory with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            from shared.virtual.credentials import MemoryCredentials

            return MemoryCredentials()
        from shared.kube.credentials.secret import KubernetesSecrets

        return KubernetesSecrets(self.kube, self.settings.k8s_namespace)

    @functools.cached_property
    def verifier(self) -> IdentityVerifier:
        """Who finds out who calls."""
        from shared.identity import identity_verifier

        return identity_verifier(self.settings)

    async def close(self) -> None:
        """Ends what runs and releases what was built. The instance is not used afterwards."""
        for name in ("runtime", "cluster", "kube", "store", "verifier", "telemetry"):
            if name in self.__dict__:
                await getattr(self, name).close()
