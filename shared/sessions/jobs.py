"""The use cases of jobs: start, get, list, cancel, follow.

Order of writes on start: the document first (queued), then the pod. What happens then is
known to the pod alone; the document learns of it when somebody looks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from shared.errors import Conflict, GamguiError, NotFound, VersionConflict
from shared.sessions import names
from shared.sessions.access import SessionAccess
from shared.sessions.auditor import Auditor
from shared.sessions.job import (
    Job,
    JobCursor,
    JobRecord,
    JobReport,
    JobState,
    NewJob,
    afterwards,
    lost,
)
from shared.sessions.job_ports import JobRuntime, JobStore
from shared.sessions.model import Session, SessionState
from shared.sessions.person import Person
from shared.sessions.ports import Clock, Cursor

_STARTING_SECONDS = 60
"""Between a job's document and the job lies one exec, which is given up before."""

_TRIES = 5
_PAGE = 100


class JobService:
    """Everything that callers do to jobs. For a caller, others' jobs do not exist.

    Args:
        store: Keeps sessions and jobs.
        access: Finds a caller's sessions.
        runtime: Runs jobs in pods.
        virtual: Runs the jobs of virtual sessions.
        audit: Told of every act.
        clock: The time of day.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        access: SessionAccess,
        runtime: JobRuntime,
        virtual: JobRuntime,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._access = access
        self._runtime = runtime
        self._virtual = virtual
        self._audit = audit
        self._clock = clock

    async def start(self, owner: Person, session_id: str, new: NewJob, job_id: str) -> Job:
        """Starts a job.

        Args:
            owner: The caller.
            session_id: Where to.
            new: What is asked for.
            job_id: Its id. With the id of an earlier request, nothing is started twice.

        Raises:
            NotFound: The session is absent, another owner's, or without a running pod.
            Conflict: The session is not running.
            TooManyRequests: Too many jobs of the session are unfinished.
            ClusterUnavailable: It is not known whether the job was started.
        """
        session = await self._access.running(owner, session_id)
        job = await self._document(session, new, job_id)
        if job.state is not JobState.QUEUED:
            return (await self._refreshed(session, [job]))[0]
        command = new.command if isinstance(new.command, str) else shlex.join(new.command)
        detail = {"job": job.id, "command": command}
        async with self._audit.act(session, owner, "job.start", detail) as act:
            act.announce()
            act.outcome = "started"
            try:
                report = await self._runtime_of(session).start(session, job, new)
            except GamguiError as error:
                await act.end(error.reason)
                if error.status < 500:
                    await self._store.remove_job(job)  # refused: it has never been
                raise
        return await self._settled(session, job, report)

    async def get(self, owner: Person, session_id: str, job_id: str) -> Job:
        """The job, with what its pod says now.

        Raises:
            NotFound: Session or job are absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned(owner, session_id)
        return (await self._refreshed(session, [await self._job(session, job_id)]))[0]

    async def list_jobs(
        self, owner: Person, session_id: str, *, limit: int, after: Cursor | None
    ) -> tuple[Sequence[Job], Cursor | None]:
        """A page of the session's jobs, newest first, and where the next one begins.

        Raises:
            NotFound: The session is absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned(owner, session_id)
        found = await self._store.list_jobs(session.id, limit=limit + 1, after=after)
        page = found[:limit]
        more = Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None
        return await self._refreshed(session, page), more

    async def cancel(self, owner: Person, session_id: str, job_id: str) -> Job:
        """Ends a job: TERM to its process group and after 5 s KILL. Repeating it changes nothing.

        Returns:
            The job as it ended, which may have been before.

        Raises:
            NotFound: Session or job are absent, or another owner's.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned(owner, session_id)
        job = await self._job(session, job_id)
        async with self._audit.act(session, owner, "job.cancel", {"job": job.id}) as act:
            if not job.state.over and session.state is SessionState.RUNNING:
                with contextlib.suppress(NotFound):
                    report = await self._runtime_of(session).cancel(session, job.id)
                    if report is not None:
                        job = await self._settled(session, job, report)
            job = (await self._refreshed(session, [job]))[0]
            act.outcome = job.state
        return job

    async def output(
        self, owner: Person, session_id: str, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """What a job said from a place on; see ``JobRuntime.follow``.

        Yields:
            Records. Once the job is over, the last one holds the job itself.

        Raises:
            NotFound: Session or job are absent, or another owner's.
            InvalidRequest: There is no such place in its output.
            ClusterUnavailable: The pod cannot be asked.
        """
        session = await self._access.owned(owner, session_id)
        job = await self._job(session, job_id)
        if session.state is SessionState.RUNNING:
            with contextlib.suppress(NotFound):
                records = self._runtime_of(session).follow(session, job.id, since, wait=wait)
                async with contextlib.aclosing(records):
                    async for record in records:
                        if isinstance(record.event, JobReport):
                            job = await self._settled(session, job, record.event)
                            yield dataclasses.replace(record, event=job)
                        else:
                            yield record
                return
        job = (await self._refreshed(session, [job]))[0]
        if not job.state.over:
            raise Conflict(
                f"the session is {session.state}: the job's output cannot be read",
                reason="SESSION_NOT_RUNNING",
                session=session.id,
                state=session.state,
            )
        for record in afterwards(job, since):
            yield record

    async def conclude(self, session: Session) -> None:
        """Before a session's pod is deleted: notes how its jobs ended; those that run are lost."""
        now = self._clock.now()
        unfinished = await self._unfinished(session)
        reports: Mapping[str, JobReport] = {}
        if unfinished:
            with contextlib.suppress(GamguiError):
                reports = await self._runtime_of(session).reports(session, [job.id for job in unfinished])
        for job in unfinished:
            seen = await self._settled(session, job, reports.get(job.id, job))
            await self._settled(session, seen, lost(session.reason, seen, now))

    async def settle_ended(self, session: Session) -> datetime | None:
        """Notes how the jobs ended of a session in which nothing runs.

        Returns:
            When the last one ended of those of which nobody knew; None if there was none.

        Raises:
            ClusterUnavailable: The pod cannot be asked.
        """
        settled = await self._refreshed(session, await self._unfinished(session))
        return max((job.ended_at for job in settled if job.ended_at is not None), default=None)

    async def forget(self, session: Session) -> None:
        """Removes what is stored of a session's jobs."""
        while page := await self._store.list_jobs(session.id, limit=_PAGE, after=None):
            for job in page:
                await self._store.remove_job(job)

    async def _unfinished(self, session: Session) -> list[Job]:
        """A session's jobs that are not known to be over."""
        after: Cursor | None = None
        found: list[Job] = []
        while True:
            page = await self._store.list_jobs(session.id, limit=_PAGE, after=after)
            found += [job for job in page if not job.state.over]
            if len(page) < _PAGE:
                return found
            after = Cursor(page[-1].created_at, page[-1].id)

    async def _document(self, session: Session, new: NewJob, job_id: str) -> Job:
        """The stored job: a new one, or that of an earlier request with this id."""
        job = Job(
            id=job_id,
            session_id=session.id,
            owner=session.owner,
            name=new.name or job_id,
            command=new.command if isinstance(new.command, str) else tuple(new.command),
            state=JobState.QUEUED,
            created_at=self._clock.now(),
            timeout_seconds=new.timeout_seconds,
        )
        try:
            return await self._store.create_job(job)
        except Conflict:
            return await self._job(session, job_id)

    async def _job(self, session: Session, job_id: str) -> Job:
        job = await self._store.get_job(job_id) if names.is_job_id(job_id) else None
        if job is None or job.session_id != session.id:
            raise NotFound("there is no such job", reason="JOB_NOT_FOUND")
        return job

    async def _refreshed(self, session: Session, jobs: Sequence[Job]) -> list[Job]:
        """The jobs with what is known of them now."""
        unfinished = [job for job in jobs if not job.state.over]
        reports = await self._reports(session, unfinished) if unfinished else {}
        settled = {job.id: await self._settled(session, job, reports.get(job.id, job)) for job in unfinished}
        if any(job.state is JobState.RUNNING for job in settled.values()):
            await self._access.touch(session)  # a running job is work
        return [settled.get(job.id, job) for job in jobs]

    async def _reports(self, session: Session, jobs: Sequence[Job]) -> Mapping[str, JobReport]:
        if session.state is SessionState.RUNNING:
            try:
                reports = await self._runtime_of(session).reports(session, [job.id for job in jobs])
            except NotFound:
                session = await self._access.observed(session)
            else:
                unknown = [job for job in jobs if job.id not in reports and not self._may_be_starting(job)]
                return {**reports, **{job.id: lost("the pod knows nothing of it", job) for job in unknown}}
        if session.state in (SessionState.DELETED, SessionState.FAILED):
            return {job.id: lost(session.reason, job) for job in jobs}
        return {}

    def _may_be_starting(self, job: Job) -> bool:
        age = (self._clock.now() - job.created_at).total_seconds()
        return job.state is JobState.QUEUED and age < _STARTING_SECONDS

    async def _settled(self, session: Session, job: Job, report: JobReport) -> Job:
        """The job with what is reported; stored when its state is another one."""
        for _ in range(_TRIES):
            now = job.reported(report)
            if now.state is job.state:
                return now
            try:
                stored = await self._store.update_job(now)
            except VersionConflict:
                current = await self._store.get_job(job.id)
                if current is None:
                    return now
                job = current
                continue
            if stored.state.over:
                owner = Person(subject=session.subject, email=job.owner)
                await self._audit.record(
                    session, owner, "job.end", stored.state, job=job.id, exit_code=stored.exit_code
                )
            return stored
        raise VersionConflict("the job is being changed by others; try again", job=job.id)

    def _runtime_of(self, session: Session) -> JobRuntime:
        return self._virtual if session.virtual else self._runtime
