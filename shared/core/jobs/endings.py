"""How jobs end with their session: what is noted, and what is asked of a pod before it is deleted.

A pod is its user's: it may hang, flood or lie. So nothing that it says, or does not say, puts off
its end for longer than a few seconds.
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
"""The end of a pod waits so long for what it has to say, and no longer."""

_PAGE, _PAGES = 100, 100
ASKED, _CONCLUDED = 100, 1000
"""Unfinished jobs of one session that are asked about at once, and that are noted as lost: a pod
that is not what we made of it may have started any number."""


class JobEnds:
    """Notes how jobs end.

    Args:
        store: Keeps jobs.
        runtimes: What runs jobs, of each cluster.
        audit: Told of every end.
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
        """Before a pod is deleted: notes which jobs have ended, as far as it says so within seconds."""
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
        """After a pod was told to go, which is asked nothing: jobs that are not known to be over are lost.

        Of very many, those that are left out are lost for whoever looks at them.
        """
        now = self._clock.now()
        for job in await self._unfinished(session, _CONCLUDED):
            await self._settled(session, job, lost(session.reason, job, now))

    async def _unfinished(self, session: Session, most: int) -> list[Job]:
        """A session's jobs that are not known to be over, the newest first."""
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
        """The job with what is reported; stored when its state is another one."""

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
