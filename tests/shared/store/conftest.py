from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.core.sessions.ports import SessionStore
from shared.store.firestore.store import FirestoreStore
from shared.store.sqlite.store import SqliteStore
from tests.shared.store.samples import SetClock
from tests.support.firestore_fixtures import firestore_host, firestore_project
from tests.support.needs import needs

__all__ = ["clock", "firestore_host", "firestore_project", "new_store", "store"]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=needs("emulator"))])
async def new_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock
) -> AsyncIterator[Callable[[], SessionStore]]:
    """Opens one more store on the same data, of each kind in turn."""
    if request.param == "firestore":
        host = request.getfixturevalue("firestore_host")
        project = request.getfixturevalue("firestore_project")

        def make() -> SessionStore:
            return FirestoreStore(project=project, emulator_host=host, clock=clock)
    else:

        def make() -> SessionStore:
            return SqliteStore(tmp_path / "new" / "sessions.db", clock=clock)

    opened: list[SessionStore] = []

    def open_store() -> SessionStore:
        opened.append(make())
        return opened[-1]

    yield open_store
    for one in opened:
        await one.close()


@pytest.fixture
def store(new_store: Callable[[], SessionStore]) -> SessionStore:
    return new_store()
