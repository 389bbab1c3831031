"""The choice of the credential files that a new session gets."""

from __future__ import annotations

import logging

from shared.core.credentials.ports import CredentialStore
from shared.core.person import Person
from shared.core.sessions.ports import MountedCredentials
from shared.errors import Conflict, GamguiError

log = logging.getLogger(__name__)


class NewSessionCredentials:
    """A ``SessionCredentials`` that reads the owner's stored credentials.

    Args:
        store: Keeps the credentials.
    """

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    async def mounted(self, owner: Person, choice: tuple[str, ...] | None) -> MountedCredentials:
        """See ``SessionCredentials``."""
        try:
            found = (await self._store.get(owner)).only(choice)
        except Conflict:
            raise  # the owner must learn why the session gets none
        except GamguiError:
            log.warning("a new session's credentials cannot be named", exc_info=True)
            return MountedCredentials()
        return MountedCredentials(found.names, found.secret if found.files else "")
