"""Changes of stored sessions' states: each is a compare-and-set, and most follow what the pod says."""

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
        retention: How long a session can still be seen after its end.
    """

    def __init__(self, store: SessionStore, clock: Clock, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def observe(self, session: Session, status: PodStatus) -> Session:
        """Does what ``settle`` does, but ignores an absent pod that may just be being created.

        It is for callers who only look at a session.
        """
        if status.phase is PodPhase.GONE and self._may_be_in_the_making(session):
            return session
        return await self.settle(session, status)

    async def settle(self, session: Session, status: PodStatus) -> Session:
        """Brings the stored session into the state that its pod's status implies.

        Returns:
            The session. A pending session has the pod's current reason, which is not stored.
        """
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
        """Whether another request may have stored the session and not created its pod yet."""
        age = self._clock.now() - session.created_at
        return session.state is SessionState.PENDING and age.total_seconds() < UNFINISHED_SECONDS

    async def move_exactly(
        self, session: Session, state: SessionState, reason: str | None, may_be_left: tuple[str, ...] = ()
    ) -> Session:
        """Moves the session to another state if its stored version is still the given one.

        Args:
            session: The session.
            state: The state to go to.
            reason: As in ``Session.to``.
            may_be_left: Objects that may be left on a cluster; see ``Session``.

        Raises:
            VersionConflict: The session was changed meanwhile.
        """
        moved = dataclasses.replace(self._changed(session, state, reason), may_be_left=may_be_left)
        return await self._store.update(moved)

    async def move(
        self, session: Session, state: SessionState, reason: str | None, may_be_left: tuple[str, ...] = ()
    ) -> Session:
        """Moves the session as ``move_exactly`` does, from the version that is stored now.

        If another writer was faster and the session is in the state already, or can no longer go there,
        its change stays and the stored session is returned.
        """

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
