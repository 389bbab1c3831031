"""Jobs as documents, and the repository that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.core.jobs.model import Job, JobState
from shared.core.paging import Cursor
from shared.errors import Conflict
from shared.reasons import Reason
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Engine, Index
from shared.store.repository import Present, Repository
from shared.store.retention import kept_until

OF_SESSION = Index(equal=("session_id",), by="created_at", newest_first=True)
JOBS = Collection(name="jobs", indexes=(OF_SESSION,), unindexed=("command", "reason"), expires_by="purge_at")


class Jobs:
    """A ``JobStore``.

    Args:
        engine: Keeps the documents.
    """

    def __init__(self, engine: Engine) -> None:
        self._jobs = Repository(
            engine, JOBS, "job", id_of=lambda job: job.id, document=job_document, read=job_from
        )

    async def create_job(self, job: Job) -> Job:
        """See ``JobStore.create_job``."""
        try:
            return await self._jobs.create(job)
        except Present:
            raise Conflict(f"Job {job.id} exists.", reason=Reason.JOB_EXISTS, job=job.id) from None

    async def get_job(self, job_id: str) -> Job | None:
        """See ``JobStore.get_job``."""
        return await self._jobs.get(job_id)

    async def update_job(self, job: Job) -> Job:
        """See ``JobStore.update_job``."""
        return await self._jobs.update(job)

    async def remove_job(self, job: Job) -> None:
        """See ``JobStore.remove_job``."""
        await self._jobs.remove(job)

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """See ``JobStore.list_jobs``."""
        return await self._jobs.page(OF_SESSION, session_id, limit=limit, after=after)


def job_document(job: Job) -> Document:
    """The job as a document; see ``documents.document_of``."""
    return {
        **documents.document_of(job, job.id),
        "command": json.dumps(job.command, ensure_ascii=False),
        "purge_at": kept_until(documents.utc(job.created_at)),
    }


def job_from(document: Mapping[str, Any], version: str) -> Job:
    """The job that a document of this version holds.

    Raises:
        InternalError: The document holds no job (reason ``DOCUMENT_INVALID``).
    """
    with documents.reading("job"):
        values = documents.values_of(Job, document, version)
        values["state"] = JobState(values["state"])
        command = json.loads(values["command"])
        values["command"] = command if isinstance(command, str) else tuple(command)
        return Job(**values)
