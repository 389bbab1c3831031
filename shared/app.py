"""Composition root: settings to adapters to services, built when first needed, once per instance.

Nothing heavy is imported here: adapters are, when they are built.
"""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError
from shared.quantities import quantity
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.identity.model import IdentityVerifier
    from shared.kube.api import KubeApi
    from shared.sessions.access import SessionAccess
    from shared.sessions.auditor import Auditor
    from shared.sessions.cleanup import CleanupService
    from shared.sessions.cleanup_ports import CleanupStore, Inventory
    from shared.sessions.credential_ports import CredentialStore
    from shared.sessions.credentials import CredentialService
    from shared.sessions.files import SessionFiles
    from shared.sessions.idempotency import IdempotentRequests
    from shared.sessions.jobs import JobService
    from shared.sessions.ports import PodRuntime
    from shared.sessions.service import SessionService
    from shared.sessions.session_audit import SessionAudit
    from shared.sessions.states import SessionStates
    from shared.sessions.upkeep import SessionUpkeep
    from shared.telemetry.port import Telemetry
    from shared.web.rates import RequestRates


class SystemClock:
    """The time of day of this machine."""

    def now(self) -> datetime:
        """See ``Clock``."""
        return datetime.now(UTC)


class App:
    """Everything of one instance. Belongs to one event loop.

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
    def telemetry(self) -> Telemetry:
        """What takes traces and metrics: nothing, unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set."""
        if not self.settings.otlp_endpoint:
            from shared.telemetry.port import SILENT

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
            from shared.store.sqlite import SqliteStore

            return SqliteStore(Path(self.settings.sqlite_path), clock=self.clock)
        from shared.store.firestore import FirestoreStore

        return FirestoreStore(
            project=self.settings.google_cloud_project,
            database=self.settings.firestore_database,
            emulator_host=self.settings.firestore_emulator_host,
            clock=self.clock,
        )

    @functools.cached_property
    def kube(self) -> KubeApi:
        """The cluster."""
        from shared.kube.api import KubeApi
        from shared.kube.connector import ClusterConnector

        return KubeApi(ClusterConnector(self.settings), self.telemetry)

    @functools.cached_property
    def runtime(self) -> PodRuntime:
        """Kubernetes, or nothing at all with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            return self.virtual
        from shared.kube.manifest import PodOptions
        from shared.kube.runtime import KubernetesRuntime
        from shared.shutdown import shutdown_event

        options = PodOptions.from_settings(self.settings)
        template = self.settings.k8s_pod_template
        runtime = KubernetesRuntime(self.kube, options, template, shutdown=shutdown_event())
        if not self.settings.otlp_endpoint:
            return runtime
        from shared.telemetry.observed import observed_runtime

        return observed_runtime(runtime, self.telemetry, self.clock)

    @functools.cached_property
    def virtual(self) -> PodRuntime:
        """The runtime of virtual sessions."""
        from shared.sessions.virtual import VirtualRuntime

        return VirtualRuntime()

    @functools.cached_property
    def auditor(self) -> Auditor:
        """Writes audit records."""
        from shared.audit.trail import AuditTrail
        from shared.sessions.auditor import Auditor

        return Auditor(AuditTrail(self.store.audit), self.clock)

    @functools.cached_property
    def access(self) -> SessionAccess:
        """Finds callers' sessions."""
        from shared.identity.claims import lowered
        from shared.sessions.access import SessionAccess

        return SessionAccess(
            store=self.store,
            runtime=self.runtime,
            virtual=self.virtual,
            states=self.states,
            clock=self.clock,
            administrators=[lowered(email) for email in self.settings.admin_emails],
        )

    @functools.cached_property
    def states(self) -> SessionStates:
        """Moves sessions through their states."""
        from shared.sessions.states import SessionStates

        return SessionStates(self.store, self.clock, timedelta(days=self.settings.retention_days))

    @functools.cached_property
    def jobs(self) -> JobService:
        """The use cases of jobs."""
        from shared.kube.jobs import JobLimits, KubernetesJobs
        from shared.sessions.jobs import JobService
        from shared.sessions.virtual_jobs import VirtualJobs

        return JobService(
            store=self.store,
            access=self.access,
            runtime=KubernetesJobs(self.runtime, JobLimits.from_settings(self.settings)),
            virtual=VirtualJobs(),
            audit=self.auditor,
            clock=self.clock,
        )

    @functools.cached_property
    def credential_store(self) -> CredentialStore:
        """Secrets in Kubernetes, or memory with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            from shared.sessions.virtual_credentials import MemoryCredentials

            return MemoryCredentials()
        from shared.kube.secrets import KubernetesSecrets

        return KubernetesSecrets(self.kube, self.settings.k8s_namespace)

    @functools.cached_property
    def credentials(self) -> CredentialService:
        """The use cases of credentials."""
        from shared.kube.credentials import KubernetesCredentials
        from shared.sessions.credentials import CredentialService
        from shared.sessions.virtual_credentials import VirtualCredentials

        return CredentialService(
            store=self.credential_store,
            runtime=KubernetesCredentials(self.runtime),
            virtual=VirtualCredentials(),
            sessions=self.store,
            access=self.access,
            audit=self.auditor,
            clock=self.clock,
        )

    @functools.cached_property
    def sessions(self) -> SessionService:
        """The use cases of sessions."""
        from shared.sessions.concurrency import ExecSlots
        from shared.sessions.service import SessionService

        return SessionService(
            store=self.store,
            runtime=self.runtime,
            virtual=self.virtual,
            access=self.access,
            states=self.states,
            jobs=self.jobs,
            credentials=self.credential_store,
            clock=self.clock,
            audit=self.auditor,
            namespace=self.settings.k8s_namespace,
            fallback=self.settings.session_fallback == "virtual",
            slots=ExecSlots(self.settings.max_execs_per_session),
            limit=self.settings.max_sessions_per_owner,
        )

    @functools.cached_property
    def upkeep(self) -> SessionUpkeep:
        """What callers change of their sessions."""
        from shared.sessions.upkeep import SessionUpkeep

        return SessionUpkeep(store=self.store, access=self.access, audit=self.auditor, clock=self.clock)

    @functools.cached_property
    def inventory(self) -> Inventory:
        """What there is in the namespace; nothing with ``USE_MOCK_CONTAINER_ADAPTER``."""
        if self.settings.use_mock_container_adapter:
            from shared.sessions.virtual_inventory import EmptyInventory

            return EmptyInventory()
        from shared.kube.inventory import KubernetesInventory

        return KubernetesInventory(self.kube, self.settings.k8s_namespace)

    @functools.cached_property
    def cleanup(self) -> CleanupService:
        """What ends sessions that nobody ends."""
        from shared.kube.activity import KubernetesActivity
        from shared.sessions.cleanup import CleanupService

        return CleanupService(
            store=self.store,
            access=self.access,
            states=self.states,
            jobs=self.jobs,
            activity=KubernetesActivity(self.runtime),
            inventory=self.inventory,
            audit=self.auditor,
            clock=self.clock,
            telemetry=self.telemetry,
            grace=timedelta(seconds=self.settings.orphan_grace_seconds),
            seconds=self.settings.cleanup_seconds,
        )

    @functools.cached_property
    def session_audit(self) -> SessionAudit:
        """Reads audit records."""
        from shared.sessions.session_audit import SessionAudit

        return SessionAudit(access=self.access, store=self.store.audit, audit=self.auditor)

    @functools.cached_property
    def files(self) -> SessionFiles:
        """The use cases of sessions' files."""
        from shared.sessions.files import SessionFiles

        return SessionFiles(
            access=self.access,
            audit=self.auditor,
            timeout_seconds=self.settings.max_exec_timeout_seconds,
            max_bytes=int(quantity(self.settings.max_file_bytes)),
        )

    @functools.cached_property
    def requests(self) -> IdempotentRequests:
        """Idempotency keys."""
        from shared.sessions.idempotency import IdempotentRequests

        return IdempotentRequests(self.store, self.clock)

    @functools.cached_property
    def verifier(self) -> IdentityVerifier:
        """Who finds out who calls."""
        from shared.identity import identity_verifier

        return identity_verifier(self.settings)

    @functools.cached_property
    def rates(self) -> RequestRates:
        """How many requests one owner may make."""
        from shared.web.rates import RequestRates

        return RequestRates(
            per_minute=self.settings.request_rate_per_minute, burst=self.settings.request_burst
        )

    async def close(self) -> None:
        """Ends what runs and releases what was built. The instance is not used afterwards."""
        for name in ("runtime", "kube", "store", "verifier", "telemetry"):
            if name in self.__dict__:
                await getattr(self, name).close()


@functools.cache
def app() -> App:
    """The instance's composition root, from the process's environment.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """
    return App(Settings.from_env(os.environ))
