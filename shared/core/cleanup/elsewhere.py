"""Sessions whose pods this instance cannot look for: on other clusters, or on a cluster not recorded.

Cleanup leaves them as they are, and the report says so. Only the time is certain: Kubernetes ends a pod after
the longest life of a session, even if no instance sees it. After that time, such a session no longer counts
for its owner's limit. If no instance that sees its cluster finishes it within ``MARGIN``, it becomes
lost, and its document says what may be left.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from shared.core.audit.auditor import CLEANUP, Auditor
from shared.core.cleanup.report import Action, Report
from shared.core.clock import Clock
from shared.core.clusters.model import Look, Sight
from shared.core.jobs.service import JobService
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.core.sessions.pod import PodPhase
from shared.core.sessions.pods import NOT_KNOWN, left_of
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.states import SessionStates
from shared.errors import OnAnotherCluster
from shared.reasons import Reason

MARGIN = timedelta(hours=1)
"""How long after its latest end a session waits for an instance that sees its cluster."""

_LOOK_AGAIN = timedelta(hours=1)
"""Longest time between two looks for what may be left of a session."""

_WORDS = {
    OnAnotherCluster.default_reason: "it is on a cluster that this service is not connected to",
    NOT_KNOWN: "there is no pod of it here, and it was not noted on which cluster it is",
}


class Elsewhere:
    """Does what can be done about such sessions from here.

    Args:
        store: Keeps the sessions.
        access: Asks sessions' pods.
        states: Moves sessions through their states.
        jobs: Notes that the jobs of a lost session are lost.
        audit: Records every act.
        clock: The time of day.
        longest_life: Kubernetes ends a session's pod after this time.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        access: SessionAccess,
        states: SessionStates,
        jobs: JobService,
        audit: Auditor,
        clock: Clock,
        longest_life: timedelta,
    ) -> None:
        self._store = store
        self._pods = access.pods
        self._states = states
        self._jobs = jobs
        self._audit = audit
        self._clock = clock
        self._longest_life = longest_life

    async def unless_elsewhere(self, session: Session, report: Report) -> Session | None:
        """Handles the session if it is elsewhere or has ended.

        Returns:
            The session if the caller must go on with it; None when this method did all that can be done.

        Raises:
            ClusterUnavailable: The cluster does not answer, so it is not known whether it is the session's.
        """
        look = await self._pods.look(session)
        if session.state in ENDED:
            if not report.dry_run:
                await self._remove_what_is_left(session, look)
            return None
        if look.sight is Sight.ELSEWHERE:
            await self.leave(session, report)
            return None
        if look.sight is Sight.HERE:
            return session
        if report.dry_run:
            status = await self._pods.status(session)
        else:
            session, status = await self._pods.met(session)
        if status.phase is not PodPhase.UNSEEN:
            return session
        # This cluster's identity is known, the session's is not: no later look can tell more than this one.
        says_something = bool(look.identity) and not session.cluster_identity
        await self._leave(session, NOT_KNOWN, timedelta() if says_something else None, report)
        return None

    async def leave(self, session: Session, report: Report) -> None:
        """Leaves a session on a cluster that this instance does not see; past its time, it becomes lost."""
        await self._leave(session, OnAnotherCluster.default_reason, MARGIN, report)

    async def _leave(
        self, session: Session, reason: Reason, margin: timedelta | None, report: Report
    ) -> None:
        now, end = self._clock.now(), session.latest_end(self._longest_life)
        if margin is not None and now >= end + margin:
            await self._lose(session, reason, report)
            return
        if margin is not None and now >= end and session.live and not report.dry_run:
            await self._states.move_exactly(session, SessionState.DELETING, "Expired: its time is over")
        report.leave(session.id, f"{reason}: {_WORDS[reason]}")

    async def _lose(self, session: Session, reason: Reason, report: Report) -> None:
        left = left_of(session)
        words = f"Lost: {_WORDS[reason]}; may be left on its cluster: {', '.join(left)}"
        if not report.dry_run:
            # Exactly this version: an instance that sees the cluster may be ending the session right now.
            session = await self._states.move_exactly(session, SessionState.LOST, words, left)
            detail = {"because": reason, "may_be_left": " ".join(left)}
            await self._audit.record(session, CLEANUP, "session.lose", session.state, **detail)
            await self._jobs.conclude(session)
        report.note("session", session.id, Action.LOST, words)

    async def _remove_what_is_left(self, session: Session, look: Look) -> None:
        """Removes the pod of a session that ended unseen, if this instance may see its cluster now.

        The owner's credentials do not belong to this session alone; ``UnusedCredentials`` removes them.
        """
        found = look.sight is not Sight.ELSEWHERE
        found = found and (await self._pods.status(session)).phase is not PodPhase.UNSEEN
        if not found:
            await self._store.update(session.look_failed(self._clock.now(), _LOOK_AGAIN))
            return
        await self._pods.delete(session, 0)
        await self._store.update(dataclasses.replace(session, may_be_left=(), look_after=None))
        left = " ".join(session.may_be_left)
        await self._audit.record(session, CLEANUP, "session.left", "removed", may_be_left=left)
