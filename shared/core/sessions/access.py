"""Which sessions a caller may use: his own; for work that needs a pod, only those of them that run.

An administrator may look at everybody's sessions, delete them and read their audit records, and no
more: commands, files, jobs and credentials are for the owner alone.
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
from shared.core.sessions.concurrency import Streams
from shared.core.sessions.idle import noted_lately
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.core.sessions.pods import SessionPods
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, GamguiError, NotFound, PermissionDenied, VersionConflict
from shared.reasons import Reason

EVERYBODY = "*"
AS_ADMINISTRATOR: Final = {"as": "administrator"}
"""What the audit record of an act on another person's session says besides its actor."""


class SessionAccess:
    """Finds sessions for callers. To a caller, other people's sessions do not exist.

    Attributes:
        pods: The argument ``pods``.
        streams: The argument ``streams``.

    Args:
        store: Keeps the sessions.
        pods: Asks sessions' pods.
        states: Moves sessions through their states.
        clock: The time of day.
        audit: Records that a session is bound to its owner.
        administrators: The administrators' verified e-mail addresses, lower case.
        streams: Counts the streams between callers and pods; None: nothing limits them.
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
        streams: Streams | None = None,
    ) -> None:
        self._store = store
        self.pods = pods
        self.streams = streams or Streams()
        self._clock = clock
        self._audit = audit
        self._states = states
        self._administrators = frozenset(administrators)

    async def owned(self, owner: Person, session_id: str) -> Session:
        """The owner's session as it is stored.

        Raises:
            NotFound: The session is absent, or another owner's.
            Conflict: The session's owner held this e-mail address earlier (reason ``OWNER_CHANGED``).
        """
        session = await self._stored(session_id)
        if session is None or session.owner != owner.email:
            raise _absent()
        return await self._bound(session, owner)

    async def visible(self, caller: Person, session_id: str) -> Session:
        """The session as it is stored, for its owner or an administrator to look at or delete.

        Raises:
            NotFound: The session is absent, or another owner's and the caller is no administrator.
            Conflict: As in ``owned``.
        """
        session = await self._stored(session_id)
        if session is None or (session.owner != caller.email and caller.email not in self._administrators):
            raise _absent()
        if caller.email in self._administrators and not session.of(caller):
            return session
        return await self._bound(session, caller)

    async def _bound(self, session: Session, owner: Person) -> Session:
        """Returns the session. If it is stored without a subject, it is bound to this person first."""

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
        """Whether the caller's list shows the session; a later holder of the address does not see it."""
        return session.of(caller) or caller.email in self._administrators

    def require_list(self, caller: Person, owner: str) -> None:
        """Refuses a list that the caller may not see: he may list his own sessions, administrators all.

        Args:
            caller: The caller.
            owner: E-mail address of the sessions' owner, or ``EVERYBODY``.

        Raises:
            PermissionDenied: The list is not the caller's own, and he is no administrator (reason
                ``NOT_AN_ADMINISTRATOR``).
        """
        if owner != caller.email and caller.email not in self._administrators:
            raise PermissionDenied(
                "only administrators list the sessions of others",
                reason=Reason.NOT_AN_ADMINISTRATOR,
                owner=owner,
            )

    def require_administrator(self, caller: Person) -> None:
        """Refuses a caller who is no administrator.

        Raises:
            PermissionDenied: The caller is no administrator (reason ``NOT_AN_ADMINISTRATOR``).
        """
        if caller.email not in self._administrators:
            raise PermissionDenied("only administrators may do this", reason=Reason.NOT_AN_ADMINISTRATOR)

    async def _stored(self, session_id: str) -> Session | None:
        return await self._store.get(session_id) if ids.is_session_id(session_id) else None

    async def observed(self, session: Session) -> Session:
        """The session with its pod's current status; if the pod cannot be asked, with the reason for that."""
        if session.state is SessionState.FAILED or session.state in ENDED:
            return session
        session, status = await self.pods.shown(session)
        return session if status is None else await self._states.observe(session, status)

    async def owned_and_seen(self, owner: Person, session_id: str) -> Session:
        """The session as from ``owned``, for requests about what its pod knows.

        Raises:
            NotFound: The session is absent, or another owner's.
            OnAnotherCluster: The session is live and on a cluster that this instance does not see.
        """
        session = await self.owned(owner, session_id)
        await self.pods.require_not_elsewhere(session)
        return session

    async def running(self, owner: Person, session_id: str) -> Session:
        """The session, for work in its pod; notes the use in the session.

        Cleanup ends an idle session by a compare-and-set on the version that it found idle. So
        either cleanup finds this note, or this method finds that the session has ended: no work begins in
        a pod that is about to be deleted.

        Raises:
            NotFound: The session is absent, or another owner's.
            Conflict: The session is not running (reason ``SESSION_NOT_RUNNING``).
            OnAnotherCluster: The session is on a cluster that this instance does not see.
            ClusterUnavailable: The cluster does not answer, or it is not known which cluster it is.
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
                raise  # the other change may have ended the session
            except GamguiError:
                return session  # the work can be done without the note

        return await changed(read, use, busy="the session is", session=session_id)

    @contextlib.asynccontextmanager
    async def used(self, session: Session) -> AsyncGenerator[None, None]:
        """A context for work in the session: when it ends, the session's last use is noted."""
        try:
            yield
        finally:
            await self.touch(session)

    async def touch(self, session: Session) -> None:
        """Notes that the session was used until now, unless a use is ``noted_lately``. Errors are ignored."""

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
