"""The use cases of credentials: put, list, delete, and copy into a running session.

An owner's credentials are one document that is replaced as a whole: read, change, compare
and set. Every use case may be repeated: the repetition has the same result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from shared.core.audit.auditor import Auditor
from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.clusters.ports import Clusters
from shared.core.credentials.model import CredentialFile, Credentials, checked_file, require_name
from shared.core.credentials.ports import CredentialRuntime, CredentialStore
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session
from shared.core.sessions.ports import SessionStore

TRIES = 32
"""Maximum number of attempts: of many writers at once, one succeeds in each round."""

BUSY = "the credentials are"

_Change = Callable[[Mapping[str, CredentialFile]], Mapping[str, CredentialFile]]


@dataclasses.dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did in a session: names of the files that it copied and removed."""

    copied: Sequence[str]
    removed: Sequence[str]


class CredentialService:
    """Everything that callers do to their credentials.

    Args:
        store: Keeps the credentials.
        runtimes: Each cluster's adapter that copies credentials into pods.
        sessions: Keeps the sessions.
        access: Finds a caller's sessions.
        audit: Records every change.
        clock: The time of day.
    """

    def __init__(
        self,
        *,
        store: CredentialStore,
        runtimes: Clusters[CredentialRuntime],
        sessions: SessionStore,
        access: SessionAccess,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._runtimes = runtimes
        self._sessions = sessions
        self._access = access
        self._audit = audit
        self._clock = clock

    async def get(self, owner: Person) -> Credentials:
        """The owner's credentials.

        Raises:
            ClusterUnavailable: The store is not reached.
            Conflict: They belong to an earlier holder of this e-mail address (reason ``OWNER_CHANGED``).
        """
        return await self._bound(owner)

    async def _bound(self, owner: Person) -> Credentials:
        """Returns the credentials. If stored without a subject, they are bound to this person first."""

        async def bind(found: Credentials) -> Credentials:
            if found.subject or not found.version:
                return found
            await self._store.replace(owner, found)
            await self._audit.record(None, owner, "owner.bind", "done", subject=owner.subject)
            return await self._store.get(owner)

        return await changed(lambda: self._store.get(owner), bind, tries=TRIES, busy=BUSY)

    async def put(self, owner: Person, name: str, data: bytes) -> CredentialFile:
        """Stores a file; it replaces the stored file of this name.

        Raises:
            NotFound: GAM has no such file.
            InvalidRequest: The file does not have the fields that GAM expects.
            VersionConflict: Too many others change the credentials.
            TooManyRequests: The namespace's quota is used up.
        """
        file = checked_file(require_name(name), data, self._clock.now())
        await self._change(owner, "credentials.put", name, lambda files: {**files, name: file})
        return file

    async def delete(self, owner: Person, name: str | None) -> Credentials:
        """Removes a file (None: all files). An absent file is a success: a repetition changes nothing.

        Returns:
            The credentials that are left.

        Raises:
            NotFound: GAM has no such file.
            VersionConflict: Too many others change the credentials.
        """
        gone = None if name is None else require_name(name)

        def without(files: Mapping[str, CredentialFile]) -> Mapping[str, CredentialFile]:
            return {} if gone is None else {key: file for key, file in files.items() if key != gone}

        return await self._change(owner, "credentials.delete", gone or "all", without)

    async def refresh(self, owner: Person, session_id: str) -> Refreshed:
        """Copies the owner's credential files into a running session, as far as they were chosen for it.

        Files that the session got earlier and that the owner has no longer are removed from the session;
        files that GAM created in the session itself stay.

        Raises:
            NotFound: The session is absent, another owner's, or without a running pod.
            Conflict: The session is not running.
            ClusterUnavailable: It is not known whether the files were copied.
            UnprocessableRequest: The pod could not write the files.
            TooManyRequests: The owner has too many streams (reason ``TOO_MANY_STREAMS``).
        """
        session = await self._access.running(owner, session_id)
        async with self._audit.act(session, owner, "credentials.refresh") as act:
            act.outcome = "copied"
            credentials = (await self._bound(owner)).only(session.credentials_choice)
            copied = credentials.names
            act.detail["files"] = " ".join(copied)
            removed = tuple(name for name in session.credentials if name not in copied)
            runtime = await self._runtimes.of(session)
            # Noted before the copy: if the copy breaks off, a later refresh can remove what it has written.
            both = tuple(sorted({*session.credentials, *copied}))
            with self._access.streams.taken(owner.email):
                session = await self._note(session, both, credentials.secret)
                await runtime.copy(session, credentials, removed)
                await self._note(session, copied, credentials.secret)
        return Refreshed(copied, removed)

    async def _change(self, owner: Person, action: str, name: str, change: _Change) -> Credentials:
        async with self._audit.act(None, owner, action, {"file": name}):
            return await self._changed(owner, change)

    async def _changed(self, owner: Person, change: _Change) -> Credentials:
        async def replace(current: Credentials) -> Credentials:
            new = Credentials(change(current.files), current.version)
            if new.files or new.version:
                await self._store.replace(owner, new)
            return new

        return await changed(lambda: self._bound(owner), replace, tries=TRIES, busy=BUSY)

    async def _note(self, session: Session, names: tuple[str, ...], secret: str) -> Session:
        """Stores in the session the names of its credential files and of the Secret that holds them."""

        async def note(current: Session | None) -> Session:
            if current is None:
                return session
            secret_name = secret or current.credentials_secret
            noted = dataclasses.replace(current, credentials=names, credentials_secret=secret_name)
            return current if noted == current else await self._sessions.update(noted)

        return await changed(
            lambda: self._sessions.get(session.id),
            note,
            first=session,
            tries=TRIES,
            busy="the session is",
            session=session.id,
        )
