"""Files of earlier releases: what they hold is found, by every index, and their limits still count."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.core.jobs.model import JobState
from shared.core.sessions.model import SessionState
from shared.core.sessions.names import owner_hash
from shared.errors import TooManyRequests
from shared.store.sqlite import upgrade
from tests.shared.store.samples import NOON, SetClock, a_record, a_session
from tests.support.stores import SqliteStore

S = SessionState
SIXTH = Path(__file__).parent / "earlier" / "release-6.sql"
"""What the sixth release wrote: ``sqlite3 FILE .dump`` of a file of its own."""

ALICE, BOB = "alice@example.com", "bob@example.com"
LATE = NOON + timedelta(days=99)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


def of_release(release: int, path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """A file as that release made it."""
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        for made in upgrade._EARLIER[:release]:
            for statement in made:
                file.execute(statement)
        for sql, values in statements:
            file.execute(sql, values)
        file.execute(f"PRAGMA user_version = {release}")


async def test_all_that_the_sixth_release_wrote_is_there(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(SIXTH.read_text())
    store = SqliteStore(path, clock=SetClock())
    listed = await store.list_sessions(ALICE, state=None, limit=9, after=None)
    assert [(one.id, one.state) for one in listed] == [
        ("s1", S.PENDING),
        ("s2", S.RUNNING),
        ("s3", S.DELETED),
    ]
    assert [one.id for one in await store.list_sessions(None, state=S.FAILED, limit=9, after=None)] == ["s4"]
    assert {one.id for one in await store.due_sessions(LATE, limit=9, after=None)} == {"s1", "s2", "s4", "s5"}
    assert [one.id for one in await store.forgettable_sessions(LATE, limit=9)] == ["s3"]
    assert [one.id for one in await store.sessions_on_cluster("s", "", limit=9)] == ["s1", "s2"]
    running = await store.get("s2")
    assert running is not None and running.env == {"TOKEN": "größe"}
    assert running.credentials_choice == ("oauth2.txt",)
    jobs = await store.list_jobs("s2", limit=9, after=None)
    assert [(job.id, job.state) for job in jobs] == [("j2", JobState.QUEUED), ("j1", JobState.EXITED)]
    begun = await store.begin_request(a_record(key="k1"))
    assert (begun.resource_id, begun.response, begun.status) == ("r1", '{"größe": 1}', 201)
    assert [one.key for one in await store.expired_requests(LATE, limit=9)] == ["k1"]
    records = await store.audit.list_records("s2", limit=9, after=None)
    assert [(one.id, one.outcome) for one in records] == [("a2", "started"), ("a1", "exited")]
    assert await store.audit.digest_key(b"n" * 32) == b"k" * 32
    await store.close()


async def test_who_was_counted_counts_until_he_ends(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(SIXTH.read_text())
    store = SqliteStore(path, clock=SetClock())
    for owner, live in (ALICE, 2), (BOB, 0):
        use = await store.owner_use(owner_hash(owner))
        assert (use.live, use.at) == (live > 0, NOON + timedelta(seconds=10))
        with pytest.raises(TooManyRequests):
            await store.create(a_session(owner=owner), limit=live)
        await store.create(a_session(owner=owner), limit=live + 1)
    session = await store.get("s2")
    assert session is not None
    await store.update(session.to(S.DELETING, NOON + timedelta(seconds=30)))
    await store.create(a_session(), limit=3)
    assert (await store.owner_use(owner_hash(ALICE))).at == NOON + timedelta(seconds=30)
    await store.close()


async def test_everything_can_still_be_changed_and_removed(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(SIXTH.read_text())
    store = SqliteStore(path, clock=SetClock())
    deleted = await store.get("s3")
    job, other = await store.get_job("j1"), await store.get_job("j2")
    assert deleted is not None
    assert job is not None
    assert other is not None
    assert await store.update_job(job) == await store.get_job("j1")
    await store.remove_job(other)
    await store.update_request(await store.begin_request(a_record(key="k1")))
    await store.remove_session(deleted)
    assert await store.audit.forget("s2", limit=1) == 1
    assert [one.id for one in await store.list_jobs("s2", limit=9, after=None)] == ["j1"]
    assert await store.get("s3") is None
    await store.close()


@pytest.mark.parametrize("release", range(1, len(upgrade._EARLIER) + 1))
async def test_a_session_of_any_release_is_due(path: Path, release: int) -> None:
    """The oldest documents say nothing of what cleanup goes by."""
    session = a_session(id="s1", state=S.RUNNING)
    document = {
        "id": "s1",
        "owner": ALICE,
        "name": "old",
        "state": "running",
        "image": "gam:7",
        "resources": {"cpu": "1", "memory": "1Gi"},
        "labels": {},
        "cluster": "c",
        "namespace": "n",
        "pod_name": "gam-s1",
        "created_at": NOON.isoformat(),
        "last_used_at": NOON.isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "idle_seconds": 60,
        "virtual": False,
    }
    microseconds = (int(NOON.timestamp()) * 10**6) + NOON.microsecond
    columns = "id, version, owner, state, created_at, expires_at, document"
    values: tuple[Any, ...] = ("s1", "v", ALICE, "running", microseconds, microseconds, json.dumps(document))
    if release > 2:
        columns += ", check_at, live, on_cluster"
        values += (microseconds, 1, 1)
    places = ", ".join("?" * len(values))
    of_release(min(release, 2), path)  # rows of before are what the later ones upgrade
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        if release > 2:
            for made in upgrade._EARLIER[2:release]:
                for statement in made:
                    file.execute(statement)
            file.execute(f"PRAGMA user_version = {release}")
        file.execute(f"INSERT INTO sessions ({columns}) VALUES ({places})", values)
    store = SqliteStore(path, clock=SetClock())
    for found in (
        await store.due_sessions(NOON, limit=9, after=None),
        await store.sessions_on_cluster("s", "", limit=9),
        await store.list_sessions(ALICE, state=S.RUNNING, limit=9, after=None),
    ):
        assert [one.id for one in found] == ["s1"]
    assert (await store.owner_use(owner_hash(ALICE))).live
    with pytest.raises(TooManyRequests):
        await store.create(a_session(), limit=1)
    await store.close()


async def test_of_many_that_open_an_old_file_at_once_one_upgrades_it(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(SIXTH.read_text())
    stores = [SqliteStore(path, clock=SetClock()) for _ in range(8)]
    found = await asyncio.gather(*(one.get("s2") for one in stores))
    assert len(set(map(repr, found))) == 1 and found[0] is not None
    await asyncio.gather(*(one.close() for one in stores))


async def test_an_operator_reads_the_key_of_digests(path: Path) -> None:
    """As docs/operations.md says, from a file that is new and from one that was upgraded."""
    store = SqliteStore(path, clock=SetClock())
    await store.audit.digest_key(b"d" * 32)
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT key FROM audit_key").fetchall() == [((b"d" * 32).hex(),)]
