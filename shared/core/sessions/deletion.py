"""The use case of deleting a session: the pod goes first, and the document says how far the deletion is."""

from __future__ import annotations

from shared.core.audit.auditor import Auditor
from shared.core.person import Person
from shared.core.sessions.access import AS_ADMINISTRATOR, SessionAccess
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.core.sessions.pods import left_of
from shared.core.sessions.ports import SessionJobs
from shared.core.sessions.states import SessionStates
from shared.errors import ClusterUnavailable, ConnectionFailed, GamguiError, OnAnotherCluster

_DELETE_SECONDS = 20.0


class SessionDeletion:
    """Deletes sessions.

    Args:
        access: Finds a caller's sessions.
        states: Moves sessions through their states.
        jobs: Notes how the session's jobs end.
        audit: Records every act.
    """

    def __init__(
        self, *, access: SessionAccess, states: SessionStates, jobs: SessionJobs, audit: Auditor
    ) -> None:
        self._access = access
        self._pods = access.pods
        self._states = states
        self._jobs = jobs
        self._audit = audit

    async def delete(self, caller: Person, session_id: str, *, abandon: bool = False) -> Session:
        """Deletes the session's pod and waits a while for its end. A repetition is a success.

        Args:
            caller: The caller.
            session_id: The session.
            abandon: End the session even when its cluster cannot be asked; things may be left there.

        Returns:
            The session: deleted, or deleting when the pod is not gone yet (cleanup finishes it).

        Raises:
            NotFound: The session is absent, or another owner's and the caller is no administrator.
            PermissionDenied: ``abandon`` is set and the caller is no administrator.
            OnAnotherCluster: This instance does not see the session's cluster. The session stays
                ``deleting``, and an instance that sees the cluster finishes the deletion.
            ClusterUnavailable: The cluster does not answer, or is not known. The session stays
                ``deleting`` too.
        """
        session = await self._access.visible(caller, session_id)
        if abandon:
            self._access.require_administrator(caller)
        detail = {} if session.of(caller) else AS_ADMINISTRATOR
        async with self._audit.act(session, caller, "session.delete", detail) as act:
            asked = session.of(caller) and session.state is SessionState.RUNNING
            if session.state is not SessionState.DELETING and session.state not in ENDED:
                session = await self._states.move(session, SessionState.DELETING, None)
            if session.state not in ENDED:
                if asked:
                    await self._jobs.note_ends(session)
                try:
                    session = await self._finish(session)
                except (OnAnotherCluster, ClusterUnavailable, ConnectionFailed) as error:
                    if not abandon:
                        raise
                    session = await self._abandon(session, error)
                    act.detail |= {"because": error.reason, "may_be_left": " ".join(session.may_be_left)}
            act.outcome = session.state
        return session

    async def _finish(self, session: Session) -> Session:
        gone = await self._pods.delete(session, _DELETE_SECONDS)
        await self._jobs.conclude(session)
        if gone and session.state is SessionState.DELETING:
            return await self._states.move(session, SessionState.DELETED, None)
        return session

    async def _abandon(self, session: Session, error: GamguiError) -> Session:
        """Ends the session; its document says what may be left, for an instance that sees its cluster."""
        left = left_of(session)
        words = f"Abandoned: {error.reason}; may be left on its cluster: {', '.join(left)}"
        session = await self._states.move(session, SessionState.DELETED, words, left)
        await self._jobs.conclude(session)
        return session
