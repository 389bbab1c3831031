"""The ports of cleanup, as Protocols. Adapters implement them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from shared.core.audit.ports import AuditStore
from shared.core.jobs.ports import JobStore
from shared.core.paging import Cursor
from shared.core.sessions.model import Session
from shared.core.sessions.pod import PodStatus
from shared.core.sessions.ports import RequestRecord, SessionStore


@dataclasses.dataclass(frozen=True, slots=True)
class OwnerUse:
    """When an owner had sessions.

    Attributes:
        live: The owner has a live session now.
        at: When his last session was created or ended, whichever is later; None when no session is known.
    """

    live: bool
    at: datetime | None


class DueSessionStore(Protocol):
    """Finds sessions by indexes, so that only found sessions cost reads. Errors as in ``SessionStore``."""

    async def due_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None, unreadable: set[str] | None = None
    ) -> Sequence[Session]:
        """Sessions whose ``check_at`` has come, in the order of (check_at, id), those after ``after``.

        Args:
            now: The current time.
            limit: Maximum number of sessions.
            after: Where the previous page ended; None: the first page.
            unreadable: Gets the ids of sessions that are left out because their documents cannot be read.
        """
        ...

    async def forgettable_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[Session]:
        """Sessions whose ``purge_at`` has come, in the order of (purge_at, id), those after ``after``."""
        ...

    async def count_on_cluster(self, first: str, end: str) -> int:
        """Number of sessions on the cluster with ids from ``first`` to before ``end`` (empty: no end)."""
        ...

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """The sessions that ``count_on_cluster`` counts, in the order of their ids, at most ``limit``."""
        ...

    async def owner_use(self, owner: str) -> OwnerUse:
        """When an owner had sessions; sessions that are forgotten count too.

        Args:
            owner: ``names.owner_hash`` of the owner.
        """
        ...

    async def remove_session(self, session: Session) -> None:
        """Removes the stored session if it still has ``session.version``."""
        ...


class ExpiredRequestStore(Protocol):
    """Finds idempotency records by an index, and removes them. Errors as in ``SessionStore``."""

    async def expired_requests(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[RequestRecord]:
        """Idempotency records whose ``expires_at`` has come, by (expires_at, key), those after ``after``."""
        ...

    async def remove_request(self, record: RequestRecord) -> None:
        """Removes the stored record if it still has ``record.version``."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CleanupStores:
    """The stores that cleanup reads and from which it removes."""

    sessions: SessionStore
    due: DueSessionStore
    jobs: JobStore
    requests: ExpiredRequestStore
    audit: AuditStore


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """A pod or secret in the cluster that says, by its labels, which session it belongs to.

    Attributes:
        kind: ``pod`` or ``secret``.
        uid: Kubernetes' id of the object; a later object of the same name has another uid.
        leaving: The object is being deleted.
        installation: Id of the installation that made the object; empty: an earlier release made it.
        status: The pod's status now; None for a secret.
    """

    kind: str
    name: str
    uid: str
    session_id: str
    created_at: datetime
    leaving: bool = False
    installation: str = ""
    status: PodStatus | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptCredentials:
    """The Secret with an owner's credentials; never its content.

    Attributes:
        name: Name of the Secret.
        uid: Kubernetes' id of the Secret.
        version: Kubernetes' version of the Secret's content (resourceVersion).
        owner: ``names.owner_hash`` of the owner.
        changed_at: When a file was last put, or the credentials got another owner; None when not known.
        installation: As in ``Belonging``.
    """

    name: str
    uid: str
    version: str
    owner: str
    changed_at: datetime | None
    installation: str = ""


class Inventory(Protocol):
    """What exists in the cluster, independent of what the store knows. Errors as in ``PodRuntime``."""

    def pods(self) -> AsyncGenerator[Belonging, None]:
        """All session pods; they are read in pages."""
        ...

    def secrets(self) -> AsyncGenerator[Belonging, None]:
        """All secrets that belong to a session; never their content."""
        ...

    def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        """All owners' credentials."""
        ...

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        """Deletes the credentials if their uid and version are still the same.

        Returns:
            Whether they were deleted.
        """
        ...

    async def delete(self, belonging: Belonging) -> None:
        """Requests the object's deletion if its uid is still the same. An absent object is a success."""
        ...

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        """Waits until the pods of these sessions, which are being deleted, are gone.

        Args:
            sessions: The sessions.
            timeout_seconds: Longest wait.

        Returns:
            Ids of the sessions whose pods were gone in time.
        """
        ...


class Activity(Protocol):
    """Looks whether processes run in a session's pod."""

    async def processes(self, session: Session) -> int:
        """Number of the user's processes in the pod: of commands, transfers, terminals and jobs, and
        processes that these left behind.

        Raises:
            NotFound: The session has no running pod (reason ``POD_NOT_RUNNING``).
            ClusterUnavailable: The pod cannot be asked.
        """
        ...
