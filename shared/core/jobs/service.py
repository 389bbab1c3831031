"""The use cases of jobs: start, get, list, cancel, follow.

Order of writes on start: first the document (queued), then the pod. After that only the pod knows what
happens with the job; the document is updated when a request asks the pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from shared.core import ids
from shared.core.audit.auditor import Auditor
from shared.core.audit.masking import Shown, shown_command
from shared.core.clock import Clock
from shared.core.clusters.ports import Clusters
from shared.core.jobs.endings import ASKED, JobEnds
from shared.core.jobs.model import Job, JobCursor, JobRecord, JobReport, JobState, NewJob, afterwards, lost
from shared.core.jobs.ports import JobRuntime, JobStore
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions import variables
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.core.sessions.ports import SessionStore
from shared.errors import Conflict, GamguiError, NotFound
from shared.reasons import Reason

_STARTING_SECONDS = 60
"""A queued job that its pod does not know may still be starting within this time after its creation.

Between the job's document and its start there is one exec, which is given up earlier.
"""

_LONG_CHARACTERS = 1024
"""A longer command is masked in a thread: it takes so long that other requests must go on meanwhile."""


class JobService(JobEnds):
    """Everything that callers do to jobs. To a caller, other people's jobs do not exist.

    Args:
        store: Keeps the jobs.
        sessions: Keeps the sessions.
        access: Finds a caller's sessions.
        runtimes: Each cluster's runtime of jobs.
        audit: Records every act.
        clock: The time of day.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        sessions: SessionStore,
        access: SessionAccess,
        runtimes: Clusters[JobRuntime],
        audit: Auditor,
        clock: Clock,
    ) -> None:
        super().__init__(store=store, runtimes=runtimes, audit=audit, clock=clock)
        self._access = access
        self._sessions = sessions

    async def require_session(self, owner: Person, session_id: str) -> None:
        """Refuses a session that is not the caller's.

        Raises:
            NotFound: The session is absent, or another owner's.
            Conflict: The session's owner held this e-mail address earlier (reason ``OWNER_CHANGED``).
        """
        await self._access.owned(owner, session_id)

    async def start(self, owner: Person, session_id: str, new: NewJob, job_id: str) -> Job:
        """Starts a job.

        Args:
            owner: The caller.
            session_id: The session in which the job runs.
            new: The job that the caller asks for.
            job_id: The job's id. With the id of an earlier request's job, no second job is started.

        Returns:
            The job as it is after the start.

        Raises:
            NotFound: The session is absent, another owner's, or without a running pod.
            Conflict: The session is not running.
            InvalidRequest: Command and variables are too long.
            TooManyRequests: Too many jobs of the session are unfinished, or the owner has too many streams.
            ClusterUnavailable: It is not known whether the job was started.
        """
        session = await self._access.running(owner, session_id)
        variables.require_room(new.argv, new.workdir, new.env)
        job, is_new = await self._document(session, new, job_id)
        if job.state is not JobState.QUEUED:
            return (await self._refreshed(session, [job]))[0]
        evidence = await self._audit.evidence()
        evidence.count(new.stdin)
        detail = {"job": job.id, **evidence.of_command(new.argv, new.env), **evidence.of_input()}
        new = dataclasses.replace(new, env=variables.of_command(session.env, new.env))
        async with self._audit.act(session, owner, "job.start", detail) as act:
            act.announce()
            act.outcome = "started"
            try:
                with self._access.streams.taken(session.owner):
                    report = await (await self._runtimes.of(session)).start(session, job, new)
            except GamguiError as error:
                await act.end(error.reason)
                if error.status < 500 and is_new:  # it was refused; one of an earlier request may run
                    await self._store.remove_job(job)
                raise
        return await self._settled(session, job, report)

    async def get(self, owner: Person, session_id: str, job_id: str) -> Job:
        """The job with the pod's current report.

        Raises:
            NotFound: The session or the job is absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned_and_seen(owner, session_id)
        return (await self._shown(session, [await self._job(session, job_id)]))[0]

    async def list_jobs(
        self, owner: Person, session_id: str, *, limit: int, after: Cursor | None
    ) -> tuple[Sequence[Job], Cursor | None]:
        """A page of the session's jobs, newest first, and where the next page begins.

        Args:
            owner: The caller.
            session_id: The session.
            limit: Maximum number of jobs.
            after: Where the previous page ended; None: the first page.

        Returns:
            The jobs, and the cursor for the next page; None when there are no more jobs.

        Raises:
            NotFound: The session is absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned_and_seen(owner, session_id)
        found = await self._store.list_jobs(session.id, limit=limit + 1, after=after)
        page = found[:limit]
        more = Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None
        return await self._shown(session, page), more

    async def cancel(self, owner: Person, session_id: str, job_id: str) -> Job:
        """Ends a job: TERM to its process group, after 5 s KILL. A repetition changes nothing.

        Returns:
            The job as it ended, possibly before this call.

        Raises:
            NotFound: The session or the job is absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned_and_seen(owner, session_id)
        job = await self._job(session, job_id)
        async with self._audit.act(session, owner, "job.cancel", {"job": job.id}) as act:
            if not job.state.over and session.state is SessionState.RUNNING:
                with contextlib.suppress(NotFound):
                    report = await (await self._runtimes.of(session)).cancel(session, job.id)
                    if report is not None:
                        job = await self._settled(session, job, report)
            job = (await self._refreshed(session, [job]))[0]
            act.outcome = job.state
        return job

    async def output(
        self, owner: Person, session_id: str, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """Reads a job's output from a place on; see ``JobRuntime.follow``.

        Yields:
            The records. When the job is over, the last record's event is the job itself.

        Raises:
            NotFound: The session or the job is absent, or another owner's.
            Conflict: The session is not running and the job is not over (reason ``SESSION_NOT_RUNNING``).
            InvalidRequest: The job's output has no place ``since``.
            TooManyRequests: The owner has too many streams (reason ``TOO_MANY_STREAMS``).
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned_and_seen(owner, session_id)
        job = await self._job(session, job_id)
        if session.state is SessionState.RUNNING:
            with contextlib.suppress(NotFound):
                records = (await self._runtimes.of(session)).follow(session, job.id, since, wait=wait)
                counted = self._access.streams.counted(session.owner, records)
                async with contextlib.aclosing(counted) as records:
                    async for record in records:
                        if isinstance(record.event, JobReport):
                            job = await self._settled(session, job, await self._told(session, record.event))
                            yield dataclasses.replace(record, event=job)
                        else:
                            yield record
                return
        job = (await self._refreshed(session, [job]))[0]
        if not job.state.over:
            raise Conflict(
                f"the session is {session.state}: the job's output cannot be read",
                reason=Reason.SESSION_NOT_RUNNING,
                session=session.id,
                state=session.state,
            )
        for record in afterwards(job, since):
            yield record

    async def settle_ended(self, session: Session) -> datetime | None:
        """Stores how the unfinished jobs of a session have ended; for a session without processes.

        Returns:
            The latest end among the jobs whose end was not stored yet; None when there is no such job.

        Raises:
            ClusterUnavailable: The pod cannot be asked.
        """
        settled = await self._refreshed(session, await self._unfinished(session, ASKED))
        ends = [job.ended_at for job in settled if job.ended_at is not None]
        return min(max(ends), self._clock.now()) if ends else None  # a pod may report any time

    async def _told(self, session: Session, report: JobReport) -> JobReport:
        """Returns the report; if the job was lost with its session, with the session's reason for its end."""
        current = await self._sessions.get(session.id) if report.state is JobState.LOST else None
        if current is None or current.live:
            return report
        return dataclasses.replace(report, reason=current.reason or "the session was deleted")

    async def _document(self, session: Session, new: NewJob, job_id: str) -> tuple[Job, bool]:
        """Stores a new job. Returns it, or what an earlier request has stored; and whether it is new."""
        shown = await self._masked(new.command)
        job = Job(
            id=job_id,
            session_id=session.id,
            owner=session.owner,
            name=new.name or job_id,
            command=shown.command,
            command_masked=shown.masked,
            command_truncated=shown.truncated,
            state=JobState.QUEUED,
            created_at=self._clock.now(),
            timeout_seconds=new.timeout_seconds,
        )
        try:
            return await self._store.create_job(job), True
        except Conflict:
            return await self._job(session, job_id), False

    async def _masked(self, command: str | Sequence[str]) -> Shown:
        characters = len(command) if isinstance(command, str) else sum(len(word) + 1 for word in command)
        if characters > _LONG_CHARACTERS:
            return await asyncio.to_thread(shown_command, command)
        return shown_command(command)

    async def _job(self, session: Session, job_id: str) -> Job:
        job = await self._store.get_job(job_id) if ids.is_job_id(job_id) else None
        if job is None or job.session_id != session.id:
            raise NotFound("there is no such job", reason=Reason.JOB_NOT_FOUND)
        return job

    async def _shown(self, session: Session, jobs: Sequence[Job]) -> list[Job]:
        """As ``_refreshed``, for the owner: while the pod is asked, that is one of his streams."""
        asks = session.state is SessionState.RUNNING and not all(job.state.over for job in jobs)
        with self._access.streams.taken(session.owner) if asks else contextlib.nullcontext():
            return await self._refreshed(session, jobs)

    async def _refreshed(self, session: Session, jobs: Sequence[Job]) -> list[Job]:
        """The jobs with the pod's current reports; changes of state are stored."""
        unfinished = [job for job in jobs if not job.state.over]
        reports = await self._reports(session, unfinished) if unfinished else {}
        settled = {job.id: await self._settled(session, job, reports.get(job.id, job)) for job in unfinished}
        if any(job.state is JobState.RUNNING for job in settled.values()):
            await self._access.touch(session)  # a running job is work
        return [settled.get(job.id, job) for job in jobs]

    async def _reports(self, session: Session, jobs: Sequence[Job]) -> Mapping[str, JobReport]:
        if session.state is SessionState.RUNNING:
            try:
                runtime = await self._runtimes.of(session)
                reports = await runtime.reports(session, [job.id for job in jobs])
            except NotFound:
                session = await self._access.observed(session)
            else:
                unknown = [job for job in jobs if job.id not in reports and not self._may_be_starting(job)]
                return {**reports, **{job.id: lost("the pod knows nothing of it", job) for job in unknown}}
        if session.state is SessionState.FAILED or session.state in ENDED:
            return {job.id: lost(session.reason, job) for job in jobs}
        return {}

    def _may_be_starting(self, job: Job) -> bool:
        age = (self._clock.now() - job.created_at).total_seconds()
        return job.state is JobState.QUEUED and age < _STARTING_SECONDS
