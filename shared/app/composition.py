"""Composition root: settings to adapters to services, built when first needed, once per instance.

Nothing heavy is imported here: services are, when they are built.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from shared.app.adapters import Adapters
from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.quantities import quantity
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.core.audit.auditor import Auditor
    from shared.core.cleanup.service import CleanupService
    from shared.core.clusters.ports import Clusters
    from shared.core.credentials.owners import OwnerService
    from shared.core.credentials.service import CredentialService
    from shared.core.files.service import SessionFiles
    from shared.core.jobs.service import JobService
    from shared.core.sessions.access import SessionAccess
    from shared.core.sessions.audit import SessionAudit
    from shared.core.sessions.idempotency import IdempotentRequests
    from shared.core.sessions.ports import PodRuntime
    from shared.core.sessions.service import SessionService
    from shared.core.sessions.states import SessionStates
    from shared.core.sessions.update import SessionUpkeep
    from shared.web.api.answer_room import AnswerRoom
    from shared.web.http.rates import RequestRates

_T = TypeVar("_T")

_MOST_DAYS = 36_500
"""What is kept for a century is kept; Python's calendar ends."""


class App(Adapters):
    """Everything of one instance. Belongs to one event loop."""

    @functools.cached_property
    def auditor(self) -> Auditor:
        """Writes audit records."""
        from shared.core.audit.auditor import Auditor
        from shared.core.audit.trail import AuditTrail

        return Auditor(AuditTrail(self.store.audit), self.clock)

    @functools.cached_property
    def access(self) -> SessionAccess:
        """Finds callers' sessions."""
        from shared.core.sessions.access import SessionAccess
        from shared.core.sessions.pods import SessionPods
        from shared.identity.claims import lowered

        return SessionAccess(
            store=self.store,
            pods=SessionPods(self._each(self._places), self.clusters, self.store),
            states=self.states,
            clock=self.clock,
            audit=self.auditor,
            administrators=[lowered(email) for email in self.settings.admin_emails],
        )

    @property
    def _places(self) -> Mapping[str, PodRuntime]:
        return {DEFAULT: self.runtime, VIRTUAL: self.virtual}

    @property
    def _new_places(self) -> Mapping[str, PodRuntime]:
        """Where new sessions may be, the best first."""
        if self.settings.use_mock_container_adapter:
            return {VIRTUAL: self.virtual}
        if self.settings.session_fallback == "virtual":
            return self._places
        return {DEFAULT: self.runtime}

    def _each(self, adapters: Mapping[str, _T]) -> Clusters[_T]:
        from shared.core.clusters.connected import AdaptersOfClusters

        return AdaptersOfClusters(self.clusters, adapters)

    @functools.cached_property
    def states(self) -> SessionStates:
        """Moves sessions through their states."""
        from shared.core.sessions.states import SessionStates

        return SessionStates(self.store, self.clock, _days(self.settings.retention_days))

    @functools.cached_property
    def jobs(self) -> JobService:
        """The use cases of jobs."""
        from shared.core.jobs.service import JobService
        from shared.kube.jobs.runtime import JobLimits, KubernetesJobs
        from shared.virtual.jobs import VirtualJobs

        jobs = KubernetesJobs(self.runtime, JobLimits.from_settings(self.settings), self.held)
        return JobService(
            store=self.store,
            access=self.access,
            runtimes=self._each({DEFAULT: jobs, VIRTUAL: VirtualJobs()}),
            audit=self.auditor,
            clock=self.clock,
        )

    @functools.cached_property
    def credentials(self) -> CredentialService:
        """The use cases of credentials."""
        from shared.core.credentials.service import CredentialService
        from shared.kube.credentials.copying import KubernetesCredentials
        from shared.virtual.credentials import VirtualCredentials

        return CredentialService(
            store=self.credential_store,
            runtimes=self._each(
                {DEFAULT: KubernetesCredentials(self.runtime), VIRTUAL: VirtualCredentials()}
            ),
            sessions=self.store,
            access=self.access,
            audit=self.auditor,
            clock=self.clock,
        )

    @functools.cached_property
    def owners(self) -> OwnerService:
        """What administrators do about addresses that change hands."""
        from shared.core.credentials.owners import OwnerService

        return OwnerService(
            store=self.store, credentials=self.credential_store, access=self.access, audit=self.auditor
        )

    @functools.cached_property
    def sessions(self) -> SessionService:
        """The use cases of sessions."""
        from shared.core.credentials.new_session import NewSessionCredentials
        from shared.core.sessions.concurrency import ExecSlots
        from shared.core.sessions.service import SessionService

        return SessionService(
            store=self.store,
            places=self._new_places,
            access=self.access,
            states=self.states,
            jobs=self.jobs,
            credentials=NewSessionCredentials(self.credential_store),
            clock=self.clock,
            audit=self.auditor,
            namespace=self.settings.k8s_namespace,
            slots=ExecSlots(self.settings.max_execs_per_session),
            limit=self.settings.max_sessions_per_owner,
        )

    @functools.cached_property
    def upkeep(self) -> SessionUpkeep:
        """What callers change of their sessions."""
        from shared.core.sessions.update import SessionUpkeep

        return SessionUpkeep(store=self.store, access=self.access, audit=self.auditor, clock=self.clock)

    @functools.cached_property
    def cleanup(self) -> CleanupService:
        """What ends sessions that nobody ends."""
        from shared.core.cleanup.service import CleanupService
        from shared.kube.pods.activity import KubernetesActivity
        from shared.virtual.activity import NoActivity

        return CleanupService(
            store=self.store,
            access=self.access,
            states=self.states,
            jobs=self.jobs,
            activity=self._each(
                {DEFAULT: KubernetesActivity(self.runtime, self.held), VIRTUAL: NoActivity()}
            ),
            inventory=self.inventory,
            audit=self.auditor,
            clock=self.clock,
            telemetry=self.telemetry,
            credentials_retention=_days(self.settings.credentials_retention_days),
            grace=timedelta(seconds=self.settings.orphan_grace_seconds),
            longest_life=timedelta(seconds=self.settings.max_ttl_seconds),
            seconds=self.settings.cleanup_seconds,
        )

    @functools.cached_property
    def session_audit(self) -> SessionAudit:
        """Reads audit records."""
        from shared.core.sessions.audit import SessionAudit

        return SessionAudit(access=self.access, store=self.store.audit, audit=self.auditor)

    @functools.cached_property
    def files(self) -> SessionFiles:
        """The use cases of sessions' files."""
        from shared.core.files.service import SessionFiles

        return SessionFiles(
            access=self.access,
            audit=self.auditor,
            timeout_seconds=self.settings.max_exec_timeout_seconds,
            max_bytes=int(quantity(self.settings.max_file_bytes)),
            held=self.held,
        )

    @functools.cached_property
    def requests(self) -> IdempotentRequests:
        """Idempotency keys."""
        from shared.core.sessions.idempotency import IdempotentRequests

        return IdempotentRequests(self.store, self.clock)

    @functools.cached_property
    def answers(self) -> AnswerRoom:
        """What the JSON answers of commands may keep together."""
        from shared.web.api.answer_room import AnswerRoom

        return AnswerRoom(held=self.held)

    @functools.cached_property
    def rates(self) -> RequestRates:
        """How many requests one owner may make."""
        from shared.web.http.rates import RequestRates

        return RequestRates(
            per_minute=self.settings.request_rate_per_minute, burst=self.settings.request_burst
        )


def _days(days: int) -> timedelta:
    return timedelta(days=min(days, _MOST_DAYS))


@functools.cache
def app() -> App:
    """The instance's composition root, from the process's environment.

    Raises:
        ConfigurationError: A setting is missing or malformed.
    """
    return App(Settings.from_env(os.environ))
