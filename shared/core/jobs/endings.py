"""How jobs end with their session: what the store notes, and what a pod is asked before it is deleted.

A pod is under its user's control: it may hang, send too much, or lie. So no answer of a pod, and no missing
answer, delays its end by more than a few seconds.
"""

from __future__ import annotations

import logging

from shared.core.audit.auditor import Auditor
from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.clusters.ports import Clusters
from shared.core.deadline import within
from shared.core.jobs.model import Job, JobReport, lost
from shared.core.jobs.ports import JobRuntime, JobStore
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.model import Session
from shared.errors import GamguiError

log = logging.getLogger(__name__)

_LAST_WORD_SECONDS = 3.0
"""Longest wait for a pod's answer before the pod is deleted."""

_PAGE, _PAGES = 100, 100
ASKED, _CONCLUDED = 100, 1000
"""Maximum number of a session's unfinished jobs that a pod is asked about at once, and that become lost.

A manipulated pod may have let any number of jobs begin.
"""


class JobEnds:
    """Notes how jobs end.

    Args:
        store: Keeps the jobs.
        runtimes: Each cluster's runtime of jobs.
        audit: Records every end.
        clock: The time of day.
    """

    def __init__(
        self, *, store: JobStore, runtimes: Clusters[JobRuntime], audit: Auditor, clock: Clock
    ) -> None:
        self._store = store
        self._runtimes = runtimes
        self._audit = audit
        self._clock = clock

    async def note_ends(self, session: Session) -> None:
        """Asks a pod before its deletion, for a few seconds, which jobs have ended, and stores that."""
        try:
            await within(_LAST_WORD_SECONDS, self._note_ends(session))
        except (GamguiError, TimeoutError):
            return
        except Exception:
            log.exception("what the pod of session %s said was not understood", session.id)

    async def _note_ends(self, session: Session) -> None:
        unfinished = await self._unfinished(session, ASKED)
        if unfinished:
            runtime = await self._runtimes.of(session)
            reports = await runtime.reports(session, [job.id for job in unfinished])
            for job in unfinished:
                await self._settled(session, job, reports.get(job.id, job))

    async def conclude(self, session: Session) -> None:
        """Stores, after a pod's deletion was requested, that jobs without a known end are lost. Asks no pod.

        Of very many jobs, the older ones are left out; each of these becomes lost when a caller looks at it.
        """
        now = self._clock.now()
        for job in await self._unfinished(session, _CONCLUDED):
            await self._settled(session, job, lost(session.reason, job, now))

    async def _unfinished(self, session: Session, most: int) -> list[Job]:
        """A session's jobs without a known end, newest first, at most ``most``."""
        after: Cursor | None = None
        found: list[Job] = []
        for _ in range(_PAGES):
            page = await self._store.list_jobs(session.id, limit=_PAGE, after=after)
            found += [job for job in page if not job.state.over]
            if len(page) < _PAGE or len(found) >= most:
                break
            after = Cursor(page[-1].created_at, page[-1].id)
        return found[:most]

    async def _settled(self, session: Session, job: Job, report: JobReport) -> Job:
        """Returns the job with the report's content; stores it if the state changes."""

        async def settle(current: Job | None) -> Job:
            if current is None:
                return job.reported(report)
            now = current.reported(report)
            if now.state is current.state:
                return now
            stored = await self._store.update_job(now)
            if stored.state.over:
                owner = Person(subject=session.subject, email=job.owner)
                await self._audit.record(
                    session, owner, "job.end", stored.state, job=job.id, exit_code=stored.exit_code
                )
            return stored

        return await changed(
            lambda: self._store.get_job(job.id), settle, first=job, busy="the job is", job=job.id
        )
