"""What the use cases of credentials need from the outside, as Protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.core.credentials.model import Credentials
from shared.core.person import Person
from shared.core.sessions.model import Session


class CredentialStore(Protocol):
    """Keeps each owner's credentials as one document. All changes are compare-and-set.

    Every method raises ``ClusterUnavailable`` or ``ConnectionFailed`` when the store is not
    reached. No error holds anything of the credentials, nor has it a cause that does.
    """

    async def get(self, owner: Person) -> Credentials:
        """The owner's credentials; without files and version when there are none.

        Raises:
            Conflict: They are another's who had this e-mail address before (reason ``OWNER_CHANGED``).
        """
        ...

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        """Puts all files in the place of those of ``credentials.version``; no files: removes them.

        They are this person's from now on.

        Raises:
            VersionConflict: There is another version.
            TooManyRequests: The namespace's quota is used up.
        """
        ...

    async def remove(self, email: str) -> Sequence[str]:
        """Removes what is kept under an e-mail address, whoever's it is. What is not there is a success.

        Returns:
            Names of the files that were there.

        Raises:
            VersionConflict: They were changed meanwhile.
        """
        ...

    async def rebind(self, email: str, subject: str) -> Sequence[str]:
        """Makes what is kept under an e-mail address another person's. What is his already stays as it is.

        Args:
            email: The address, lower case.
            subject: ``Person.subject`` of whose it is from now on.

        Returns:
            Names of the files that are passed on; none when there are none, or they are his already.

        Raises:
            VersionConflict: They were changed meanwhile.
        """
        ...


class CredentialRuntime(Protocol):
    """Brings credentials into running sessions."""

    async def copy(self, session: Session, credentials: Credentials, removed: Sequence[str]) -> None:
        """Writes the files into the session's ``~/.gam``, each as a whole.

        Args:
            session: Whose pod.
            credentials: The files.
            removed: Names of files to remove.

        Raises:
            NotFound: The session has no running pod (reason ``POD_NOT_RUNNING``).
            ClusterUnavailable: It is not known whether they were written.
            UnprocessableRequest: The pod could not write them (reason ``CREDENTIALS_NOT_COPIED``).
        """
        ...
