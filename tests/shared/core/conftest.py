from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.shared.store.samples import SetClock
from tests.support.stores import SqliteStore


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def sqlite(tmp_path: Path, clock: SetClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "sessions.db", clock=clock)
    yield store
    await store.close()
