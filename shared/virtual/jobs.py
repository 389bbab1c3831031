"""Jobs of virtual sessions: each is lost at once, because nothing is executed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

from shared.core.commands import Output
from shared.core.jobs.model import Job, JobCursor, JobRecord, JobReport, JobState, NewJob, Place
from shared.core.sessions.model import Session
from shared.virtual.runtime import NOT_EXECUTED

_LOST = JobReport(state=JobState.LOST, reason="virtual session: not executed", stdout_bytes=len(NOT_EXECUTED))


class VirtualJobs:
    """A ``JobRuntime`` without pods. It keeps no state, so any instance can answer for any job."""

    async def start(self, session: Session, job: Job, new: NewJob) -> JobReport:
        """See ``JobRuntime``."""
        return _LOST

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        """See ``JobRuntime``."""
        return dict.fromkeys(job_ids, _LOST)

    async def cancel(self, session: Session, job_id: str) -> JobReport | None:
        """See ``JobRuntime``."""
        return _LOST

    async def follow(
        self, session: Session, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """See ``JobRuntime``: the output says that nothing was executed."""
        rest = NOT_EXECUTED[since.stdout :]
        place = Place()
        if rest:
            yield JobRecord(Output("stdout", len(NOT_EXECUTED) - len(rest), rest), None, place, place)
        yield JobRecord(_LOST, None, place, place)
