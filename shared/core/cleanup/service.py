"""One run of cleanup: due sessions, strays, pods that are being deleted, unused credentials, old documents.

Any number of runs may go on at once, and each may die at any point. Only the sessions themselves remember
what was done. Every step can be repeated, and a step that two runs take is a success for both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta

from shared.core.audit.auditor import Auditor
from shared.core.cleanup.due import DueSessions, Leaving
from shared.core.cleanup.elsewhere import Elsewhere
from shared.core.cleanup.guard import guarded
from shared.core.cleanup.ports import Activity, CleanupStores, Inventory
from shared.core.cleanup.report import Action, Report
from shared.core.cleanup.retention import Old
from shared.core.cleanup.strays import Strays
from shared.core.cleanup.unused_credentials import UnusedCredentials
from shared.core.clock import Clock
from shared.core.clusters.installation import Installation, Neighbours
from shared.core.clusters.ports import Clusters
from shared.core.jobs.service import JobService
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.states import SessionStates
from shared.core.telemetry import Telemetry
from shared.core.turns import in_turns
from shared.errors import GamguiError

log = logging.getLogger(__name__)

_DUE, _STRAYS, _GONE, _CREDENTIALS = 0.6, 0.8, 0.9, 0.95
"""The parts of the run's time after which each step must be over, so that no step starves the later ones."""

_GONE_SECONDS = 15.0
"""Longest wait until pods are gone; each pod has 5 s to end its processes."""

_AT_ONCE = 16


class CleanupService:
    """Runs cleanup.

    Args:
        stores: The stores that cleanup reads and from which it removes.
        access: Asks sessions' pods.
        states: Moves sessions through their states.
        jobs: Notes how the jobs of a session end.
        activity: Each cluster's adapter that looks for processes in pods.
        inventory: Knows what exists in the cluster.
        audit: Records every act.
        clock: The time of day.
        telemetry: Gets the counts of each run.
        grace: Minimum age of an orphan that is deleted.
        credentials_retention: How long unused credentials are kept.
        longest_life: Kubernetes ends a session's pod after this time.
        seconds: Longest time of a run.
        installation: Says which installation this is; None: there is no other in the namespace.
        neighbours: Notes which other installations have objects in the namespace; None: nobody is told.
    """

    def __init__(
        self,
        *,
        stores: CleanupStores,
        access: SessionAccess,
        states: SessionStates,
        jobs: JobService,
        activity: Clusters[Activity],
        inventory: Inventory,
        audit: Auditor,
        clock: Clock,
        telemetry: Telemetry,
        grace: timedelta,
        credentials_retention: timedelta,
        longest_life: timedelta,
        seconds: float,
        installation: Installation | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        elsewhere = Elsewhere(
            store=stores.sessions,
            access=access,
            states=states,
            jobs=jobs,
            audit=audit,
            clock=clock,
            longest_life=longest_life,
        )
        self._due = DueSessions(
            sessions=stores.sessions,
            due=stores.due,
            access=access,
            states=states,
            jobs=jobs,
            activity=activity,
            elsewhere=elsewhere,
            audit=audit,
            clock=clock,
        )
        self._strays = Strays(
            sessions=stores.sessions,
            due=stores.due,
            inventory=inventory,
            access=access,
            states=states,
            jobs=jobs,
            elsewhere=elsewhere,
            audit=audit,
            clock=clock,
            grace=grace,
            installation=installation,
            neighbours=neighbours,
        )
        self._credentials = UnusedCredentials(
            store=stores.due,
            inventory=inventory,
            audit=audit,
            clock=clock,
            retention=credentials_retention,
            installation=installation,
        )
        self._old = Old(stores=stores, clock=clock)
        self._inventory = inventory
        self._seconds = seconds
        self._telemetry = telemetry

    async def run(self, *, dry_run: bool) -> Report:
        """Runs all steps, within ``seconds``.

        Args:
            dry_run: Change nothing, and only report what would be done.

        Returns:
            What was done and what is left. It includes the errors of the steps; none is raised.
        """
        report = Report(dry_run=dry_run)
        begun = asyncio.get_running_loop().time()
        leaving: list[Leaving] = []

        async def due() -> None:
            leaving.extend(await self._due.run(report, begun + _DUE * self._seconds))

        await self._step("the sessions that are due", due(), report, begun + self._seconds)
        strays = self._strays.run(report, begun + _STRAYS * self._seconds)
        await self._step("what is in the cluster", strays, report, begun + self._seconds)
        if leaving:
            gone = self._wait(leaving, report, begun + _GONE * self._seconds)
            await self._step("the pods that are being deleted", gone, report, begun + _GONE * self._seconds)
        unused = self._credentials.run(report)
        await self._step("unused credentials", unused, report, begun + _CREDENTIALS * self._seconds)
        if not dry_run:
            await self._step("what is old", self._old.run(report), report, begun + self._seconds)
            self._telemetry.cleanup(_counts(report))
        return report

    async def _step(self, what: str, work: Awaitable[None], report: Report, until: float) -> None:
        """Runs one step. Its failure goes into the report, so that the other steps still run."""
        try:
            async with asyncio.timeout_at(until):
                await work
        except GamguiError as error:
            log.warning("cleanup of %s failed", what, exc_info=True)
            report.faults.append(f"{what}: {error.reason}: {error.detail}")
        except TimeoutError:
            report.faults.append(f"{what}: the time of this run is over")
        except Exception:
            log.exception("cleanup of %s failed", what)
            report.faults.append(f"{what}: a fault of ours: see the log")

    async def _wait(self, leaving: list[Leaving], report: Report, until: float) -> None:
        """Waits for all pods that are being deleted, and finishes the sessions whose pods are gone."""
        left = max(0.0, until - asyncio.get_running_loop().time())
        gone: set[str] = set()
        try:
            gone = await self._inventory.gone([one.session for one in leaving], min(_GONE_SECONDS, left))
        finally:
            for one in leaving:
                if one.session.id not in gone:
                    report.note("session", one.session.id, Action.LEFT, "its pod is not gone yet")
        await in_turns(
            ((one.session.owner, one) for one in leaving if one.session.id in gone),
            lambda one: self._gone(one, report, until),
            at_once=_AT_ONCE,
            of_one_owner=_AT_ONCE,
        )

    async def _gone(self, leaving: Leaving, report: Report, until: float) -> None:
        async with guarded(report, "session", leaving.session.id, until):
            await self._due.gone(leaving, report)


def _counts(report: Report) -> dict[str, int]:
    kinds = ("session", "pod", "secret", "credentials")
    return {
        "deleted": report.count("session", Action.DELETED),
        "failed": report.count("session", Action.FAILED),
        "orphans": report.count("pod", Action.DELETED) + report.count("secret", Action.DELETED),
        "left": sum(report.count(kind, Action.LEFT) for kind in kinds) + len(report.faults),
    }
