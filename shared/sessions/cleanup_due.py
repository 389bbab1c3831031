"""Sessions whose time has come: ended, or brought to where they were going.

Each step may be the last one that is taken. What ends a session comes in the order of a
delete - the state, the jobs, the pod, the state - and begins by a compare-and-set, so that two
runs, or a run and its user, never both believe that they were first.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from datetime import timedelta

from shared.errors import GamguiError, NotFound, VersionConflict
from shared.sessions.access import SessionAccess
from shared.sessions.auditor import CLEANUP, Auditor
from shared.sessions.cleanup_ports import Activity, CleanupStore
from shared.sessions.cleanup_report import Action, Report
from shared.sessions.jobs import JobService
from shared.sessions.model import Because, Session, SessionState
from shared.sessions.ports import Clock, Cursor, PodPhase
from shared.sessions.states import SessionStates

log = logging.getLogger(__name__)

_PAGE = 200
_AT_ONCE = 16
_ONE_SECONDS = 60.0
"""One session that hangs must not take the time of all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leaving:
    """A session that is being deleted, whose pod was told to go and may still be there."""

    session: Session
    because: str


class DueSessions:
    """Does what is due.

    Args:
        store: Finds it.
        access: Knows what runs a session.
        states: Moves sessions through their states.
        jobs: Told when a session's pod is about to be deleted.
        activity: Looks into pods.
        audit: Told of every act.
        clock: The time of day.
    """

    def __init__(
        self,
        *,
        store: CleanupStore,
        access: SessionAccess,
        states: SessionStates,
        jobs: JobService,
        activity: Activity,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._access = access
        self._states = states
        self._jobs = jobs
        self._activity = activity
        self._audit = audit
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, report: Report, until: float) -> list[Leaving]:
        """Goes through all that is due.

        Args:
            report: Takes what became of it.
            until: Time on the loop's clock at which it must be over.

        Returns:
            What is to be waited for.
        """
        now = self._clock.now()
        after: Cursor | None = None
        leaving: list[Leaving] = []
        while True:
            page = await self._store.due_sessions(now, limit=_PAGE, after=after)
            results = await asyncio.gather(*(self._one(session, report, until) for session in page))
            leaving += [one for one in results if one is not None]
            if len(page) < _PAGE:
                return leaving
            if asyncio.get_running_loop().time() >= until:
                report.faults.append("more sessions are due than there was time for")
                return leaving
            last = page[-1]
            assert last.check_at is not None  # it was found by it
            after = Cursor(last.check_at, last.id)

    async def _one(self, session: Session, report: Report, until: float) -> Leaving | None:
        async with self._slots:
            if asyncio.get_running_loop().time() >= until:
                report.note("session", session.id, Action.LEFT, "the time of this run is over")
                return None
            try:
                now = asyncio.get_running_loop().time()
                async with asyncio.timeout_at(min(now + _ONE_SECONDS, until)):
                    return await self._handle(session, report)
            except VersionConflict:
                report.note("session", session.id, Action.LEFT, "it was changed at the same time")
            except GamguiError as error:
                report.note("session", session.id, Action.LEFT, f"{error.reason}: {error.detail}")
            except TimeoutError:
                report.note("session", session.id, Action.LEFT, "it took too long")
            except Exception:
                log.exception("cleanup of session %s failed", session.id)
                report.note("session", session.id, Action.LEFT, "a fault of ours: see the log")
        return None

    async def _handle(self, session: Session, report: Report) -> Leaving | None:
        if session.state is SessionState.DELETING:
            return await self._finish(session, report, "its deletion had been begun")
        if session.expired(self._clock.now()):
            return await self._end(session, report, Because.EXPIRED)
        if session.state is SessionState.PENDING:
            await self._look(session, report)
            return None
        if session.state is SessionState.FAILED or not await self._in_use(session, report):
            return await self._end(session, report, Because.IDLE)
        return None

    async def _look(self, session: Session, report: Report) -> None:
        """Brings a session to what its pod says; who created it may be gone."""
        runtime = self._access.runtime_of(session)
        status = await runtime.status(session)
        if report.dry_run:
            action = {PodPhase.READY: Action.STARTED, PodPhase.PENDING: Action.WAITING}
            words = status.reason or "its pod is not ready yet"
            report.note("session", session.id, action.get(status.phase, Action.FAILED), words)
            return
        seen = await self._states.settle(session, status)
        match seen.state:
            case SessionState.FAILED:
                await runtime.delete(seen, 0)
                await self._jobs.conclude(seen)
                await self._audit.record(seen, CLEANUP, "session.fail", seen.state)
                report.note("session", seen.id, Action.FAILED, seen.reason or "its pod is gone")
            case SessionState.RUNNING:
                report.note("session", seen.id, Action.STARTED, "its pod is ready")
            case _:
                report.note("session", seen.id, Action.WAITING, seen.reason or "its pod is not ready yet")

    async def _in_use(self, session: Session, report: Report) -> bool:
        """Whether an idle session is not idle at all, or has no pod to be idle in."""
        if session.virtual:
            return False
        try:
            processes = await self._activity.processes(session)
        except NotFound:
            await self._look(session, report)
            return True
        if processes:
            if not report.dry_run:
                await self._access.touch(session)
            report.note("session", session.id, Action.IN_USE, f"{processes} processes run in its pod")
            return True
        ended_at = None if report.dry_run else await self._jobs.settle_ended(session)
        if ended_at is None or ended_at + timedelta(seconds=session.idle_seconds) <= self._clock.now():
            return False
        await self._store.update(dataclasses.replace(session, last_used_at=ended_at))
        report.note("session", session.id, Action.IN_USE, "a job has ended since")
        return True

    async def _end(self, session: Session, report: Report, because: Because) -> Leaving | None:
        words = {
            Because.EXPIRED: "Expired: its time is over",
            Because.IDLE: f"Idle: no work for {session.idle_seconds} seconds",
        }[because]
        if report.dry_run:
            report.note("session", session.id, Action.DELETED, words)
            return None
        # Of exactly the version that was found: whoever begins to work in it changes that.
        reason = session.reason or words
        ending = await self._store.update(session.to(SessionState.DELETING, self._clock.now(), reason))
        # Of one that failed nobody has looked.
        looked = because is Because.IDLE and session.state is SessionState.RUNNING
        return await self._finish(ending, report, words, jobs_over=looked)

    async def _finish(
        self, session: Session, report: Report, because: str, *, jobs_over: bool = False
    ) -> Leaving | None:
        """The rest of a deletion; None when there is nothing left to wait for.

        Args:
            session: It is being deleted.
            report: Takes what became of it.
            because: Why.
            jobs_over: It is known that no job of its is unfinished.
        """
        if report.dry_run:
            report.note("session", session.id, Action.DELETED, because)
            return None
        if not jobs_over:
            await self._jobs.conclude(session)
        gone = await self._access.runtime_of(session).delete(session, 0)
        await self._audit.record(session, CLEANUP, "session.delete", session.state, because=because)
        leaving = Leaving(session, because)
        if not gone:
            return leaving
        await self.gone(leaving, report)
        return None

    async def gone(self, leaving: Leaving, report: Report) -> None:
        """The last step: the pod of a session that is being deleted is gone."""
        await self._states.move(leaving.session, SessionState.DELETED, None)
        report.note("session", leaving.session.id, Action.DELETED, leaving.because)
