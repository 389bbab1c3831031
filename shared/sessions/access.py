"""Which sessions a caller may use: his own, and only those that run for what needs a pod."""

from __future__ import annotations

import contextlib
import dataclasses

from shared.errors import Conflict, GamguiError, NotFound
from shared.sessions import names
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import Clock, PodRuntime, SessionStore
from shared.sessions.states import SessionStates

_TOUCH_SECONDS = 30


class SessionAccess:
    """Finds sessions for callers. For a caller, others' sessions do not exist.

    Args:
        store: Keeps the sessions.
        runtime: Runs the pods.
        virtual: Runs virtual sessions.
        clock: The time of day.
    """

    def __init__(
        self, *, store: SessionStore, runtime: PodRuntime, virtual: PodRuntime, clock: Clock
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._virtual = virtual
        self._clock = clock
        self._states = SessionStates(store, clock)

    def runtime_of(self, session: Session) -> PodRuntime:
        """What runs the session."""
        return self._virtual if session.virtual else self._runtime

    async def owned(self, owner: str, session_id: str) -> Session:
        """The session as it is stored.

        Raises:
            NotFound: Absent, or another owner's.
        """
        session = await self._store.get(session_id) if names.is_session_id(session_id) else None
        if session is None or session.owner != owner:
            raise NotFound("there is no such session", reason="SESSION_NOT_FOUND")
        return session

    async def observed(self, session: Session) -> Session:
        """The session with what its pod says now."""
        if session.state in (SessionState.FAILED, SessionState.DELETED):
            return session
        return await self._states.observe(session, await self.runtime_of(session).status(session))

    async def running(self, owner: str, session_id: str) -> Session:
        """The session, to run something in its pod; notes that it is used.

        Raises:
            NotFound: Absent, or another owner's.
            Conflict: It is not running (reason ``SESSION_NOT_RUNNING``).
        """
        session = await self.owned(owner, session_id)
        if session.state is SessionState.PENDING:
            session = await self.observed(session)
        if session.state is not SessionState.RUNNING or session.expired(self._clock.now()):
            state = "expired" if session.state is SessionState.RUNNING else str(session.state)
            raise Conflict(
                f"the session is {state}, not running" + (f": {session.reason}" if session.reason else ""),
                reason="SESSION_NOT_RUNNING",
                session=session.id,
                state=state,
            )
        await self.touch(session)
        return session

    async def touch(self, session: Session) -> None:
        """Notes that the session is used; not every time, as a write costs more than it tells."""
        now = self._clock.now()
        if (now - session.last_used_at).total_seconds() >= _TOUCH_SECONDS:
            with contextlib.suppress(GamguiError):
                await self._store.update(dataclasses.replace(session, last_used_at=now))
