"""What cleanup needs from the outside, as Protocols. Adapters implement them."""

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
        live: There is one now.
        at: When the last one was made or ended, whichever is later; None when none is known.
    """

    live: bool
    at: datetime | None


class DueSessionStore(Protocol):
    """Finds sessions by indexes: what is found costs, not what exists. Errors as in ``SessionStore``."""

    async def due_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None, unreadable: set[str] | None = None
    ) -> Sequence[Session]:
        """Sessions whose ``check_at`` has come, by (check_at, id), those behind ``after``.

        Args:
            now: The time.
            limit: Most of them.
            after: Where the page before ended.
            unreadable: Takes the ids of sessions that are left out as their documents cannot be read.
        """
        ...

    async def forgettable_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[Session]:
        """Sessions whose ``purge_at`` has come, by (purge_at, id), those behind ``after``."""
        ...

    async def count_on_cluster(self, first: str, end: str) -> int:
        """How many sessions of ids from ``first`` to before ``end`` (empty: no end) are on the cluster."""
        ...

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """Those sessions themselves, by id."""
        ...

    async def owner_use(self, owner: str) -> OwnerUse:
        """How an owner's sessions were used, also those that are forgotten.

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
        """Idempotency records whose ``expires_at`` has come, by (expires_at, key), those behind ``after``."""
        ...

    async def remove_request(self, record: RequestRecord) -> None:
        """Removes the stored record if it still has ``record.version``."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CleanupStores:
    """What cleanup reads and removes."""

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
        uid: Kubernetes' own id of the object, which a later one of the same name does not have.
        leaving: It is being deleted.
        status: What a pod is now; None for a secret.
    """

    kind: str
    name: str
    uid: str
    session_id: str
    created_at: datetime
    leaving: bool = False
    status: PodStatus | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptCredentials:
    """An owner's credentials; never what is in them.

    Attributes:
        name: Of the Secret.
        uid: Kubernetes' own id of it.
        version: Kubernetes' own of its content.
        owner: ``names.owner_hash`` of the owner.
        changed_at: When a file was last put, or they were passed on; None when that is not known.
    """

    name: str
    uid: str
    version: str
    owner: str
    changed_at: datetime | None


class Inventory(Protocol):
    """What there is in the cluster, whatever the store knows of it. Errors as in ``PodRuntime``."""

    def pods(self) -> AsyncGenerator[Belonging, None]:
        """All session pods, in pages."""
        ...

    def secrets(self) -> AsyncGenerator[Belonging, None]:
        """All secrets that belong to a session; never what is in them."""
        ...

    def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        """All owners' credentials."""
        ...

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        """Deletes them if they are still these very ones.

        Returns:
            Whether they were.
        """
        ...

    async def delete(self, belonging: Belonging) -> None:
        """Has the object deleted if it is still this very one. An absent one is a success."""
        ...

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        """Waits until the pods of these sessions, which are being deleted, are gone.

        Returns:
            Ids of those whose pods were gone in time.
        """
        ...


class Activity(Protocol):
    """Looks whether something goes on in a session."""

    async def processes(self, session: Session) -> int:
        """How many processes of the user's run in the pod: of commands, transfers, terminals and jobs,
        and what they left behind.

        Raises:
            NotFound: The session has no running pod (reason ``POD_NOT_RUNNING``).
            ClusterUnavailable: The pod cannot be asked.
        """
        ...
