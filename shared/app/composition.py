"""Composition root: builds adapters from settings and services from adapters, each once per instance.

Nothing heavy is imported here. Each property builds one object on first use, either directly, if one call is
enough, or with the wiring module of its capability. An object takes what it needs from the other properties.
"""

from __future__ import annotations

import functools
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from shared.app.instance import SystemClock
    from shared.app.stores import Stores
    from shared.core.audit.auditor import Auditor
    from shared.core.cleanup.ports import Inventory
    from shared.core.cleanup.service import CleanupService
    from shared.core.clusters.connected import ConnectedClusters
    from shared.core.credentials.owners import OwnerService
    from shared.core.credentials.ports import CredentialStore
    from shared.core.credentials.service import CredentialService
    from shared.core.files.service import SessionFiles
    from shared.core.held import Held
    from shared.core.jobs.service import JobService
    from shared.core.sessions.access import SessionAccess
    from shared.core.sessions.audit import SessionAudit
    from shared.core.sessions.idempotency import IdempotentRequests
    from shared.core.sessions.ports import PodRuntime
    from shared.core.sessions.service import SessionService
    from shared.core.sessions.states import SessionStates
    from shared.core.sessions.update import SessionUpdate
    from shared.core.telemetry import Telemetry
    from shared.identity.model import IdentityVerifier
    from shared.kube.api.client import KubeApi
    from shared.kube.clusters import KubernetesCluster
    from shared.kube.jobs.runtime import JobLimits
    from shared.kube.pods.manifest import PodOptions
    from shared.settings.platform import PlatformSettings
    from shared.store.engine import Engine
    from shared.web.api.exec_answer import AnswerRoom
    from shared.web.http.rates import RequestRates


class App:
    """Everything of one instance. It belongs to one event loop.

    Args:
        settings: What the operator set.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.version = version("gamgui-session-functions")

    @property
    def platform(self) -> PlatformSettings:
        """Where this process runs."""
        return self.settings.platform

    @functools.cached_property
    def clock(self) -> SystemClock:
        """The clock of all services."""
        from shared.app.instance import SystemClock

        return SystemClock()

    @functools.cached_property
    def held(self) -> Held:
        """Counts the bytes that are held of pods' output."""
        from shared.core.held import Held

        return Held()

    @functools.cached_property
    def telemetry(self) -> Telemetry:
        """The receiver of traces and metrics."""
        from shared.app import instance

        return instance.telemetry(self)

    @functools.cached_property
    def engine(self) -> Engine:
        """The database."""
        from shared.app import store

        return store.engine(self)

    @functools.cached_property
    def store(self) -> Stores:
        """The repositories in the database."""
        from shared.app.stores import Stores

        return Stores(self.engine, self.clock)

    @functools.cached_property
    def kube(self) -> KubeApi:
        """The client of the Kubernetes API."""
        from shared.app import cluster

        return cluster.kube(self)

    @functools.cached_property
    def clusters(self) -> ConnectedClusters:
        """The clusters that this instance sees."""
        from shared.app import cluster

        return cluster.clusters(self)

    @functools.cached_property
    def cluster(self) -> KubernetesCluster:
        """The object that says which cluster the settings lead to."""
        from shared.app import cluster

        return cluster.cluster(self)

    @functools.cached_property
    def runtime(self) -> PodRuntime:
        """Runs the pods of sessions."""
        from shared.app import cluster

        return cluster.runtime(self)

    @functools.cached_property
    def virtual(self) -> PodRuntime:
        """The runtime of virtual sessions."""
        from shared.virtual.runtime import VirtualRuntime

        return VirtualRuntime()

    @functools.cached_property
    def pod_options(self) -> PodOptions:
        """What the operator chooses for the pods of all sessions."""
        from shared.app import cluster

        return cluster.pod_options(self)

    @functools.cached_property
    def job_limits(self) -> JobLimits:
        """The limits that the operator sets for jobs."""
        from shared.app import cluster

        return cluster.job_limits(self)

    @functools.cached_property
    def inventory(self) -> Inventory:
        """Lists what is in the namespace."""
        from shared.app import cluster

        return cluster.inventory(self)

    @functools.cached_property
    def credential_store(self) -> CredentialStore:
        """Where credentials are kept."""
        from shared.app import cluster

        return cluster.credential_store(self)

    @functools.cached_property
    def verifier(self) -> IdentityVerifier:
        """Finds out who calls."""
        from shared.identity import identity_verifier

        return identity_verifier(self.settings.identity, services=self.settings.access.cleanup_callers)

    @functools.cached_property
    def rates(self) -> RequestRates:
        """How many requests one owner may make."""
        from shared.web.http.rates import RequestRates

        return RequestRates(per_minute=self.settings.rates.per_minute, burst=self.settings.rates.burst)

    @functools.cached_property
    def auditor(self) -> Auditor:
        """Writes audit records."""
        from shared.app import audit

        return audit.auditor(self)

    @functools.cached_property
    def session_audit(self) -> SessionAudit:
        """Reads audit records."""
        from shared.app import audit

        return audit.session_audit(self)

    @functools.cached_property
    def access(self) -> SessionAccess:
        """Finds callers' sessions."""
        from shared.app import sessions

        return sessions.access(self)

    @functools.cached_property
    def states(self) -> SessionStates:
        """Moves sessions through their states."""
        from shared.app import sessions

        return sessions.states(self)

    @functools.cached_property
    def sessions(self) -> SessionService:
        """The use cases of sessions."""
        from shared.app import sessions

        return sessions.service(self)

    @functools.cached_property
    def session_update(self) -> SessionUpdate:
        """The use cases in which callers change their sessions."""
        from shared.app import sessions

        return sessions.session_update(self)

    @functools.cached_property
    def requests(self) -> IdempotentRequests:
        """Idempotency keys."""
        from shared.app import sessions

        return sessions.requests(self)

    @functools.cached_property
    def jobs(self) -> JobService:
        """The use cases of jobs."""
        from shared.app import jobs

        return jobs.service(self)

    @functools.cached_property
    def credentials(self) -> CredentialService:
        """The use cases of credentials."""
        from shared.app import credentials

        return credentials.service(self)

    @functools.cached_property
    def owners(self) -> OwnerService:
        """The administrators' use cases for addresses that change hands."""
        from shared.app import credentials

        return credentials.owners(self)

    @functools.cached_property
    def files(self) -> SessionFiles:
        """The use cases of sessions' files."""
        from shared.app import files

        return files.service(self)

    @functools.cached_property
    def cleanup(self) -> CleanupService:
        """The service that ends sessions which nobody else ends."""
        from shared.app import cleanup

        return cleanup.service(self)

    @functools.cached_property
    def answers(self) -> AnswerRoom:
        """Limits what the JSON answers of all commands may keep together."""
        from shared.web.api.exec_answer import AnswerRoom

        return AnswerRoom(held=self.held)

    async def close(self) -> None:
        """Ends what still runs and releases what was built. The instance is not used afterwards."""
        for name in ("runtime", "cluster", "kube", "engine", "verifier", "telemetry"):
            if name in self.__dict__:
                await getattr(self, name).close()


@functools.cache
def app() -> App:
    """The instance's composition root, from the process's environment.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """
    return App(Settings.from_env(os.environ))
