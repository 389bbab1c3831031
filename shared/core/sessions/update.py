"""The use cases of changing a live session: a keepalive, another name or labels, another lifetime."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta

from shared.core.audit.auditor import Auditor
from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session
from shared.core.sessions.ports import SessionStore
from shared.errors import Conflict, InvalidRequest, PreconditionFailed
from shared.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes that a caller wants, checked. A field that is None stays as it is.

    Attributes:
        name: The new name; empty: the session's id.
        labels: All labels of the session from now on.
        ttl_seconds: Life of the session from its creation on.
        idle_seconds: Time without work after which cleanup may delete the session.
    """

    name: str | None = None
    labels: Mapping[str, str] | None = None
    ttl_seconds: int | None = None
    idle_seconds: int | None = None


def etag_of(session: Session) -> str:
    """The entity tag of those fields of a session that its owner can change (RFC 9110, section 8.8.3).

    Other fields, such as its state and its last use, change without the owner. Such a change is no reason
    to refuse what the owner decided before it.
    """
    facts = [session.name, dict(session.labels), session.expires_at.isoformat(), session.idle_seconds]
    text = json.dumps([session.id, *facts], sort_keys=True, ensure_ascii=False)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


class SessionUpdate:
    """Changes live sessions. To a caller, other people's sessions do not exist.

    Args:
        store: Keeps the sessions.
        access: Finds a caller's sessions.
        audit: Records every change, except a keepalive.
        clock: The time of day.
    """

    def __init__(self, *, store: SessionStore, access: SessionAccess, audit: Auditor, clock: Clock) -> None:
        self._store = store
        self._access = access
        self._audit = audit
        self._clock = clock

    async def keepalive(self, owner: Person, session_id: str) -> Session:
        """Restarts the session's idle time; its ``expires_at`` stays the same.

        Raises:
            NotFound: The session is absent, or another owner's.
            Conflict: The session is over (reason ``SESSION_NOT_RUNNING``).
        """
        return await self._change(owner, session_id, lambda session: session.used(self._clock.now()))

    async def change(
        self, owner: Person, session_id: str, changes: Changes, etags: frozenset[str]
    ) -> Session:
        """Changes a session.

        Args:
            owner: The caller.
            session_id: The session.
            changes: The changes.
            etags: Entity tags of which the session must have one; empty: any entity tag is right.

        Raises:
            NotFound: The session is absent, or another owner's.
            Conflict: The session is over (reason ``SESSION_NOT_RUNNING``).
            PreconditionFailed: The session was changed since the caller saw it (reason ``ETAG_MISMATCH``).
            InvalidRequest: With the new lifetime, the session would be over already.
        """

        def wanted(session: Session) -> Session:
            if etags and etag_of(session) not in etags:
                raise PreconditionFailed(
                    "the session is not as you have seen it: get it again",
                    reason=Reason.ETAG_MISMATCH,
                    etag=etag_of(session),
                )
            return self._changed(session, changes)

        session = await self._change(owner, session_id, wanted)
        words = {name: "changed" for name, value in dataclasses.asdict(changes).items() if value is not None}
        await self._audit.record(session, owner, "session.change", "done", **words)
        return session

    async def _change(self, owner: Person, session_id: str, to: Callable[[Session], Session]) -> Session:
        async def change(session: Session) -> Session:
            if not session.live or session.expired(self._clock.now()):
                state = "expired" if session.live else str(session.state)
                raise Conflict(
                    f"the session is {state} and cannot be changed",
                    reason=Reason.SESSION_NOT_RUNNING,
                    session=session.id,
                    state=state,
                )
            return await self._store.update(to(session))

        return await changed(
            lambda: self._access.owned(owner, session_id), change, busy="the session is", session=session_id
        )

    def _changed(self, session: Session, changes: Changes) -> Session:
        expires_at = session.expires_at
        if changes.ttl_seconds is not None:
            expires_at = session.created_at + timedelta(seconds=changes.ttl_seconds)
            if expires_at <= self._clock.now():
                raise InvalidRequest(
                    "ttl_seconds counts from the session's creation and is over already",
                    reason=Reason.INVALID_FIELD,
                    field="ttl_seconds",
                )
        life = int((expires_at - session.created_at).total_seconds())
        idle_seconds = session.idle_seconds if changes.idle_seconds is None else changes.idle_seconds
        return dataclasses.replace(
            session,
            name=session.name if changes.name is None else changes.name or session.id,
            labels=session.labels if changes.labels is None else changes.labels,
            expires_at=expires_at,
            idle_seconds=min(idle_seconds, life),
        )
