"""The ports of the use cases of credentials, as Protocols. Adapters implement them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.core.credentials.model import Credentials
from shared.core.person import Person
from shared.core.sessions.model import Session


class CredentialStore(Protocol):
    """Keeps each owner's credentials as one document. All changes are compare-and-set.

    Every method raises ``ClusterUnavailable`` or ``ConnectionFailed`` when the store is not
    reached. No error contains a part of the credentials, and no error has a cause that does.
    """

    async def get(self, owner: Person) -> Credentials:
        """The owner's credentials; without files and version when nothing is stored.

        Raises:
            Conflict: They belong to an earlier holder of this e-mail address (reason ``OWNER_CHANGED``).
        """
        ...

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        """Replaces the stored files by these, if the stored version is still ``credentials.version``.

        Without files, the document is removed. The credentials belong to this person from now on.

        Raises:
            VersionConflict: The stored version is another one.
            TooManyRequests: The namespace's quota is used up.
        """
        ...

    async def remove(self, email: str) -> Sequence[str]:
        """Removes the credentials of an e-mail address, regardless of their owner. Absent ones are a success.

        Returns:
            Names of the removed files.

        Raises:
            VersionConflict: The credentials were changed meanwhile.
        """
        ...

    async def rebind(self, email: str, subject: str) -> Sequence[str]:
        """Makes a person the owner of the credentials of an e-mail address.

        Args:
            email: The address, lower case.
            subject: ``Person.subject`` of the new owner.

        Returns:
            Names of the files that were passed on; empty when there are none or the person owns them already.

        Raises:
            VersionConflict: The credentials were changed meanwhile.
        """
        ...


class CredentialRuntime(Protocol):
    """Brings credentials into running sessions."""

    async def copy(self, session: Session, credentials: Credentials, removed: Sequence[str]) -> None:
        """Writes the files into the session's ``~/.gam``; each file appears as a whole.

        Args:
            session: The pod's session.
            credentials: The files.
            removed: Names of files to remove.

        Raises:
            NotFound: The session has no running pod (reason ``POD_NOT_RUNNING``).
            ClusterUnavailable: It is not known whether the files were written.
            UnprocessableRequest: The pod could not write them (reason ``CREDENTIALS_NOT_COPIED``).
        """
        ...
