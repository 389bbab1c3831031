"""The ports of the use cases of sessions, as Protocols. Adapters implement them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from shared.core.commands import Command, ExecEvent
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import ConnectionInfo, PodStatus
from shared.core.sessions.share import OwnerShare


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """An idempotency record: one Idempotency-Key of one owner for one operation.

    Attributes:
        key: Document id; derived from owner, operation and the caller's key.
        fingerprint: Hash of the request's body; another body under the same key is refused.
        resource_id: Id of the resource that the first request creates. A request that takes over after a
            crash goes on with this id, so nothing is created twice.
        lease_until: Until this time the first request counts as still running.
        response: JSON text of the first answer; None while the first request runs.
        status: HTTP status of that answer.
        expires_at: After this time the record counts as absent.
        version: As in ``Session``.
    """

    key: str
    fingerprint: str
    resource_id: str
    lease_until: datetime
    expires_at: datetime
    response: str | None = None
    status: int | None = None
    version: str = ""


class SessionStore(Protocol):
    """Keeps sessions. All changes are compare-and-set.

    Every method raises ``StoreUnavailable`` when the store does not answer. For a document that cannot be
    read, ``get`` raises ``InternalError`` (reason ``DOCUMENT_INVALID``); lists leave the document out,
    and the log names it.
    """

    async def create(
        self, session: Session, *, limit: int | None = None, share: OwnerShare | None = None
    ) -> Session:
        """Stores a new session.

        Args:
            session: The session, which is live.
            limit: Maximum number of live sessions of the owner, this one included; None: no limit. The
                limit is exact, also when several requests create at the same time. A session counts until
                the change after which its state is not live.
            share: Most that the owner's live sessions may have, exact as ``limit`` is; None: no limit.

        Returns:
            The session with its version.

        Raises:
            Conflict: A session with this id exists (reason ``SESSION_EXISTS``).
            TooManyRequests: The owner has ``limit`` live sessions already (reason ``TOO_MANY_SESSIONS``), or
                no room for this one in his share (reason ``OWNER_SHARE_EXCEEDED``).
        """
        ...

    async def get(self, session_id: str) -> Session | None:
        """The session; None when there is none with this id."""
        ...

    async def update(self, session: Session) -> Session:
        """Replaces the stored session if it still has ``session.version``.

        Returns:
            The session with its new version.

        Raises:
            VersionConflict: The stored session has another version, or is gone.
        """
        ...

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """The owner's sessions (None: everybody's), newest first, at most ``limit``, those after ``after``.

        As in every list, they come without ``env``: call ``get`` for a session before you change it.
        """
        ...


class RequestStore(Protocol):
    """Keeps idempotency records. All changes are compare-and-set; errors as in ``SessionStore``."""

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """Stores the record if there is none under its key; an expired record counts as none.

        Returns:
            The record that is stored now, with its version. The caller's request is the first one under
            the key exactly when this record has the ``resource_id`` of the caller's record.
        """
        ...

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """Replaces the stored record if it still has ``record.version``.

        Returns:
            The record with its new version.

        Raises:
            VersionConflict: The stored record has another version, or is gone.
        """
        ...


class SessionJobs(Protocol):
    """Notes how jobs end when their session ends."""

    async def note_ends(self, session: Session) -> None:
        """Asks the pod, for a few seconds at most, how jobs have ended, and stores that. Raises nothing."""
        ...

    async def conclude(self, session: Session) -> None:
        """Stores that the session's jobs without a known end are lost. Asks no pod."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class MountedCredentials:
    """The credentials that a pod mounts.

    Attributes:
        files: Names of the files.
        secret: Name of the Secret that holds them; empty when they are not in a cluster.
    """

    files: tuple[str, ...] = ()
    secret: str = ""


class SessionCredentials(Protocol):
    """Knows which credential files a new session gets."""

    async def mounted(self, owner: Person, choice: tuple[str, ...] | None) -> MountedCredentials:
        """The credentials that the pod mounts: those of the owner's files that are chosen.

        Args:
            owner: The session's owner.
            choice: Names of the only files that may get into the session; None: all.

        Returns:
            The credentials; without files also when they cannot be read.

        Raises:
            Conflict: The credentials belong to an earlier holder of this address (reason ``OWNER_CHANGED``).
        """
        ...


class PodRuntime(Protocol):
    """Runs session pods and commands in them.

    Every method raises ``ClusterUnavailable`` or ``ConnectionFailed`` when the cluster is not reached. The
    session has the pod's name and namespace.
    """

    async def connect(self) -> ConnectionInfo:
        """Connects, unless that has happened already, and returns the connection's description."""
        ...

    async def create(self, session: Session) -> str:
        """Creates the session's pod. A repetition for the same session is a success.

        Returns:
            The position (resourceVersion) from which ``wait_ready`` watches; empty when the pod was there
            already, so that it must be looked at first.

        Raises:
            SessionStartFailed: Kubernetes refuses the pod: for its pod security, as invalid, or by a rule
                of the cluster.
            TooManyRequests: The namespace's quota is used up.
        """
        ...

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        """Watches until the pod is ready, has failed or is gone, or the time is over.

        Args:
            session: The pod's session.
            timeout_seconds: Longest wait; 0: look once.
            since: The position that ``create`` returned; empty: look first, then watch.

        Returns:
            The pod's last known status.
        """
        ...

    async def status(self, session: Session) -> PodStatus:
        """The pod's status now."""
        ...

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """Deletes the pod and watches until it is gone or the time is over.

        Args:
            session: The pod's session.
            timeout_seconds: Longest wait; with 0, only a pod that was absent before counts as gone.

        Returns:
            Whether the pod is gone. An absent pod is gone.
        """
        ...

    def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        """Runs a command. The last event is an ``Exit``.

        Closing the generator (``aclose``) ends the command's process group.

        Raises:
            NotFound: The session has no running pod (reason ``POD_NOT_RUNNING``).
        """
        ...

    async def ping(self) -> None:
        """Returns when the Kubernetes API answers."""
        ...

    async def close(self) -> None:
        """Releases connections."""
        ...
