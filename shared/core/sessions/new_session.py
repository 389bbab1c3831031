"""What a caller asks for when he creates a session, and which of his credentials it gets."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping

from shared.core.credentials.ports import CredentialStore
from shared.core.person import Person
from shared.core.sessions.model import Resources
from shared.errors import Conflict, GamguiError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What a caller asks for, checked and with the defaults filled in.

    Attributes:
        wait_seconds: How long create waits for the pod to become ready.
        env: Variables of its commands and jobs.
        credentials: Names of the credential files that it may have; None: all that there are.
    """

    name: str
    image: str
    resources: Resources
    labels: Mapping[str, str]
    env: Mapping[str, str] = dataclasses.field(repr=False)
    ttl_seconds: int
    idle_seconds: int
    wait_seconds: float
    credentials: tuple[str, ...] | None = None


async def credential_names(
    store: CredentialStore, owner: Person, choice: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The files that the pod of a new session mounts.

    Args:
        store: Keeps the owner's credentials.
        owner: Who creates the session.
        choice: The only files that he wants in it; None: all.

    Returns:
        Their names; none when the store cannot be asked.

    Raises:
        Conflict: They belong to somebody else who had this address (reason ``OWNER_CHANGED``).
    """
    try:
        return (await store.get(owner)).only(choice).names
    except Conflict:
        raise  # its owner is to know why he has none
    except GamguiError:
        log.warning("a new session's credentials cannot be named", exc_info=True)
        return ()
