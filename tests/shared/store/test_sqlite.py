"""What only a file can do to us: other processes, bad paths, bad contents."""

# ruff: noqa: ASYNC240 -- the tests prepare small files; nothing else is on their loop

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import InternalError, StoreUnavailable
from shared.reasons import Reason
from tests.shared.store.samples import SetClock, a_record, a_session
from tests.support.needs import needs
from tests.support.patience import PATIENCE
from tests.support.stores import SqliteStore

COMPETITOR = """
import asyncio, sys
from pathlib import Path
from shared.errors import Conflict
from tests.support.stores import SqliteStore
from tests.shared.store.samples import SetClock, a_session

async def main():
    store = SqliteStore(Path(sys.argv[1]), clock=SetClock())
    won = 0
    for n in range(30):
        try:
            await store.create(a_session(id=f"s{n}"))
            won += 1
        except Conflict:
            pass
    print(won)
    await store.close()

asyncio.run(main())
"""

CRASHER = """
import asyncio, sys
from pathlib import Path
from tests.support.stores import SqliteStore
from tests.shared.store.samples import SetClock, a_session

async def main():
    store = SqliteStore(Path(sys.argv[1]), clock=SetClock())
    await store.create(a_session(id="s1"))
    raise SystemExit(7)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b" / "sessions.db"


@pytest.fixture
async def store(path: Path, clock: SetClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, clock=clock)
    yield store
    await store.close()


async def test_file_is_its_owners_only(store: SqliteStore, path: Path) -> None:
    await store.create(a_session())
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


async def test_readable_file_is_closed_to_others(path: Path, clock: SetClock) -> None:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o644)
    store = SqliteStore(path, clock=clock)
    await store.ping()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()


async def test_data_outlives_the_store(path: Path, clock: SetClock) -> None:
    first = SqliteStore(path, clock=clock)
    created = await first.create(a_session())
    begun = await first.begin_request(a_record())
    await first.close()
    second = SqliteStore(path, clock=clock)
    assert await second.get(created.id) == created
    assert await second.begin_request(a_record()) == begun
    await second.close()


async def test_of_processes_that_create_the_same_ids_one_wins_each(path: Path) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COMPETITOR, str(path), stdout=subprocess.PIPE, env=environment()
        )
        for _ in range(4)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(int(out) for out, _ in outputs) == 30


async def test_process_that_dies_without_close_ends_and_loses_nothing(path: Path, clock: SetClock) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", CRASHER, str(path)], timeout=PATIENCE, env=environment()
    )
    assert done.returncode == 7
    store = SqliteStore(path, clock=clock)
    assert await store.get("s1") is not None
    await store.close()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


async def unavailable(path: Path) -> StoreUnavailable:
    store = SqliteStore(path, clock=SetClock())
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await store.create(a_session())
    assert time.monotonic() - started < PATIENCE
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await store.close()
    assert str(path) not in caught.value.detail
    return caught.value


class TestUnavailable:
    async def test_path_that_is_a_folder(self, tmp_path: Path) -> None:
        assert "SQLITE_PATH" in (await unavailable(tmp_path)).detail

    async def test_path_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        await unavailable(tmp_path / "file" / "sessions.db")

    @needs("proc")
    @pytest.mark.parametrize("path", ["/proc/version", "/proc/none/sessions.db"])
    async def test_place_that_nobody_may_write(self, path: str) -> None:
        await unavailable(Path(path))

    @pytest.mark.parametrize(
        "content", [b"not a database, but long enough to be one" * 100, b"SQLite format 3\0" * 99]
    )
    async def test_file_that_is_no_database(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "sessions.db").write_bytes(content)
        await unavailable(tmp_path / "sessions.db")

    async def test_database_with_damaged_pages(self, store: SqliteStore, path: Path, clock: SetClock) -> None:
        await asyncio.gather(*(store.create(a_session()) for _ in range(50)))
        await store.close()
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        await unavailable(path)

    async def test_database_of_a_newer_release(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        assert (await unavailable(path)).reason == Reason.STORE_TOO_NEW

    async def test_database_that_somebody_keeps_locked(self, store: SqliteStore, path: Path) -> None:
        await store.ping()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked"):
                await store.create(a_session())
            assert time.monotonic() - started < PATIENCE
        finally:
            other.execute("ROLLBACK")
            other.close()
        await store.create(a_session())

    async def test_store_that_could_not_open_tries_again(self, path: Path, clock: SetClock) -> None:
        path.mkdir(parents=True)
        store = SqliteStore(path, clock=clock)
        with pytest.raises(StoreUnavailable):
            await store.ping()
        path.rmdir()
        await store.ping()
        await store.close()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": 1}', "nonsense"])
async def test_document_that_is_no_session_is_our_fault(store: SqliteStore, path: Path, content: str) -> None:
    created = await store.create(a_session())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sessions SET document = ?", (content,))
    connection.close()
    with pytest.raises(InternalError) as caught:
        await store.get(created.id)
    assert caught.value.reason == Reason.DOCUMENT_INVALID
