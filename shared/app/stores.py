"""The repositories of one instance, on the engine of its database."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.cleanup.ports import CleanupStores
    from shared.core.clock import Clock
    from shared.store.audit import AuditRecords
    from shared.store.connections import Connections
    from shared.store.engine import Engine
    from shared.store.installation import StoredInstallation
    from shared.store.jobs import Jobs
    from shared.store.requests import Requests
    from shared.store.sessions import Sessions


class Stores:
    """All repositories of one database, each built on first use.

    Args:
        engine: The database.
        clock: The time of day.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @functools.cached_property
    def sessions(self) -> Sessions:
        """Sessions."""
        from shared.store.sessions import Sessions

        return Sessions(self._engine)

    @functools.cached_property
    def jobs(self) -> Jobs:
        """Jobs."""
        from shared.store.jobs import Jobs

        return Jobs(self._engine)

    @functools.cached_property
    def requests(self) -> Requests:
        """Idempotency records."""
        from shared.store.requests import Requests

        return Requests(self._engine, self._clock)

    @functools.cached_property
    def audit(self) -> AuditRecords:
        """Audit records."""
        from shared.store.audit import AuditRecords

        return AuditRecords(self._engine)

    @functools.cached_property
    def connections(self) -> Connections:
        """Connections, with the clusters that they lead to."""
        from shared.store.connections import Connections

        return Connections(self._engine)

    @functools.cached_property
    def installation(self) -> StoredInstallation:
        """Which installation this is."""
        from shared.store.installation import StoredInstallation

        return StoredInstallation(self._engine)

    @functools.cached_property
    def cleanup(self) -> CleanupStores:
        """The repositories that cleanup needs."""
        from shared.core.cleanup.ports import CleanupStores

        return CleanupStores(
            sessions=self.sessions,
            due=self.sessions,
            jobs=self.jobs,
            requests=self.requests,
            audit=self.audit,
        )

    async def ping(self) -> None:
        """Returns when the database answers a read."""
        await self.sessions.ping()

    async def close(self) -> None:
        """Releases the connections. The object is not used afterwards."""
        await self._engine.close()
