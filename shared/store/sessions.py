"""Sessions as documents, and the repository that keeps them.

An owner is a group of sessions, in the collection ``owners``. The group counts the owner's live sessions, to
which the limit of an owner applies, and knows when the owner last had a live session.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, get_type_hints

from shared.core.cleanup.ports import OwnerUse
from shared.core.paging import Cursor
from shared.core.sessions.model import Resources, Session, SessionState, too_many_sessions
from shared.core.sessions.names import owner_hash
from shared.core.sessions.share import OwnerShare
from shared.errors import Conflict
from shared.reasons import Reason
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Engine, Index, Member, Query
from shared.store.repository import GroupFull, Present, Repository, readable_page

ALL = Index(by="created_at", newest_first=True)
OF_OWNER = Index(equal=("owner",), by="created_at", newest_first=True)
OF_OWNER_IN_STATE = Index(equal=("owner", "state"), by="created_at", newest_first=True)
IN_STATE = Index(equal=("state",), by="created_at", newest_first=True)
DUE = Index(by="check_at")
FORGETTABLE = Index(by="purge_at")
ON_CLUSTER = Index(equal=("on_cluster",))

SESSIONS = Collection(
    name="sessions",
    indexes=(ALL, OF_OWNER, OF_OWNER_IN_STATE, IN_STATE, DUE, FORGETTABLE, ON_CLUSTER),
    # Lists do not read the environment variables: they may be long, and they are secrets.
    listed=(*(name for name in get_type_hints(Session) if name not in ("env", "version")), "check_at"),
    unindexed=("env", "image", "labels", "reason"),
    expires_by="purge_at",
    groups="owners",
)


class Sessions:
    """A ``SessionStore`` that also finds the sessions that cleanup looks for (``DueSessionStore``).

    Args:
        engine: Keeps the documents.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions = Repository(
            engine,
            SESSIONS,
            "session",
            id_of=lambda session: session.id,
            document=session_document,
            read=session_from,
        )

    async def create(
        self, session: Session, *, limit: int | None = None, share: OwnerShare | None = None
    ) -> Session:
        """See ``SessionStore.create``."""
        member = Member(owner_hash(session.owner), session.created_at) if session.live else None
        admit = None if share is None else partial(share.require_room, session)
        try:
            return await self._sessions.create(session, member=member, limit=limit, admit=admit)
        except Present:
            raise Conflict(
                f"Session {session.id} exists.", reason=Reason.SESSION_EXISTS, session=session.id
            ) from None
        except GroupFull:
            raise too_many_sessions(limit or 0) from None

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        return await self._sessions.get(session_id)

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        over = session.state in (SessionState.FAILED, SessionState.DELETING, SessionState.LOST)
        at = session.changed_at or session.created_at
        return await self._sessions.update(
            session, left=Member(owner_hash(session.owner), at) if over else None
        )

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        of_owner, in_state = owner is not None, state is not None
        indexes = {
            (False, False): ALL,
            (True, False): OF_OWNER,
            (True, True): OF_OWNER_IN_STATE,
            (False, True): IN_STATE,
        }
        values = [value for value in (owner, state and state.value) if value is not None]
        return await self._sessions.page(indexes[of_owner, in_state], *values, limit=limit, after=after)

    async def due_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None, unreadable: set[str] | None = None
    ) -> Sequence[Session]:
        """See ``DueSessionStore.due_sessions``."""
        return await self._sessions.page(DUE, until=now, limit=limit, after=after, unreadable=unreadable)

    async def forgettable_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[Session]:
        """See ``DueSessionStore.forgettable_sessions``."""
        return await self._sessions.page(FORGETTABLE, until=now, limit=limit, after=after)

    async def count_on_cluster(self, first: str, end: str) -> int:
        """See ``DueSessionStore.count_on_cluster``."""
        return await self._engine.count(_on_cluster(first, end))

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """See ``DueSessionStore.sessions_on_cluster``."""
        return await readable_page(self._engine, _on_cluster(first, end, limit), self._sessions.value)

    async def owner_use(self, owner: str) -> OwnerUse:
        """See ``DueSessionStore.owner_use``."""
        group = await self._engine.group(SESSIONS, owner)
        return OwnerUse(live=group.members > 0, at=group.changed_at)

    async def remove_session(self, session: Session) -> None:
        """See ``DueSessionStore.remove_session``."""
        await self._sessions.remove(session)

    async def ping(self) -> None:
        """Reads a document that need not exist; returns when the database answers."""
        await self._engine.get(SESSIONS, "ping")


def _on_cluster(first: str, end: str, limit: int | None = None) -> Query:
    return Query(collection=SESSIONS, index=ON_CLUSTER, values=(True,), first=first, end=end, limit=limit)


def session_document(session: Session) -> Document:
    """The session as a document; see ``documents.document_of``."""
    return {
        **documents.document_of(session, session.id),
        "credentials": " ".join(session.credentials),
        "credentials_choice": (
            None if session.credentials_choice is None else " ".join(session.credentials_choice)
        ),
        "may_be_left": " ".join(session.may_be_left),
        # The variables are stored as text, because Firestore refuses the names of some variables as field
        # names.
        "env": json.dumps(dict(session.env), ensure_ascii=False),
        # Queries use these fields. A session derives them from its other fields.
        "check_at": None if session.check_at is None else documents.utc(session.check_at),
        "on_cluster": session.on_cluster,
    }


def session_from(document: Mapping[str, Any], version: str) -> Session:
    """The session that a document of this version holds.

    Raises:
        InternalError: The document holds no session (reason ``DOCUMENT_INVALID``).
    """
    with documents.reading("session"):
        values = documents.values_of(Session, document, version)
        values["state"] = SessionState(values["state"])
        values["resources"] = Resources(**values["resources"])
        values["labels"] = dict(values["labels"])
        values["credentials"] = tuple(str.split(values.get("credentials", "")))
        choice = values.get("credentials_choice")
        values["credentials_choice"] = None if choice is None else tuple(str.split(choice))
        values["may_be_left"] = tuple(str.split(values.get("may_be_left", "")))
        values["env"] = dict(json.loads(values.get("env", "{}")))
        return Session(**values)
