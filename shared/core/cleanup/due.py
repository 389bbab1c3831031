"""Sessions whose time has come: cleanup ends them, or finishes what was begun with them.

A run may die after any step. The steps that end a session have the order of a delete: the state, the
pod, the jobs, the state. The first step is a compare-and-set, so that two runs, or a run and the session's
user, never both believe that they were first.

Only the pod of an idle session is asked. Sessions whose end is certain (expired, failed or being deleted)
have slots of their own, so that hanging pods do not hold them up. After a failure, the wait for the next
look doubles each time. Owners take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from datetime import datetime, timedelta
from typing import TypeAlias

from shared.core.audit.auditor import CLEANUP, Auditor
from shared.core.cleanup.elsewhere import Elsewhere
from shared.core.cleanup.guard import guarded
from shared.core.cleanup.ports import Activity, DueSessionStore
from shared.core.cleanup.report import Action, Report
from shared.core.clock import Clock
from shared.core.clusters.ports import Clusters
from shared.core.deadline import within
from shared.core.jobs.service import JobService
from shared.core.paging import Cursor
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.idle import idle_since
from shared.core.sessions.model import ENDED, Because, Session, SessionState
from shared.core.sessions.pod import PodPhase
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.states import SessionStates
from shared.core.turns import in_turns
from shared.errors import ClusterUnavailable, GamguiError, NotFound, OnAnotherCluster, VersionConflict

_PAGE = 100
_MOST = 20_000
"""A run looks at so many due sessions at most: at those that were due first.

It keeps only their ids, as one session's variables may have 64 KiB, and reads each when its turn comes.
"""

_AT_ONCE, _OF_ONE_OWNER = 16, 4
_ONE_SECONDS = 30.0
_ASK_SECONDS = 5.0
"""Longest wait for a pod's answer: a pod that hangs must not take the time of the others."""

_CERTAIN_AGAIN, _ASKED_AGAIN = timedelta(minutes=5), timedelta(hours=1)
"""Longest wait after a failed look. If the session's end is certain, the cluster failed and not the pod."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leaving:
    """A session that is being deleted. Its pod's deletion was requested, but the pod may still exist.

    Attributes:
        because: Why the session is deleted, for people.
        connection: The connection by which the deletion was requested; see ``Look``.
    """

    session: Session
    because: str
    connection: object


_Found: TypeAlias = tuple[str, str]
"""A session's owner and id."""


class DueSessions:
    """Handles the sessions that are due.

    Args:
        sessions: Keeps the sessions.
        due: Finds the sessions that are due.
        access: Notes that sessions are used, and asks their pods.
        states: Moves sessions through their states.
        jobs: Notes how the jobs of a session end.
        activity: Each cluster's adapter that looks for processes in pods.
        elsewhere: Handles sessions whose pods this instance cannot look for.
        audit: Records every act.
        clock: The time of day.
    """

    def __init__(
        self,
        *,
        sessions: SessionStore,
        due: DueSessionStore,
        access: SessionAccess,
        states: SessionStates,
        jobs: JobService,
        activity: Clusters[Activity],
        elsewhere: Elsewhere,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._due = due
        self._access = access
        self._pods = access.pods
        self._states = states
        self._jobs = jobs
        self._activity = activity
        self._elsewhere = elsewhere
        self._audit = audit
        self._clock = clock

    async def run(self, report: Report, until: float) -> list[Leaving]:
        """Handles all sessions that are due.

        Args:
            report: Gets the decision about each session.
            until: Time on the event loop's clock at which the work must be over.

        Returns:
            The sessions with pods whose end is still to be waited for.
        """
        leaving: list[Leaving] = []

        async def do(session_id: str) -> None:
            left = await self._one(session_id, report, until)
            if left is not None:
                leaving.append(left)

        certain, asked = await self._found(report, until)
        queues = (
            in_turns(work, do, at_once=_AT_ONCE, of_one_owner=_OF_ONE_OWNER) for work in (certain, asked)
        )
        for fault in await asyncio.gather(*queues, return_exceptions=True):  # both run to their end
            if fault is not None:
                raise fault
        return leaving

    async def _found(self, report: Report, until: float) -> tuple[list[_Found], list[_Found]]:
        """The due sessions: those with a certain end, and those to ask. It takes half the time at most."""
        loop = asyncio.get_running_loop()
        enough = (loop.time() + until) / 2
        now = self._clock.now()
        certain: list[_Found] = []
        asked: list[_Found] = []
        after: Cursor | None = None
        unreadable: set[str] = set()
        while True:
            page = await self._due.due_sessions(now, limit=_PAGE, after=after, unreadable=unreadable)
            for session in page:
                work = certain if _is_certain(session, now) else asked
                work.append((session.owner, session.id))
            if len(page) < _PAGE:
                break
            if len(certain) + len(asked) >= _MOST or loop.time() >= enough:
                report.faults.append("more sessions are due than there was time for")
                break
            last = page[-1]
            assert last.check_at is not None  # the query selects by it
            after = Cursor(last.check_at, last.id)
        for session_id in sorted(unreadable):
            report.note("session", session_id, Action.LEFT, "its document cannot be read")
        return certain, asked

    async def _one(self, session_id: str, report: Report, until: float) -> Leaving | None:
        begun = asyncio.get_running_loop().time()
        if begun >= until:
            report.note("session", session_id, Action.LEFT, "the time of this run is over")
            return None
        session: Session | None = None
        failed = True
        async with guarded(report, "session", session_id, min(begun + _ONE_SECONDS, until)):
            session = await self._still_due(session_id)
            try:
                return await self._handle(session, report) if session else None
            except VersionConflict:
                report.note("session", session_id, Action.LEFT, "it was changed at the same time")
                failed = False
            except OnAnotherCluster as error:  # an instance that sees the cluster sets the next look
                report.leave(session_id, f"{error.reason}: {error.detail}")
                failed = False
        if failed and session is not None and not report.dry_run:
            await self._look_later(session)
        return None

    async def _still_due(self, session_id: str) -> Session | None:
        session, now = await self._sessions.get(session_id), self._clock.now()
        return session if session and session.check_at and session.check_at <= now else None

    async def _look_later(self, session: Session) -> None:
        """Postpones the next look, unless the session was changed since: then its new version says when."""
        now = self._clock.now()
        asked = session.state is SessionState.RUNNING and not session.expired(now)
        later = session.look_failed(now, _ASKED_AGAIN if asked else _CERTAIN_AGAIN)
        with contextlib.suppress(GamguiError):
            await self._sessions.update(later)

    async def _handle(self, session: Session, report: Report) -> Leaving | None:
        here = await self._elsewhere.unless_elsewhere(session, report)
        if here is None:
            return None
        session = here
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
        """Brings a session to the state that its pod implies, as the request that created it may be dead."""
        status = await self._pods.status(session)
        if report.dry_run:
            action = {PodPhase.READY: Action.STARTED, PodPhase.PENDING: Action.WAITING}
            words = status.reason or "its pod is not ready yet"
            report.note("session", session.id, action.get(status.phase, Action.FAILED), words)
            return
        seen = await self._states.settle(session, status)
        match seen.state:
            case SessionState.FAILED:
                await self._pods.delete(seen, 0)
                await self._audit.record(seen, CLEANUP, "session.fail", seen.state)
                await self._jobs.conclude(seen)
                report.note("session", seen.id, Action.FAILED, seen.reason or "its pod is gone")
            case SessionState.RUNNING:
                report.note("session", seen.id, Action.STARTED, "its pod is ready")
            case _:
                report.note("session", seen.id, Action.WAITING, seen.reason or "its pod is not ready yet")

    async def _in_use(self, session: Session, report: Report) -> bool:
        """Whether a session that looks idle is in use, or has no running pod and so cannot be idle."""
        try:
            activity = await self._activity.of(session)
            processes = await within(_ASK_SECONDS, activity.processes(session))
        except NotFound:
            await self._look(session, report)
            return True
        if processes:
            if not report.dry_run:
                await self._access.touch(session)
            report.note("session", session.id, Action.IN_USE, f"{processes} processes run in its pod")
            return True
        ended_at = None
        if not report.dry_run:
            ended_at = await within(_ASK_SECONDS, self._jobs.settle_ended(session))
        if ended_at is None or idle_since(session, ended_at, self._clock.now()):
            return False
        await self._sessions.update(session.used(ended_at))
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
        # Only the version that was found idle or expired is ended: a use of the session changes the version.
        reason = session.reason or words
        ending = await self._sessions.update(session.to(SessionState.DELETING, self._clock.now(), reason))
        return await self._finish(ending, report, words)

    async def _finish(self, session: Session, report: Report, because: str) -> Leaving | None:
        """Does the rest of a deletion. Returns None when there is no pod to wait for."""
        if report.dry_run:
            report.note("session", session.id, Action.DELETED, because)
            return None
        connection = (await self._pods.look(session)).connection
        gone = await self._pods.delete(session, 0)
        await self._audit.record(session, CLEANUP, "session.delete", session.state, because=because)
        await self._jobs.conclude(session)
        leaving = Leaving(session, because, connection)
        if not gone:
            return leaving
        await self.gone(leaving, report)
        return None

    async def gone(self, leaving: Leaving, report: Report) -> None:
        """The last step of a deletion, after the pod is gone from the cluster where it was told to go."""
        if (await self._pods.look(leaving.session)).connection is not leaving.connection:
            raise ClusterUnavailable("the connection to the cluster was made anew meanwhile")
        await self._states.move(leaving.session, SessionState.DELETED, None)
        report.note("session", leaving.session.id, Action.DELETED, leaving.because)


def _is_certain(session: Session, now: datetime) -> bool:
    """Whether the session ends regardless of its pod's answer."""
    ending = session.state in (SessionState.DELETING, SessionState.FAILED)
    return ending or session.state in ENDED or session.expired(now)
