from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.shared.store.samples import SetClock
from tests.support.firestore_fixtures import firestore_host, firestore_project
from tests.support.needs import needs
from tests.support.stores import FirestoreStore, SqliteStore, Store

__all__ = ["clock", "firestore_host", "firestore_project", "new_store", "store"]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=needs("emulator"))])
async def new_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock
) -> AsyncIterator[Callable[[], Store]]:
    """Opens one more store on the same data, of each kind in turn."""
    if request.param == "firestore":
        host = request.getfixturevalue("firestore_host")
        project = request.getfixturevalue("firestore_project")

        def make() -> Store:
            return FirestoreStore(project=project, emulator_host=host, clock=clock)
    else:

        def make() -> Store:
            return SqliteStore(tmp_path / "new" / "sessions.db", clock=clock)

    opened: list[Store] = []

    def open_store() -> Store:
        opened.append(make())
        return opened[-1]

    yield open_store
    for one in opened:
        await one.close()


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()
