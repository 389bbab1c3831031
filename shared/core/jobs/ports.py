"""What the use cases of jobs need from the outside, as Protocols. Adapters implement them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from shared.core.audit.ports import AuditStore
from shared.core.clusters.ports import ConnectionStore
from shared.core.jobs.model import Job, JobCursor, JobRecord, JobReport, NewJob
from shared.core.paging import Cursor
from shared.core.sessions.model import Session
from shared.core.sessions.ports import SessionStore


class JobStore(SessionStore, Protocol):
    """Keeps jobs besides sessions. All changes are compare-and-set; errors as in ``SessionStore``."""

    async def create_job(self, job: Job) -> Job:
        """Stores a new job.

        Returns:
            The job with its version.

        Raises:
            Conflict: A job with this id exists (reason ``JOB_EXISTS``).
        """
        ...

    async def get_job(self, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    async def update_job(self, job: Job) -> Job:
        """Replaces the stored job if it still has ``job.version``.

        Returns:
            The job with its new version.

        Raises:
            VersionConflict: It has another version, or is gone.
        """
        ...

    async def remove_job(self, job: Job) -> None:
        """Removes the stored job if it still has ``job.version``."""
        ...

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """The session's jobs, newest first, at most ``limit``, those behind ``after``."""
        ...


class Store(JobStore, Protocol):
    """All that one database keeps."""

    @property
    def audit(self) -> AuditStore:
        """The audit records of sessions."""
        ...

    @property
    def connections(self) -> ConnectionStore:
        """The documents of connections to clusters."""
        ...


class JobRuntime(Protocol):
    """Runs jobs in a session's pod.

    Every method raises ``ClusterUnavailable`` when the pod cannot be asked, and ``NotFound``
    (reason ``POD_NOT_RUNNING``) when it does not run.
    """

    async def start(self, session: Session, job: Job, new: NewJob) -> JobReport:
        """Starts a job, once: a repetition for the same job only reports.

        Raises:
            TooManyRequests: Too many jobs of the session are unfinished.
        """
        ...

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        """What the pod knows of these jobs. Of those that it does not know, nothing."""
        ...

    async def cancel(self, session: Session, job_id: str) -> JobReport | None:
        """Ends a job's process group, TERM and after 5 s KILL, and waits for that.

        Returns:
            How it ended, which may have been before; None when the pod does not know it.
        """
        ...

    def follow(
        self, session: Session, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """What a job said, from a place on.

        Args:
            session: Whose pod.
            job_id: The job.
            since: Where to begin.
            wait: Whether to go on as the job does: then the last event is a ``JobReport``,
                unless the stream had to end before; it can be taken up where it ended.

        Raises:
            NotFound: The pod does not know the job (reason ``JOB_OUTPUT_GONE``).
            InvalidRequest: There is no such place in the job's output.
        """
        ...
