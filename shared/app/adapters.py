"""Settings to adapters: what an instance has to do with the world, built when first needed.

Nothing heavy is imported here: each adapter is, when it is built.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app.stores import Stores
    from shared.core.cleanup.ports import Inventory
    from shared.core.credentials.ports import CredentialStore
    from shared.core.held import Held
    from shared.core.sessions.ports import PodRuntime
    from shared.core.telemetry import Telemetry
    from shared.identity.model import IdentityVerifier
    from shared.kube.api.client import KubeApi
    from shared.store.engine import Engine


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
    def engine(self) -> Engine:
        """The database that ``SESSION_STORE`` names."""
        if self.settings.session_store == "sqlite":
            if self.settings.on_cloud_run:
                raise ConfigurationError(
                    "SESSION_STORE=sqlite would lose sessions with the instance on Cloud Run; use firestore",
                    variable="SESSION_STORE",
                )
            from shared.store.sqlite.engine import SqliteEngine

            return SqliteEngine(Path(self.settings.sqlite_path), telemetry=self.telemetry)
        from shared.store.firestore.engine import FirestoreEngine

        return FirestoreEngine(
            project=self.settings.google_cloud_project,
            database=self.settings.firestore_database,
            emulator_host=self.settings.firestore_emulator_host,
            telemetry=self.telemetry,
        )

    @functools.cached_property
    def store(self) -> Stores:
        """What the database keeps."""
        from shared.app.stores import Stores

        return Stores(self.engine, self.clock)

    @functools.cached_property
    def kube(self) -> KubeApi:
        """The cluster."""
        from shared.kube.api.client import KubeApi
        from shared.kube.connect.connector import ClusterConnector

        return KubeApi(ClusterConnector(self.settings), self.telemetry)

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
        runtime = KubernetesRuntime(self.kube, options, template, shutdown=shutdown_event(), held=self.held)
        if not self.settings.otlp_endpoint:
            return runtime
        from shared.telemetry.runtime import ToldRuntime

        return ToldRuntime(runtime, self.telemetry, self.clock)

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
        for name in ("runtime", "kube", "engine", "verifier", "telemetry"):
            if name in self.__dict__:
                await getattr(self, name).close()
