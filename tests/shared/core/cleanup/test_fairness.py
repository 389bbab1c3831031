"""No owner, and nothing that fails, keeps cleanup from the others: bounds in runs, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.cleanup.report import Action, Report
from shared.core.cleanup.retention import Old
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.ports import RequestRecord
from shared.core.turns import in_turns
from shared.errors import ClusterUnavailable, StoreUnavailable
from tests.shared.core.sessions.test_ending import World, fails, in_world
from tests.shared.store.samples import NOON, RETENTION, SetClock, a_job, a_record, a_session
from tests.support import virtual_time
from tests.support.stores import SqliteStore, cleanup_stores

S = SessionState
BOB = "bob@example.com"


_COPIES = """WITH RECURSIVE numbers (number) AS
    (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
    INSERT INTO sessions (id, version, owner, state, created_at, check_at, member, member_at, on_cluster,
        document)
    SELECT id || number, version, owner, state, created_at, check_at, member, member_at, on_cluster,
        json_set(document, '$.id', id || number) FROM sessions, numbers WHERE owner LIKE 'm%'"""


async def full(world: World, folder: Path, owners: int, each: int) -> None:
    """Sessions of others that are idle, and whose pods hang."""
    world.cluster.error = ClusterUnavailable("only what is due is of interest here")
    for owner in range(owners):
        idle = {"state": S.RUNNING, "last_used_at": NOON - timedelta(hours=2)}
        await world.store.create(a_session(owner=f"m{owner}@example.com", **idle))
    if each > 1:
        with contextlib.closing(sqlite3.connect(folder / "sessions.db")) as database, database:
            database.execute(_COPIES, [each - 1])

    async def processes(session: Session) -> int:
        if session.owner != BOB:
            await asyncio.sleep(10**6)
        return 0

    world.cluster.processes = processes  # type: ignore[method-assign] # takes the method's place


async def runs_until_ended(world: World, session: Session, most: int) -> int:
    """How many runs it takes until a session is deleted."""
    for number in range(1, most + 1):
        begun = asyncio.get_running_loop().time()
        await world.cleanup.run(dry_run=False)
        assert asyncio.get_running_loop().time() - begun <= 120
        if (await world.store.get(session.id)).state is S.DELETED:
            return number
        world.clock.pass_seconds(300)
    return most + 1


@pytest.mark.parametrize(
    ("owners", "each", "what", "runs"),
    [
        (17, 1, "idle", 1),
        (1, 17, "idle", 1),
        (1, 10_000, "idle", 1),
        (50, 50, "idle", 1),
        (200, 3, "idle", 1),
        (500, 1, "idle", 3),
        (50, 50, "expired", 1),
        (50, 50, "deleting", 1),
    ],
)
def test_sessions_that_hang_do_not_keep_anothers_alive(
    tmp_path: Path, owners: int, each: int, what: str, runs: int
) -> None:
    async def test(world: World) -> None:
        await full(world, tmp_path, owners, each)
        due = NOON - timedelta(minutes=1)  # later than all others
        session = await world.store.create(
            a_session(
                owner=BOB,
                state=S.DELETING if what == "deleting" else S.RUNNING,
                last_used_at=due - timedelta(hours=1),
                changed_at=due - timedelta(minutes=1),
                expires_at=due if what == "expired" else NOON + timedelta(hours=8),
            )
        )
        assert await runs_until_ended(world, session, runs) <= runs

    in_world(tmp_path, fails, test)


def test_of_many_that_are_due_only_those_in_work_are_in_memory(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await full(world, tmp_path, 10, 30)
        counts: list[int] = []

        async def processes(session: Session) -> int:
            if not counts:  # all are found, none is done
                gc.collect()  # what other tests have left
                counts.append(sum(isinstance(one, Session) for one in gc.get_objects()))
            return 0

        world.cluster.processes = processes  # type: ignore[method-assign] # takes the method's place
        await world.cleanup.run(dry_run=True)
        assert counts[0] <= 100 + 2 * 16  # a page of them, and those in work

    in_world(tmp_path, fails, test)


def test_what_failed_is_looked_at_less_and_less_and_anew_after_use(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await full(world, tmp_path, 1, 1)
        (session,) = await world.store.list_sessions(None, state=None, limit=2, after=None)
        looked: list[int] = []
        for minute in range(0, 300, 5):
            before = (await world.store.get(session.id)).failed_looks
            await world.cleanup.run(dry_run=True)
            assert (await world.store.get(session.id)).failed_looks == before
            await world.cleanup.run(dry_run=False)
            if (await world.store.get(session.id)).failed_looks > before:
                looked.append(minute)
            world.clock.pass_seconds(300)
        gaps = [later - earlier for earlier, later in itertools.pairwise(looked)]
        assert gaps == sorted(gaps)
        assert gaps[0] <= 5
        assert set(gaps[-2:]) == {60}
        current = await world.store.get(session.id)
        await world.store.update(current.used(world.clock.now()))
        world.clock.pass_seconds(3600)
        await world.cleanup.run(dry_run=False)
        assert (await world.store.get(session.id)).failed_looks == 1

    in_world(tmp_path, fails, test)


def test_a_cluster_that_fails_puts_off_what_is_certain_by_five_minutes_at_most(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING, expires_at=NOON)
        world.pods.delete_error = ClusterUnavailable("away")
        for _ in range(12):
            world.clock.pass_seconds(300)
            await world.cleanup.run(dry_run=False)
        world.pods.delete_error = None
        world.clock.pass_seconds(300)
        await world.cleanup.run(dry_run=False)
        assert (await world.store.get(session.id)).state is S.DELETED

    in_world(tmp_path, fails, test)


@given(
    st.lists(st.sampled_from("abcdef"), max_size=60),
    st.integers(1, 5),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_owners_take_turns(owners: list[str], at_once: int, of_one_owner: int, random: Any) -> None:
    running: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    left = Counter(owners)
    done: list[int] = []

    async def do(work: tuple[str, int]) -> None:
        owner, number = work
        for other in left:
            # Who waits although he may begin has had as many turns as whoever begins, or more.
            if left[other] and running[other] < of_one_owner:
                assert turns[other] >= turns[owner]
        turns[owner] += 1
        running[owner] += 1
        left[owner] -= 1
        assert running[owner] <= of_one_owner
        assert running.total() <= at_once
        await asyncio.sleep(random.randint(0, 5))
        running[owner] -= 1
        done.append(number)

    work = [(owner, (owner, number)) for number, owner in enumerate(owners)]
    virtual_time.run(in_turns(work, do, at_once=at_once, of_one_owner=of_one_owner))
    assert sorted(done) == list(range(len(owners)))


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 5), st.integers(1, 3))
def test_work_that_fails_holds_up_no_other_and_is_told_at_the_end(
    fail: list[bool], at_once: int, of_one_owner: int
) -> None:
    done: list[int] = []

    async def do(number: int) -> None:
        await asyncio.sleep(number % 3)
        if fail[number]:
            raise OverflowError
        done.append(number)

    async def test() -> None:
        work = [(f"owner {number % 4}", number) for number in range(len(fail))]
        with pytest.raises(OverflowError) if any(fail) else contextlib.nullcontext():
            await in_turns(work, do, at_once=at_once, of_one_owner=of_one_owner)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(test())
    assert sorted(done) == [number for number, one in enumerate(fail) if not one]


def test_a_fault_with_one_that_is_due_holds_up_no_other_and_leaves_nothing_running(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        update = world.store.update

        async def fails_for_bob(session: Session) -> Session:
            if session.owner == BOB and session.failed_looks:
                raise OverflowError("not what we expect")
            updated: Session = await update(session)
            return updated

        world.cluster.error = ClusterUnavailable("only what is due is of interest here")
        idle = {"state": S.RUNNING, "last_used_at": NOON - timedelta(hours=2)}
        others = [await world.store.create(a_session(**idle)) for _ in range(9)]
        await world.store.create(a_session(owner=BOB, **idle))

        async def processes(session: Session) -> int:
            if session.owner == BOB:
                raise ClusterUnavailable("no answer")
            await asyncio.sleep(2)
            return 0

        world.cluster.processes = processes  # type: ignore[method-assign] # takes the method's place
        world.store.update = fails_for_bob
        before = asyncio.all_tasks()
        report = await world.cleanup.run(dry_run=False)
        assert report.faults[0] == "the sessions that are due: a fault of ours: see the log"
        assert asyncio.all_tasks() == before
        for one in others:
            assert (await world.store.get(one.id)).state is S.DELETED

    in_world(tmp_path, fails, test)


@dataclasses.dataclass
class Stubborn:
    """A store that removes some things never: it fails, or says nothing and leaves them."""

    store: SqliteStore
    keeps: set[str]
    fails: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def remove_session(self, session: Session) -> None:
        if not self._kept(session.id):
            await self.store.remove_session(session)

    async def remove_request(self, record: RequestRecord) -> None:
        if not self._kept(record.key):
            await self.store.remove_request(record)

    def _kept(self, name: str) -> bool:
        if name in self.keeps and self.fails:
            raise StoreUnavailable("not this one")
        return name in self.keeps


@pytest.mark.parametrize("fails", [True, False])
async def test_what_cannot_be_forgotten_holds_up_nothing_else(
    sqlite: SqliteStore, clock: SetClock, fails: bool
) -> None:
    old = NOON - RETENTION
    sessions = [
        await sqlite.create(a_session(state=S.DELETED, purge_at=old + timedelta(seconds=number)))
        for number in range(250)
    ]
    await sqlite.create_job(a_job(session_id=sessions[-1].id))
    records = [
        await sqlite.begin_request(a_record(key=f"k{number:03}", expires_at=NOON + timedelta(seconds=number)))
        for number in range(250)
    ]
    clock.pass_seconds(3600)
    kept = {one.id for one in sessions[:150]} | {one.key for one in records[:150]}
    store: Any = Stubborn(sqlite, kept, fails)
    report = Report(dry_run=False)
    await Old(stores=cleanup_stores(store), clock=clock).run(report)
    left = await sqlite.forgettable_sessions(clock.now(), limit=999)
    assert {one.id for one in left} == {one.id for one in sessions[:150]}
    assert {one.key for one in await sqlite.expired_requests(clock.now(), limit=999)} == {
        one.key for one in records[:150]
    }
    assert await sqlite.list_jobs(sessions[-1].id, limit=9, after=None) == []
    assert report.count("session", Action.LEFT) == (150 if fails else 0)
