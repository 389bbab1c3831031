"""What the use cases need from the outside, as Protocols. Adapters implement them."""

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """An idempotency record: one Idempotency-Key of one owner for one operation.

    Attributes:
        key: Document id; derived from owner, operation and the caller's key.
        fingerprint: Hash of the request's body; another one under the same key is refused.
        resource_id: What the first request creates. A request that takes over after a
            crash goes on with this id, so nothing is created twice.
        lease_until: Until then the first request counts as still running.
        response: JSON text of the first answer, None while it runs.
        status: HTTP status of that answer.
        expires_at: After this the record counts as absent.
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

    Every method raises ``StoreUnavailable`` when the store does not answer. A document that cannot be
    read is an ``InternalError`` for who asks for it (reason ``DOCUMENT_INVALID``); lists leave it out,
    and the log names it.
    """

    async def create(self, session: Session, *, limit: int | None = None) -> Session:
        """Stores a new session.

        Args:
            session: The session, which is live.
            limit: Its owner may have so many live sessions, this one included; None: any number.
                That is exact, whoever creates at the same time; a session counts until the very
                change that makes it something else than live.

        Returns:
            The session with its version.

        Raises:
            Conflict: A session with this id exists (reason ``SESSION_EXISTS``).
            TooManyRequests: The owner has as many (reason ``TOO_MANY_SESSIONS``).
        """
        ...

    async def get(self, session_id: str) -> Session | None:
        """The session, or None."""
        ...

    async def update(self, session: Session) -> Session:
        """Replaces the stored session if it still has ``session.version``.

        Returns:
            The session with its new version.

        Raises:
            VersionConflict: It has another version, or is gone.
        """
        ...

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """The owner's sessions (None: everybody's), newest first, at most ``limit``, behind ``after``.

        As in every list they come without ``env``: whoever changes one gets it before.
        """
        ...


class RequestStore(Protocol):
    """Keeps idempotency records. All changes are compare-and-set; errors as in ``SessionStore``."""

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """Stores the record if there is none under its key (an expired one counts as none).

        Returns:
            The record that is there now, with its version. The request is the first one
            exactly when that is its own, i.e. has its ``resource_id``.
        """
        ...

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """Replaces the stored record if it still has ``record.version``.

        Raises:
            VersionConflict: It has another version, or is gone.
        """
        ...


class SessionJobs(Protocol):
    """Hears of a session's end, for the jobs that run in it."""

    async def note_ends(self, session: Session) -> None:
        """Asks the pod, within a few seconds, how jobs have ended. Raises nothing."""
        ...

    async def conclude(self, session: Session) -> None:
        """Notes of jobs whose end nobody knows that they are lost. Asks no pod."""
        ...


class SessionCredentials(Protocol):
    """Knows which credential files a new session gets."""

    async def names(self, owner: Person, choice: tuple[str, ...] | None) -> tuple[str, ...]:
        """The files that the pod mounts: of those that there are, the chosen ones. None when nobody can look.

        Args:
            owner: Whose session it is.
            choice: The only ones that may get into it; None: all.

        Raises:
            Conflict: They belong to somebody else who had this address (reason ``OWNER_CHANGED``).
        """
        ...


class PodRuntime(Protocol):
    """Runs session pods and commands in them.

    Every method raises ``ClusterUnavailable`` or ``ConnectionFailed`` when the cluster
    is not reached. The pod's name and namespace are the session's.
    """

    async def connect(self) -> ConnectionInfo:
        """Connects, if that has not happened yet, and says how."""
        ...

    async def create(self, session: Session) -> str:
        """Creates the session's pod. A repetition for the same session is a success.

        Returns:
            The position (resourceVersion) from which ``wait_ready`` watches.

        Raises:
            SessionStartFailed: Kubernetes refuses the pod (pod security, invalid).
            TooManyRequests: The namespace's quota is used up.
        """
        ...

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        """Watches until the pod is ready, has failed or is gone, or the time is over.

        Args:
            session: Whose pod.
            timeout_seconds: Longest wait; 0 looks once.
            since: What ``create`` returned; empty: look first, then watch.
        """
        ...

    async def status(self, session: Session) -> PodStatus:
        """What the pod is now."""
        ...

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """Deletes the pod and watches until it is gone or the time is over.

        Args:
            session: Whose pod.
            timeout_seconds: Longest wait; with 0 only an absent pod is known to be gone.

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
