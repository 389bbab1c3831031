"""Credentials for developing clients without a cluster: kept in memory, copied nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.credentials.model import Credentials
from shared.core.person import Person, require_same
from shared.core.sessions.model import Session
from shared.errors import VersionConflict


class MemoryCredentials:
    """A ``CredentialStore`` that forgets everything with its process."""

    def __init__(self) -> None:
        self._kept: dict[str, Credentials] = {}
        self._writes = 0

    async def get(self, owner: Person) -> Credentials:
        """See ``CredentialStore``."""
        found = self._kept.get(owner.email, Credentials({}))
        require_same(found.subject, owner)
        return found

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        """See ``CredentialStore``."""
        if (await self.get(owner)).version != credentials.version:
            raise VersionConflict("the credentials were changed meanwhile")
        self._writes += 1
        version = str(self._writes) if credentials.files else ""
        self._kept[owner.email] = Credentials(credentials.files, version, owner.subject if version else "")

    async def remove(self, email: str) -> Sequence[str]:
        """See ``CredentialStore``."""
        return self._kept.pop(email, Credentials({})).names

    async def rebind(self, email: str, subject: str) -> Sequence[str]:
        """See ``CredentialStore``."""
        found = self._kept.get(email, Credentials({}))
        if not found.version or found.subject == subject:
            return ()
        self._writes += 1
        self._kept[email] = Credentials(found.files, str(self._writes), subject)
        return found.names


class VirtualCredentials:
    """A ``CredentialRuntime`` without pods."""

    async def copy(self, session: Session, credentials: Credentials, removed: Sequence[str]) -> None:
        """See ``CredentialRuntime``: there is no pod to copy to."""
