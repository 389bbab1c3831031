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
from shared.core.clock import Clock
from shared.core.person import Person, require_same
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.ports import PodRuntime, SessionStore
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, GamguiError, NotFound, PermissionDenied, VersionConflict
from shared.reasons import Reason

EVERYBODY = "*"
AS_ADMINISTRATOR: Final = {"as": "administrator"}
"""What a record of an act on somebody else's session says beside its actor."""

_TOUCH_SECONDS = 30
"""At most; and less than the session's idle limit: what is used is never found idle for want of a note."""

_TRIES = 5


class SessionAccess:
    """Finds sessions for callers. For a caller, others' sessions do not exist.

    Args:
        store: Keeps the sessions.
        runtime: Runs the pods.
        virtual: Runs virtual sessions.
        states: Moves them through their states.
        clock: The time of day.
        audit: Told when a session is bound to its owner.
        administrators: E-mail addresses of verified identities, lower case.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        runtime: PodRuntime,
        virtual: PodRuntime,
        states: SessionStates,
        clock: Clock,
        audit: Auditor,
        administrators: Collection[str] = (),
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._virtual = virtual
        self._clock = clock
        self._audit = audit
        self._states = states
        self._administrators = frozenset(administrators)

    def runtime_of(self, session: Session) -> PodRuntime:
        """What runs the session."""
        return self._virtual if session.virtual else self._runtime

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
        for _ in range(_TRIES):
            require_same(session.subject, owner)
            if session.subject:
                return session
            try:
                bound = await self._store.update(dataclasses.replace(session, subject=owner.subject))
            except VersionConflict:
                current = await self._stored(session.id)
                if current is None:
                    raise _absent() from None
                session = current
                continue
            await self._audit.record(bound, owner, "owner.bind", "done", subject=owner.subject)
            return bound
        raise VersionConflict("the session is being changed by others; try again", session=session.id)

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
        """The session with what its pod says now."""
        if session.state in (SessionState.FAILED, SessionState.DELETED):
            return session
        return await self._states.observe(session, await self.runtime_of(session).status(session))

    async def running(self, owner: Person, session_id: str) -> Session:
        """The session, to run something in its pod; notes that it is used.

        Cleanup ends an idle session by a compare-and-set on the version that it found idle. So
        either it finds this note, or this finds the session ended: nothing begins in a pod that
        is about to be deleted.

        Raises:
            NotFound: Absent, or another owner's.
            Conflict: It is not running (reason ``SESSION_NOT_RUNNING``).
        """
        for _ in range(_TRIES):
            session = await self.owned(owner, session_id)
            if session.state is SessionState.PENDING:
                session = await self.observed(session)
            if session.state is not SessionState.RUNNING or session.expired(self._clock.now()):
                raise _not_running(session)
            if self._lately_used(session):
                return session
            try:
                return await self._store.update(self._used_now(session))
            except VersionConflict:
                continue  # what changed it may have ended it
            except GamguiError:
                return session  # that the note cannot be made is no reason to refuse the work
        raise VersionConflict("the session is being changed by others; try again", session=session_id)

    @contextlib.asynccontextmanager
    async def used(self, session: Session) -> AsyncGenerator[None, None]:
        """What the block does is work until its end."""
        try:
            yield
        finally:
            await self.touch(session)

    async def touch(self, session: Session) -> None:
        """Notes that the session was used until now; not every time, as a write costs more than it tells."""
        with contextlib.suppress(GamguiError):
            for _ in range(_TRIES):
                if self._lately_used(session):
                    return
                try:
                    await self._store.update(self._used_now(session))
                    return
                except VersionConflict:
                    current = await self._store.get(session.id)
                    if current is None or not current.live:
                        return
                    session = current

    def _lately_used(self, session: Session) -> bool:
        known = (self._clock.now() - session.last_used_at).total_seconds()
        return known < min(_TOUCH_SECONDS, session.idle_seconds / 2)

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
