"""The session: what it is, which states it has and how it may move between them."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime

from shared.errors import Conflict


class SessionState(enum.StrEnum):
    """Where a session is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.PENDING: frozenset({SessionState.RUNNING, SessionState.FAILED, SessionState.DELETING}),
    SessionState.RUNNING: frozenset({SessionState.FAILED, SessionState.DELETING}),
    SessionState.FAILED: frozenset({SessionState.DELETING}),
    SessionState.DELETING: frozenset({SessionState.DELETED}),
    SessionState.DELETED: frozenset(),
}
"""The one table of legal transitions."""


class IllegalTransition(Conflict):
    """The session cannot go from its state to the one asked for."""

    default_reason = "SESSION_STATE"


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What a session's container gets, as Kubernetes quantities: requested and limited alike."""

    cpu: str
    memory: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One administrator's session. Immutable: a change is a new value with the old version.

    Attributes:
        id: Random DNS label, see ``names.new_session_id``.
        owner: The verified identity that created it (an e-mail address, lower case).
        reason: Why it is not running, in Kubernetes' words (``Reason: message``).
        cluster: For people: which cluster it is in.
        version: The store's opaque version of the document that this value was read
            from; empty before it is stored. Every change is a compare-and-set on it.
        virtual: It has no pod; commands are answered, not executed.
        idle_seconds: Time without work after which cleanup may delete it.
        credentials: Names of the credential files that were there when it was created, or
            last copied into it.
    """

    id: str
    owner: str
    name: str
    state: SessionState
    image: str
    resources: Resources
    labels: Mapping[str, str]
    cluster: str
    namespace: str
    pod_name: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    idle_seconds: int
    ready_at: datetime | None = None
    deleted_at: datetime | None = None
    reason: str | None = None
    virtual: bool = False
    credentials: tuple[str, ...] = ()
    version: str = ""

    def to(self, state: SessionState, now: datetime, reason: str | None = None) -> Session:
        """The session in another state.

        Args:
            state: The state to go to.
            now: Time of the change; becomes ``ready_at`` or ``deleted_at``.
            reason: Why, for states other than running; None keeps the known one.

        Raises:
            IllegalTransition: The table does not allow it.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(
                f"session {self.id} is {self.state} and cannot become {state}",
                session=self.id,
                state=self.state,
            )
        if state is SessionState.RUNNING:
            return dataclasses.replace(self, state=state, reason=None, ready_at=now, last_used_at=now)
        return dataclasses.replace(
            self,
            state=state,
            reason=reason or self.reason,
            deleted_at=now if state is SessionState.DELETED else self.deleted_at,
        )

    def expired(self, now: datetime) -> bool:
        """Whether the session is past its hard end, whatever cleanup has done about it."""
        return now >= self.expires_at
