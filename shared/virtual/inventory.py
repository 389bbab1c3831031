"""The inventory of the virtual cluster, in which there is nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from shared.core.cleanup.ports import Belonging, KeptCredentials
from shared.core.sessions.model import Session


class EmptyInventory:
    """An ``Inventory`` of nothing."""

    async def pods(self) -> AsyncGenerator[Belonging, None]:
        """See ``Inventory``."""
        nothing: tuple[Belonging, ...] = ()
        for belonging in nothing:
            yield belonging

    async def secrets(self) -> AsyncGenerator[Belonging, None]:
        """See ``Inventory``."""
        nothing: tuple[Belonging, ...] = ()
        for belonging in nothing:
            yield belonging

    async def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        """See ``Inventory``."""
        nothing: tuple[KeptCredentials, ...] = ()
        for kept in nothing:
            yield kept

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        """See ``Inventory``."""
        return False

    async def delete(self, belonging: Belonging) -> None:
        """See ``Inventory``."""

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        """See ``Inventory``: all pods are gone, because there never were any."""
        return {session.id for session in sessions}
