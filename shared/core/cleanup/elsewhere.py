"""Sessions whose pods this instance cannot look for: on other clusters, or on one that nobody noted.

They are left as they are, and the report says so. Only the time is certain: Kubernetes ends a pod after the
longest life of a session, whoever sees it. Past that, such a session no longer counts for its owner; and
when nobody who sees its cluster has finished it for a while, it is concluded lost, with what may be left.
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
"""So long after its latest end a session waits for somebody who sees its cluster."""

_LOOK_AGAIN = timedelta(hours=1)
"""What may be left of a session is looked for at least so often."""

_WORDS = {
    OnAnotherCluster.default_reason: "it is on a cluster that this service is not connected to",
    NOT_KNOWN: "there is no pod of it here, and it was not noted on which cluster it is",
}


class Elsewhere:
    """Does what can be done about them.

    Args:
        store: Keeps the sessions.
        access: Asks their pods.
        states: Moves sessions through their states.
        jobs: Told when a session is over.
        audit: Told of every act.
        clock: The time of day.
        longest_life: After that Kubernetes ends a session's pod.
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
        """The session, to go on with; None when all is done that can be done about it from here.

        Raises:
            ClusterUnavailable: Its cluster does not answer, so nobody knows.
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
        # Where it is known which cluster this is, the absence of a pod says as much as can be known.
        says_something = bool(look.identity) and not session.cluster_identity
        await self._leave(session, NOT_KNOWN, timedelta() if says_something else None, report)
        return None

    async def leave(self, session: Session, report: Report) -> None:
        """A session on a cluster that is not seen is left alone; past its time it is concluded lost."""
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
            # Of this very version: somebody who sees it may just be ending it.
            session = await self._states.move_exactly(session, SessionState.LOST, words, left)
            detail = {"because": reason, "may_be_left": " ".join(left)}
            await self._audit.record(session, CLEANUP, "session.lose", session.state, **detail)
            await self._jobs.conclude(session)
        report.note("session", session.id, Action.LOST, words)

    async def _remove_what_is_left(self, session: Session, look: Look) -> None:
        """Of a session that ended without anybody who saw its cluster: whoever sees it now removes its pod.

        Its owner's credentials are not the session's alone: they are removed when they are unused.
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
