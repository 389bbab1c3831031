"""Which sessions a caller may use: his own, and only those that run for what needs a pod.

An administrator may look at everybody's, delete them and read their audit records, and no
more: commands, files, jobs and credentials are their owner's alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Collection
from typing import Final

from shared.core import ids
from shared.core.audit.auditor import Auditor
from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.person import Person, require_same
from shared.core.sessions.idle import noted_lately
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.core.sessions.pods import SessionPods
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, GamguiError, NotFound, PermissionDenied, VersionConflict
from shared.reasons import Reason

EVERYBODY = "*"
AS_ADMINISTRATOR: Final = {"as": "administrator"}
"""What a record of an act on somebody else's session says beside its actor."""


class SessionAccess:
    """Finds sessions for callers. For a caller, others' sessions do not exist.

    Attributes:
        pods: What was given.

    Args:
        store: Keeps the sessions.
        pods: Asks sessions' pods.
        states: Moves them through their states.
        clock: The time of day.
        audit: Told when a session is bound to its owner.
        administrators: E-mail addresses of verified identities, lower case.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        pods: SessionPods,
        states: SessionStates,
        clock: Clock,
        audit: Auditor,
        administrators: Collection[str] = (),
    ) -> None:
        self._store = store
        self.pods = pods
        self._clock = clock
        self._audit = audit
        self._states = states
        self._administrators = frozenset(administrators)

    async def owned(self, owner: Person, session_id: str) -> Session:
        """The session as it is stored.

        Raises:
            NotFound: Absent, or another owner's.
            Conflict: Its owner had this e-mail address before (reason ``OWNER_CHANGED``).
        """
        session = await self._stored(session_id)
        if session is None or session.owner != owner.email:
            raise _absent()
        return await self._bound(session, owner)

    async def visible(self, caller: Person, session_id: str) -> Session:
        """The session as it is stored, for its owner or an administrator to look at or delete.

        Raises:
            NotFound: Absent, or another owner's.
        """
        session = await self._stored(session_id)
        if session is None or (session.owner != caller.email and caller.email not in self._administrators):
            raise _absent()
        if caller.email in self._administrators and not session.of(caller):
            return session
        return await self._bound(session, caller)

    async def _bound(self, session: Session, owner: Person) -> Session:
        """The session, which is this person's from now on if it was stored without saying whose it is."""

        async def read() -> Session:
            current = await self._stored(session.id)
            if current is None:
                raise _absent()
            return current

        async def bind(current: Session) -> Session:
            require_same(current.subject, owner)
            if current.subject:
                return current
            bound = await self._store.update(dataclasses.replace(current, subject=owner.subject))
            await self._audit.record(bound, owner, "owner.bind", "done", subject=owner.subject)
            return bound

        return await changed(read, bind, first=session, busy="the session is", session=session.id)

    def shown(self, session: Session, caller: Person) -> bool:
        """Whether a list shows the session: not to who has its owner's e-mail address now."""
        return session.of(caller) or caller.email in self._administrators

    def require_list(self, caller: Person, owner: str) -> None:
        """Whose sessions a caller may list: his own, and as an administrator everybody's.

        Args:
            caller: Who asks.
            owner: Whose sessions, by e-mail address, or ``EVERYBODY``.

        Raises:
            PermissionDenied: The caller is no administrator (``NOT_AN_ADMINISTRATOR``).
        """
        if owner != caller.email and caller.email not in self._administrators:
            raise PermissionDenied(
                "only administrators list the sessions of others",
                reason=Reason.NOT_AN_ADMINISTRATOR,
                owner=owner,
            )

    def require_administrator(self, caller: Person) -> None:
        """Refuses who is no administrator.

        Raises:
            PermissionDenied: He is none (``NOT_AN_ADMINISTRATOR``).
        """
        if caller.email not in self._administrators:
            raise PermissionDenied("only administrators may do this", reason=Reason.NOT_AN_ADMINISTRATOR)

    async def _stored(self, session_id: str) -> Session | None:
        return await self._store.get(session_id) if ids.is_session_id(session_id) else None

    async def observed(self, session: Session) -> Session:
        """The session with what its pod says now; where it cannot be asked, as it is stored and why."""
        if session.state is SessionState.FAILED or session.state in ENDED:
            return session
        session, status = await self.pods.shown(session)
        return session if status is None else await self._states.observe(session, status)

    async def owned_and_seen(self, owner: Person, session_id: str) -> Session:
        """As ``owned``, for what is asked of the session's pod.

        Raises:
            NotFound: Absent, or another owner's.
            OnAnotherCluster: It is on a cluster that is not seen.
        """
        session = await self.owned(owner, session_id)
        await self.pods.require_not_elsewhere(session)
        return session

    async def running(self, owner: Person, session_id: str) -> Session:
        """The session, to run something in its pod; notes that it is used.

        Cleanup ends an idle session by a compare-and-set on the version that it found idle. So
        either it finds this note, or this finds the session ended: nothing begins in a pod that
        is about to be deleted.

        Raises:
            NotFound: Absent, or another owner's.
            Conflict: It is not running (reason ``SESSION_NOT_RUNNING``).
            OnAnotherCluster: It is on a cluster that is not seen.
            ClusterUnavailable: The cluster does not answer, or nobody knows which it is.
        """

        async def read() -> Session:
            session = await self.owned(owner, session_id)
            if session.live and not session.expired(self._clock.now()):
                session = await self.pods.usable(session)
            return await self.observed(session) if session.state is SessionState.PENDING else session

        async def use(session: Session) -> Session:
            if session.state is not SessionState.RUNNING or session.expired(self._clock.now()):
                raise _not_running(session)
            if noted_lately(session, self._clock.now()):
                return session
            try:
                return await self._store.update(self._used_now(session))
            except VersionConflict:
                raise  # what changed it may have ended it
            except GamguiError:
                return session  # that the note cannot be made is no reason to refuse the work

        return await changed(read, use, busy="the session is", session=session_id)

    @contextlib.asynccontextmanager
    async def used(self, session: Session) -> AsyncGenerator[None, None]:
        """What the block does is work until its end."""
        try:
            yield
        finally:
            await self.touch(session)

    async def touch(self, session: Session) -> None:
        """Notes that the session was used until now, unless that is ``noted_lately``."""

        async def note(current: Session | None) -> None:
            over = current is None or (current is not session and not current.live)
            if current is not None and not over and not noted_lately(current, self._clock.now()):
                await self._store.update(self._used_now(current))

        with contextlib.suppress(GamguiError):
            await changed(lambda: self._store.get(session.id), note, first=session, busy="the session is")

    def _used_now(self, session: Session) -> Session:
        return session.used(self._clock.now())


def _not_running(session: Session) -> Conflict:
    state = "expired" if session.state is SessionState.RUNNING else str(session.state)
    return Conflict(
        f"the session is {state}, not running" + (f": {session.reason}" if session.reason else ""),
        reason=Reason.SESSION_NOT_RUNNING,
        session=session.id,
        state=state,
    )


def _absent() -> NotFound:
    return NotFound("there is no such session", reason=Reason.SESSION_NOT_FOUND)
