"""The session: what it is, which states it has and how it may move between them."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.core.person import Person
from shared.core.sessions.names import credentials_name
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
"""The final states: ``deleted``, and ``lost``: the session is over, but nobody saw how."""

LIVE = frozenset({SessionState.PENDING, SessionState.RUNNING})
"""The states in which a session has a pod or gets one. The limit per owner counts sessions in these."""

_LOOK_AGAIN = timedelta(minutes=1)
_MOST_DOUBLED = 10

UNFINISHED_SECONDS = 60
"""A request ends or gives up the work that it has begun within this time; then cleanup goes on with it."""


class IllegalTransition(Conflict):
    """The session cannot go from its state to the requested state."""

    default_reason = Reason.SESSION_STATE


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """CPU and memory of a session's container, as Kubernetes quantities: both its request and its limit."""

    cpu: str
    memory: str


def too_many_sessions(limit: int) -> TooManyRequests:
    """The error for a create request whose owner has ``limit`` live sessions already."""
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
    """When and why cleanup will end or forget a session, if nothing else happens until then."""

    at: datetime
    because: Because


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of one person. Immutable: a change is a new value with the old version.

    Attributes:
        id: Random DNS label, see ``ids.new_session_id``.
        owner: Verified e-mail address of the session's creator, lower case.
        subject: ``Person.subject`` of the owner; empty in documents of an earlier release.
        reason: Why the session is not running, in Kubernetes' words (``Reason: message``).
        cluster: Name of the session's cluster, for people.
        version: The store's opaque version of the document from which this value was read;
            empty before the session is stored. Every change is a compare-and-set on it.
        virtual: The session has no pod; commands are answered, not executed.
        idle_seconds: Time without work after which cleanup may delete the session.
        changed_at: When the session entered its state; None: at its creation.
        purge_at: When cleanup may forget the ended session.
        connection: Id of the connection by which the session was created: ``default`` or ``virtual``; empty
            in documents of an earlier release, see ``connection_id``.
        cluster_identity: ``ClusterIdentity.text`` of the session's cluster; empty when the identity could not
            be read. Documents of an earlier release have none until the session's pod is met.
        may_be_left: Objects that may be left on a cluster that nobody saw at the session's end: ``pod/NAME``.
        disk_bytes: Bytes of its node's disk that the session's pod may take; None in documents of an earlier
            release.
        credentials: Names of the credential files that the session got at its creation or by the last copy;
            during a copy, and after a crash in a copy, the names of both.
        credentials_secret: Name of the Secret that held these files; empty when there was none, and in
            documents of an earlier release, see ``secret_name``.
        failed_looks: How many looks of cleanup at the session have failed in a row.
        look_after: Cleanup does not look at the session before this time; None when no look has failed.
        env: Variables of the session's commands and jobs. They may be secrets: they are never shown, logged
            or audited, and they are removed when the session ends.
        credentials_choice: Names of the only credential files that may get into the session; None: all.
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
    disk_bytes: int | None = None
    credentials_secret: str = ""
    version: str = ""

    @property
    def secret_name(self) -> str:
        """Name of the Secret with the credentials; by default the name that earlier releases gave it."""
        return self.credentials_secret or credentials_name(self.owner)

    @property
    def connection_id(self) -> str:
        """The connection by which the session was created; a default for documents of an earlier release."""
        return self.connection or (VIRTUAL if self.virtual else DEFAULT)

    def of(self, person: Person) -> bool:
        """Whether the session is this person's; without a stored subject, the e-mail address decides."""
        return self.owner == person.email and self.subject in ("", person.subject)

    def to(self, state: SessionState, now: datetime, reason: str | None = None) -> Session:
        """The session in another state.

        Args:
            state: The state to go to.
            now: Time of the change; becomes ``ready_at`` or ``deleted_at``.
            reason: Why the session changes, for states other than running; None keeps the present reason.

        Raises:
            IllegalTransition: ``TRANSITIONS`` does not allow the change.
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
        """The session with ``at`` as the time of its last use."""
        return dataclasses.replace(self, last_used_at=at, failed_looks=0, look_after=None)

    def look_failed(self, now: datetime, most: timedelta) -> Session:
        """The session after a failed look of cleanup. The wait for the next look doubles with each failure.

        Args:
            now: Time of the failed look.
            most: Longest wait for the next look.
        """
        wait = min(_LOOK_AGAIN * 2 ** min(self.failed_looks, _MOST_DOUBLED), most)
        return dataclasses.replace(self, failed_looks=self.failed_looks + 1, look_after=now + wait)

    def latest_end(self, longest_life: timedelta) -> datetime:
        """Time at which the pod has ended in any case: Kubernetes ends it after a session's longest life."""
        return max(self.expires_at, self.created_at + longest_life)

    def expired(self, now: datetime) -> bool:
        """Whether ``expires_at`` has passed, no matter whether cleanup has ended the session yet."""
        return now >= self.expires_at

    @property
    def live(self) -> bool:
        """Whether the session has a pod or is about to get one."""
        return self.state in LIVE

    @property
    def on_cluster(self) -> bool:
        """Whether the cluster should have a pod of the session."""
        return self.live and not self.virtual

    @property
    def idle_at(self) -> datetime:
        """When the session will have been without work for its idle limit."""
        return self.last_used_at + timedelta(seconds=self.idle_seconds)

    @property
    def cleanup(self) -> Cleanup | None:
        """What cleanup will do to the session, as far as is known now; None: the session stays as it is."""
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
        """When cleanup looks at the session next; cleanup's query selects and sorts by this time.

        Cleanup does not look at an ended session, unless something of it may be left on a cluster. Failed
        looks delay the next look, but never the end of a session past its ``expires_at``.
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
