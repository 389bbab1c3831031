"""Stored sessions change state by compare-and-set, to what their pods say."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.sessions.model import ENDED, TRANSITIONS, UNFINISHED_SECONDS, Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.ports import SessionStore
from shared.errors import VersionConflict


class SessionStates:
    """Moves sessions through their states.

    Args:
        store: Keeps the sessions.
        clock: The time of day.
        retention: How long a deleted session can still be seen.
    """

    def __init__(self, store: SessionStore, clock: Clock, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def observe(self, session: Session, status: PodStatus) -> Session:
        """What somebody learns who only looks: a pod may be absent because it is just being made."""
        if status.phase is PodPhase.GONE and self._may_be_in_the_making(session):
            return session
        return await self.settle(session, status)

    async def settle(self, session: Session, status: PodStatus) -> Session:
        """Brings the stored session to what its pod says."""
        target = session.state
        if session.state is SessionState.DELETING:
            target = SessionState.DELETED if status.phase is PodPhase.GONE else target
        elif status.phase in (PodPhase.FAILED, PodPhase.GONE):
            target = SessionState.FAILED
        elif status.phase is PodPhase.READY:
            target = SessionState.RUNNING
        if target is session.state:
            if session.state is SessionState.PENDING and status.reason != session.reason:
                return dataclasses.replace(session, reason=status.reason)
            return session
        return await self.move(session, target, status.reason)

    def _may_be_in_the_making(self, session: Session) -> bool:
        """Whether another instance may be between the document and the pod."""
        age = self._clock.now() - session.created_at
        return session.state is SessionState.PENDING and age.total_seconds() < UNFINISHED_SECONDS

    async def move_exactly(
        self, session: Session, state: SessionState, reason: str | None, may_be_left: tuple[str, ...] = ()
    ) -> Session:
        """A compare-and-set of this very version to another state.

        Args:
            session: The session.
            state: The state to go to.
            reason: As in ``Session.to``.
            may_be_left: What of it may still be on a cluster; see ``Session``.

        Raises:
            VersionConflict: It was changed meanwhile.
        """
        moved = dataclasses.replace(self._changed(session, state, reason), may_be_left=may_be_left)
        return await self._store.update(moved)

    async def move(
        self, session: Session, state: SessionState, reason: str | None, may_be_left: tuple[str, ...] = ()
    ) -> Session:
        """As ``move_exactly``, but who was faster wins, and we go on from there."""

        async def read() -> Session:
            current = await self._store.get(session.id)
            if current is None:
                raise VersionConflict(f"Session {session.id} is gone.", session=session.id)
            return current

        async def step(current: Session) -> Session:
            if current is not session and (current.state is state or state not in TRANSITIONS[current.state]):
                return current
            return await self.move_exactly(current, state, reason, may_be_left)

        return await changed(read, step, first=session, busy="the session is", session=session.id)

    def _changed(self, session: Session, state: SessionState, reason: str | None) -> Session:
        now = self._clock.now()
        changed = session.to(state, now, reason)
        if state in ENDED:
            changed = dataclasses.replace(changed, purge_at=now + self._retention)
        return changed
