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


class Store:
    """Has the methods of all repositories, whose names differ, those of audit records in
    ``audit``, and of connections in ``connections``.

    Args:
        engine: The database.
        clock: Says which idempotency records are expired.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.audit = AuditRecords(engine)
        self.connections = Connections(engine)
        self._repositories = (Sessions(engine), Jobs(engine), Requests(engine, clock))

    def __getattr__(self, name: str) -> Any:
        for repository in self._repositories:
            if hasattr(repository, name):
                return getattr(repository, name)
        raise AttributeError(name)

    async def close(self) -> None:
        await self.engine.close()


class SqliteStore(Store):
    """In a file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        super().__init__(SqliteEngine(path), clock)


class FirestoreStore(Store):
    """In Firestore, or its emulator."""

    def __init__(self, *, clock: Clock, **target: str) -> None:
        super().__init__(FirestoreEngine(**target), clock)  # type: ignore[arg-type]


def cleaning(known: dict[str, Any], job_store: Any = None) -> dict[str, Any]:
    """The arguments of ``wired``, as ``CleanupService`` takes them."""
    store = known["store"]
    rest = {name: value for name, value in known.items() if name != "store"}
    return {**rest, "stores": cleanup_stores(store, job_store or store)}


def cleanup_stores(store: Any, jobs: Any = None) -> CleanupStores:
    """What cleanup reads and removes, all of it in one store."""
    return CleanupStores(sessions=store, due=store, jobs=jobs or store, requests=store, audit=store.audit)
