"""All repositories of one database as one object, as tests fill it and look into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.core.cleanup.ports import CleanupStores
from shared.core.clock import Clock
from shared.store.audit import AuditRecords
from shared.store.connections import Connections
from shared.store.engine import Engine
from shared.store.firestore.engine import FirestoreEngine
from shared.store.jobs import Jobs
from shared.store.requests import Requests
from shared.store.sessions import Sessions
from shared.store.sqlite.engine import SqliteEngine


class Store(Sessions, Jobs, Requests):
    """Is these repositories, whose methods' names differ; audit records are in ``audit``, and
    connections in ``connections``.

    Args:
        engine: The database.
        clock: Says which idempotency records are expired.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        Sessions.__init__(self, engine)
        Jobs.__init__(self, engine)
        Requests.__init__(self, engine, clock)
        self.engine = engine
        self.audit = AuditRecords(engine)
        self.connections = Connections(engine)

    async def close(self) -> None:
        await self.engine.close()


class SqliteStore(Store):
    """In a file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        super().__init__(SqliteEngine(path), clock)


class FirestoreStore(Store):
    """In Firestore, or its emulator."""

    def __init__(
        self, *, project: str, database: str = "(default)", emulator_host: str = "", clock: Clock
    ) -> None:
        engine = FirestoreEngine(project=project, database=database, emulator_host=emulator_host)
        super().__init__(engine, clock)


def cleaning(known: dict[str, Any], job_store: Any = None) -> dict[str, Any]:
    """The arguments of ``wired``, as ``CleanupService`` takes them."""
    store = known["store"]
    rest = {name: value for name, value in known.items() if name != "store"}
    return {**rest, "stores": cleanup_stores(store, job_store or store)}


def cleanup_stores(store: Any, jobs: Any = None) -> CleanupStores:
    """What cleanup reads and removes, all of it in one store."""
    return CleanupStores(sessions=store, due=store, jobs=jobs or store, requests=store, audit=store.audit)
