"""Cleanup as an operation that is itself broken off: whatever it finds, the next runs finish."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from shared.app.composition import App
from shared.core.cleanup.report import Report
from shared.core.ids import new_job_id
from shared.core.jobs.model import Job, JobState
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.names import pod_labels
from shared.core.sessions.ports import RequestRecord
from tests.faults.operations import Operation, Request, Subject
from tests.faults.world import GRACE_SECONDS, READY, World
from tests.support.patience import PATIENCE
from tests.support.people import person

_KEY = "0" * 64


class Cleanup(Operation):
    """A run of cleanup in a world of its own."""

    alone, ripens = True, GRACE_SECONDS

    async def run(self, app: App, subject: Subject) -> Report:
        return await app.cleanup.run(dry_run=False)

    def request(self, subject: Subject) -> Request:
        return Request("cleanup_sessions", "POST", "/v1/cleanup", user="scheduler@example.com")


class CleanupOfWhatIsLeft(Cleanup):
    """One of each of what crashes and time leave, none with processes: that would cost time."""

    name = "cleanup"

    async def prepare(self, world: World) -> Subject:
        owner = world.new_owner()
        then = datetime.now(UTC) - timedelta(hours=2)
        expired = await world.stored(
            world.document(owner, SessionState.PENDING, expires_at=then + timedelta(hours=1)),
            SessionState.RUNNING,
        )
        await world.unscheduled_pod(expired)
        await world.stored(world.document(owner, SessionState.PENDING))
        lost = await world.stored(world.document(owner, SessionState.PENDING), SessionState.RUNNING)
        await _with_job(world, lost)
        deleting = await world.stored(world.document(owner, SessionState.PENDING), SessionState.DELETING)
        await world.unscheduled_pod(deleting)
        await _with_job(world, deleting)
        orphan = world.document(owner, SessionState.PENDING)
        await world.unscheduled_pod(orphan)
        labels = pod_labels(orphan.id, owner, await world.app.store.installation.id())
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": orphan.pod_name, "labels": labels},
        }
        await world.app.kube.request("POST", world.path("secrets"), body=secret)
        old = await world.stored(
            world.document(owner, SessionState.PENDING), SessionState.DELETING, SessionState.DELETED
        )
        await _with_job(world, old)
        old = await world.app.store.sessions.update(dataclasses.replace(old, purge_at=then))
        await world.app.store.requests.begin_request(
            RequestRecord(key=_KEY, fingerprint="", resource_id="x", lease_until=then, expires_at=then)
        )
        return Subject(owner, old)

    async def wrong(self, world: World, subject: Subject, outcome: Report | None) -> list[str]:
        store, old = world.app.store, subject.known
        found = [f"session {one.id} is still {one.state}" for one in await world.sessions() if one.live]
        if await store.sessions.get(old.id) or await store.jobs.list_jobs(old.id, limit=1, after=None):
            found.append("what is old is not forgotten")
        if await store.requests.expired_requests(datetime.now(UTC), limit=1):
            found.append("an old Idempotency-Key is not forgotten")
        return found


class CleanupOfPods(Cleanup):
    """A session that has been idle, and one that was left pending; their pods run."""

    name = "cleanup of pods"

    async def prepare(self, world: World) -> Subject:
        owner, app, then = world.new_owner(), world.app, datetime.now(UTC) - timedelta(hours=2)
        idle = await app.sessions.create(person(owner), READY)
        idle = await app.store.sessions.update(dataclasses.replace(idle, last_used_at=then))
        pending = await world.stored(world.document(owner, SessionState.PENDING))
        await app.runtime.wait_ready(pending, PATIENCE, await app.runtime.create(pending))
        return Subject(owner, idle)

    async def wrong(self, world: World, subject: Subject, outcome: Report | None) -> list[str]:
        states = {one.id: one.state for one in await world.sessions()}
        idle = states.pop(subject.known.id)
        wrong = [] if idle is SessionState.DELETED else [f"what was idle is {idle}"]
        left = list(states.values())
        return wrong if left == [SessionState.RUNNING] else [*wrong, f"what was pending is {left}"]


async def _with_job(world: World, session: Session) -> None:
    job = Job(
        id=new_job_id(),
        session_id=session.id,
        owner=session.owner,
        name="job",
        command="sleep 3600",
        state=JobState.QUEUED,
        created_at=session.created_at,
        timeout_seconds=None,
    )
    job = await world.app.store.jobs.create_job(job)
    await world.app.store.jobs.update_job(dataclasses.replace(job, state=JobState.RUNNING))


CLEANUPS = (CleanupOfWhatIsLeft(), CleanupOfPods())
