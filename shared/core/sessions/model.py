"""The session: what it is, which states it has and how it may move between them."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.core.person import Person
from shared.errors import Conflict, TooManyRequests
from shared.reasons import Reason


class SessionState(enum.StrEnum):
    """Where a session is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"
    LOST = "lost"


TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.PENDING: frozenset(
        {SessionState.RUNNING, SessionState.FAILED, SessionState.DELETING, SessionState.LOST}
    ),
    SessionState.RUNNING: frozenset({SessionState.FAILED, SessionState.DELETING, SessionState.LOST}),
    SessionState.FAILED: frozenset({SessionState.DELETING, SessionState.LOST}),
    SessionState.DELETING: frozenset({SessionState.DELETED, SessionState.LOST}),
    SessionState.DELETED: frozenset(),
    SessionState.LOST: frozenset(),
}
"""The one table of legal transitions."""

ENDED = frozenset({SessionState.DELETED, SessionState.LOST})
"""The states of which there is no way on: deleted, or over without anybody having seen how."""


LIVE = frozenset({SessionState.PENDING, SessionState.RUNNING})
"""The states in which a session has a pod, or is about to; what an owner's limit counts."""

_LOOK_AGAIN = timedelta(minutes=1)
_MOST_DOUBLED = 10

UNFINISHED_SECONDS = 60
"""What a request has begun it ends or gives up within this; then cleanup goes on with it."""


class IllegalTransition(Conflict):
    """The session cannot go from its state to the one asked for."""

    default_reason = Reason.SESSION_STATE


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What a session's container gets, as Kubernetes quantities: requested and limited alike."""

    cpu: str
    memory: str


def too_many_sessions(limit: int) -> TooManyRequests:
    """What a create is refused with when its owner has ``limit`` live sessions."""
    return TooManyRequests(
        f"you have {limit} sessions, which is the most: delete one first",
        reason=Reason.TOO_MANY_SESSIONS,
        retry_after_seconds=60,
        limit=limit,
    )


class Because(enum.StrEnum):
    """Why cleanup does something to a session."""

    EXPIRED = "expired"
    IDLE = "idle"
    UNFINISHED = "unfinished"
    RETENTION = "retention"


@dataclasses.dataclass(frozen=True, slots=True)
class Cleanup:
    """What cleanup will do to a session if nothing happens until then: end it, or forget it."""

    at: datetime
    because: Because


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One administrator's session. Immutable: a change is a new value with the old version.

    Attributes:
        id: Random DNS label, see ``ids.new_session_id``.
        owner: The verified identity that created it (an e-mail address, lower case).
        subject: ``Person.subject`` of who created it; empty in documents of an earlier release.
        reason: Why it is not running, in Kubernetes' words (``Reason: message``).
        cluster: For people: which cluster it is in.
        version: The store's opaque version of the document that this value was read
            from; empty before it is stored. Every change is a compare-and-set on it.
        virtual: It has no pod; commands are answered, not executed.
        idle_seconds: Time without work after which cleanup may delete it.
        changed_at: When it came into its state; None means with its creation.
        purge_at: When a session that has ended may be forgotten.
        connection: By which connection it was made: ``default``, ``virtual``; empty in documents of an
            earlier release, see ``connection_id``.
        cluster_identity: Which cluster it is on, as ``ClusterIdentity.text`` says it; empty when that
            could not be read, and in documents of an earlier release until it is met.
        may_be_left: What may still be on a cluster that nobody saw when it ended: ``pod/NAME`` and the like.
        credentials: Names of the credential files that were there when it was created, or
            last copied into it; while they are copied, and after a crash, of both.
        failed_looks: So many looks of cleanup at it in a row have failed.
        look_after: It is not looked at again before; None when no look has failed.
        env: Variables of its commands and jobs, which may be secrets: never shown, logged or
            audited, and forgotten when it ends.
        credentials_choice: Names of the only files that may ever get into it; None: all.
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
    changed_at: datetime | None = None
    purge_at: datetime | None = None
    reason: str | None = None
    virtual: bool = False
    credentials: tuple[str, ...] = ()
    failed_looks: int = 0
    look_after: datetime | None = None
    credentials_choice: tuple[str, ...] | None = None
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    subject: str = ""
    connection: str = ""
    cluster_identity: str = ""
    may_be_left: tuple[str, ...] = ()
    version: str = ""

    @property
    def connection_id(self) -> str:
        """By which connection it was made; what an earlier release stored did not say."""
        return self.connection or (VIRTUAL if self.virtual else DEFAULT)

    def of(self, person: Person) -> bool:
        """Whether it is this person's, or was stored before that could be told from the address."""
        return self.owner == person.email and self.subject in ("", person.subject)

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
            return dataclasses.replace(
                self,
                state=state,
                changed_at=now,
                reason=None,
                ready_at=now,
                last_used_at=now,
                failed_looks=0,
                look_after=None,
            )
        return dataclasses.replace(
            self,
            state=state,
            changed_at=now,
            env={},  # nothing runs in it any more
            reason=reason or self.reason,
            deleted_at=now if state in ENDED else self.deleted_at,
            failed_looks=0,
            look_after=None,
        )

    def used(self, at: datetime) -> Session:
        """The session, used until then."""
        return dataclasses.replace(self, last_used_at=at, failed_looks=0, look_after=None)

    def look_failed(self, now: datetime, most: timedelta) -> Session:
        """The session after a look at it has failed: the next one is later, each time by twice as much.

        Args:
            now: Time of the look.
            most: Longest time to the next one.
        """
        wait = min(_LOOK_AGAIN * 2 ** min(self.failed_looks, _MOST_DOUBLED), most)
        return dataclasses.replace(self, failed_looks=self.failed_looks + 1, look_after=now + wait)

    def latest_end(self, longest_life: timedelta) -> datetime:
        """When its pod is over whatever happens: Kubernetes ends it after the longest life of a session."""
        return max(self.expires_at, self.created_at + longest_life)

    def expired(self, now: datetime) -> bool:
        """Whether the session is past its hard end, whatever cleanup has done about it."""
        return now >= self.expires_at

    @property
    def live(self) -> bool:
        """Whether it has a pod, or is about to."""
        return self.state in LIVE

    @property
    def on_cluster(self) -> bool:
        """Whether there ought to be a pod of it in the cluster."""
        return self.live and not self.virtual

    @property
    def idle_at(self) -> datetime:
        """When it has been without work for its idle limit."""
        return self.last_used_at + timedelta(seconds=self.idle_seconds)

    @property
    def cleanup(self) -> Cleanup | None:
        """What cleanup will do to it, as far as is known now; None when it stays as it is."""
        if self.state in ENDED:
            return Cleanup(self.purge_at, Because.RETENTION) if self.purge_at else None
        if self.state is SessionState.DELETING:
            since = self.changed_at or self.created_at
            return Cleanup(since + timedelta(seconds=UNFINISHED_SECONDS), Because.UNFINISHED)
        if self.state is SessionState.PENDING or self.expires_at <= self.idle_at:
            return Cleanup(self.expires_at, Because.EXPIRED)
        return Cleanup(self.idle_at, Because.IDLE)

    @property
    def check_at(self) -> datetime | None:
        """When cleanup looks at it next: what its query goes by.

        One that has ended is not looked at, unless something of it may be left on a cluster. Looks that
        have failed put that off, but never the end of a session beyond its time.
        """
        if self.state in ENDED:
            since = self.deleted_at or self.created_at
            return max(since, self.look_after or since) if self.may_be_left else None
        if self.cleanup is None:
            return None
        at = self.cleanup.at
        if self.state is SessionState.PENDING:
            at = min(self.expires_at, self.created_at + timedelta(seconds=UNFINISHED_SECONDS))
        if self.look_after is None:
            return at
        later = max(at, self.look_after)
        return later if self.state is SessionState.DELETING else min(later, self.expires_at)
