"""The ports of the use cases of jobs, as Protocols. Adapters implement them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from shared.core.jobs.model import Job, JobCursor, JobRecord, JobReport, NewJob
from shared.core.paging import Cursor
from shared.core.sessions.model import Session


class JobStore(Protocol):
    """Keeps jobs. All changes are compare-and-set; errors as in ``SessionStore``."""

    async def create_job(self, job: Job) -> Job:
        """Stores a new job.

        Returns:
            The job with its version.

        Raises:
            Conflict: A job with this id exists (reason ``JOB_EXISTS``).
        """
        ...

    async def get_job(self, job_id: str) -> Job | None:
        """The job; None when there is none with this id."""
        ...

    async def update_job(self, job: Job) -> Job:
        """Replaces the stored job if it still has ``job.version``.

        Returns:
            The job with its new version.

        Raises:
            VersionConflict: The stored job has another version, or is gone.
        """
        ...

    async def remove_job(self, job: Job) -> None:
        """Removes the stored job if it still has ``job.version``."""
        ...

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """The session's jobs, newest first, at most ``limit``, those after ``after``."""
        ...


class JobRuntime(Protocol):
    """Runs jobs in a session's pod.

    Every method raises ``ClusterUnavailable`` when the pod cannot be asked, and ``NotFound``
    (reason ``POD_NOT_RUNNING``) when the pod does not run.
    """

    async def start(self, session: Session, job: Job, new: NewJob) -> JobReport:
        """Starts a job once and reports on it; a repetition for the same job only reports.

        Raises:
            TooManyRequests: Too many jobs of the session are unfinished.
        """
        ...

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        """The pod's reports on these jobs, by job id. Jobs that the pod does not know are left out."""
        ...

    async def cancel(self, session: Session, job_id: str) -> JobReport | None:
        """Ends a job's process group with TERM, after 5 s with KILL, and waits for the end.

        Returns:
            How the job ended, possibly before this call; None when the pod does not know the job.
        """
        ...

    def follow(
        self, session: Session, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """Reads a job's output from a place on.

        Args:
            session: The pod's session.
            job_id: The job.
            since: Where to begin.
            wait: Whether to follow the job until its end. Then the last event is a ``JobReport``, unless
                the stream had to end earlier; the caller can go on from the place where it ended.

        Yields:
            The records.

        Raises:
            NotFound: The pod does not know the job (reason ``JOB_OUTPUT_GONE``).
            InvalidRequest: The job's output has no place ``since``.
        """
        ...
