"""What cleanup finds, and what an owner is charged with: the same tests on both stores."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from shared.core.cleanup.ports import OwnerUse
from shared.core.jobs.model import JobState
from shared.core.paging import Cursor
from shared.core.sessions.model import LIVE, Resources, Session, SessionState
from shared.core.sessions.names import owner_hash
from shared.core.sessions.share import OwnerShare
from shared.errors import Conflict, InternalError, TooManyRequests, VersionConflict
from shared.quantities import quantity
from shared.reasons import Reason
from tests.shared.store.samples import HERE, NOON, RETENTION, SetClock, a_job, a_record, a_session
from tests.support.stores import Store

S = SessionState
LATER = NOON + timedelta(seconds=1)
LATE = NOON + timedelta(days=99)
ONE_AND_ALL = ("s", "")


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


SHARE = OwnerShare(
    cpu=Decimal(4), memory=Decimal(8 * 1024**3), disk=Decimal(1024**4), disk_of_session=1024**3
)


def ids(sessions: list[Session]) -> list[str]:
    return [session.id for session in sessions]


def spoiled(session: Session) -> Session:
    return dataclasses.replace(session, resources=cast("Resources", None))


async def moved(store: Store, session: Session, *states: SessionState) -> Session:
    for state in states:
        session = await store.update(session.to(state, NOON))
    return session


class TestLimit:
    async def test_of_many_creates_at_once_exactly_as_many_as_are_left_succeed(
        self, new_store: Callable[[], Store]
    ) -> None:
        stores = [new_store() for _ in range(5)]
        for _ in range(4):
            await stores[0].create(a_session(), limit=7)
        creates = [store.create(a_session(), limit=7) for store in stores for _ in range(10)]
        results = await asyncio.gather(*creates, return_exceptions=True)
        made = [result for result in results if isinstance(result, Session)]
        refused = [result for result in results if isinstance(result, TooManyRequests)]
        assert (len(made), len(refused)) == (3, 47)
        assert {error.reason for error in refused} == {"TOO_MANY_SESSIONS"}
        found = await stores[0].list_sessions("alice@example.com", state=None, limit=100, after=None)
        assert len(found) == 7

    async def test_of_creates_at_once_no_more_succeed_than_the_share_holds(
        self, new_store: Callable[[], Store]
    ) -> None:
        stores = [new_store() for _ in range(4)]
        large, small = Resources(cpu="2", memory="4Gi"), Resources(cpu="500m", memory="512Mi")
        gone = await stores[0].create(a_session(resources=large), share=SHARE)
        await moved(stores[0], gone, S.RUNNING, S.FAILED)
        await stores[0].create(a_session(resources=small), limit=50)
        await stores[1].create(a_session(resources=large, cluster_identity="kube-system:other"))
        creates = [
            store.create(a_session(resources=large if number % 2 else small), limit=50, share=SHARE)
            for store in stores
            for number in range(6)
        ]
        results = await asyncio.gather(*creates, return_exceptions=True)
        refused = [result for result in results if isinstance(result, TooManyRequests)]
        assert {error.reason for error in refused} == {"OWNER_SHARE_EXCEEDED"}
        assert len(refused) + len([one for one in results if isinstance(one, Session)]) == len(results)
        found = await stores[2].list_sessions("alice@example.com", state=None, limit=100, after=None)
        here = [one for one in found if one.live and one.cluster_identity == HERE.text]
        used = sum(quantity(one.resources.cpu) for one in here)
        # It is nearly used up: what is left is too little for one of the refused.
        assert Decimal(4) - Decimal(2) < used <= Decimal(4)
        assert sum(quantity(one.resources.memory) for one in here) <= SHARE.memory

    async def test_who_is_there_already_is_told_so_when_the_share_is_used_up(self, store: Store) -> None:
        session = await store.create(a_session(resources=Resources(cpu="4", memory="1Gi")), share=SHARE)
        with pytest.raises(TooManyRequests):
            await store.create(a_session(), share=SHARE)
        with pytest.raises(Conflict) as caught:
            await store.create(session, share=SHARE)
        assert caught.value.reason == "SESSION_EXISTS"

    async def test_a_member_that_cannot_be_read_makes_nobody_wait(self, store: Store) -> None:
        await store.create(spoiled(a_session()), limit=9)
        await store.create(a_session(), limit=9, share=SHARE)

    async def test_another_owner_is_not_charged(self, store: Store) -> None:
        await store.create(a_session(), limit=1)
        await store.create(a_session(owner="bob@example.com"), limit=1)

    @pytest.mark.parametrize(
        ("states", "counts"),
        [
            ((), True),
            ((S.RUNNING,), True),
            ((S.FAILED,), False),
            ((S.RUNNING, S.FAILED), False),
            ((S.DELETING,), False),
            ((S.RUNNING, S.DELETING, S.DELETED), False),
            ((S.LOST,), False),
            ((S.RUNNING, S.LOST), False),
        ],
        ids=str,
    )
    async def test_a_session_counts_while_it_is_live(
        self, store: Store, states: tuple[SessionState, ...], counts: bool
    ) -> None:
        session = await moved(store, await store.create(a_session(), limit=1), *states)
        assert (session.state in LIVE) is counts
        if counts:
            with pytest.raises(TooManyRequests):
                await store.create(a_session(), limit=1)
        else:
            await store.create(a_session(), limit=1)

    async def test_a_change_that_does_not_happen_releases_nothing(self, store: Store) -> None:
        session = await store.create(a_session(), limit=1)
        await store.update(session)
        with pytest.raises(VersionConflict):
            await store.update(session.to(S.FAILED, NOON))
        with pytest.raises(TooManyRequests):
            await store.create(a_session(), limit=1)

    async def test_a_repeated_create_is_a_conflict_not_one_too_many(self, store: Store) -> None:
        session = await store.create(a_session(), limit=1)
        with pytest.raises(Conflict) as caught:
            await store.create(dataclasses.replace(session), limit=1)
        assert caught.value.reason == Reason.SESSION_EXISTS


class TestDue:
    async def test_sessions_are_due_from_the_moment_they_say(self, store: Store) -> None:
        session = await moved(store, await store.create(a_session(idle_seconds=600)), S.RUNNING)
        assert session.check_at == NOON + timedelta(seconds=600)
        assert (
            await store.due_sessions(session.check_at - timedelta(microseconds=1), limit=5, after=None) == []
        )
        assert await store.due_sessions(session.check_at, limit=5, after=None) == [session]

    async def test_the_longest_due_come_first_in_pages(self, store: Store) -> None:
        made = [
            await store.create(a_session(created_at=NOON - timedelta(seconds=age))) for age in (1, 3, 2, 3, 0)
        ]
        expected = sorted(made, key=lambda one: (one.check_at, one.id))
        seen: list[Session] = []
        after: Cursor | None = None
        while page := await store.due_sessions(NOON + timedelta(days=1), limit=2, after=after):
            seen += page
            assert page[-1].check_at is not None
            after = Cursor(page[-1].check_at, page[-1].id)
        assert seen == expected

    async def test_a_deleted_session_is_due_no_more_but_can_be_forgotten(self, store: Store) -> None:
        session = await moved(store, await store.create(a_session()), S.DELETING)
        deleted = session.to(S.DELETED, NOON)
        kept = await store.update(dataclasses.replace(deleted, purge_at=NOON + RETENTION))
        assert await store.due_sessions(NOON + timedelta(days=99), limit=5, after=None) == []
        assert await store.forgettable_sessions(NOON + RETENTION - timedelta(seconds=1), limit=5) == []
        assert await store.forgettable_sessions(NOON + RETENTION, limit=5) == [kept]

    @pytest.mark.parametrize("states", [(S.LOST,), (S.DELETING, S.DELETED)], ids=str)
    async def test_one_that_has_ended_is_due_as_long_as_something_of_it_may_be_left(
        self, store: Store, states: tuple[SessionState, ...]
    ) -> None:
        ended = await moved(store, await store.create(a_session()), *states)
        left = await store.update(dataclasses.replace(ended, may_be_left=("pod/a", "secret/b")))
        later = NOON + timedelta(days=99)
        assert await store.due_sessions(later, limit=5, after=None) == [left]
        assert await store.get(left.id) == left
        await store.update(dataclasses.replace(left, may_be_left=()))
        assert await store.due_sessions(later, limit=5, after=None) == []

    async def test_what_is_old_comes_in_pages_and_each_once(self, store: Store) -> None:
        times = [NOON + timedelta(seconds=age) for age in (3, 1, 2, 1, 0)]
        sessions = [await store.create(a_session(state=S.DELETED, purge_at=time)) for time in times]
        records = [
            await store.begin_request(a_record(key=f"k{number}", expires_at=time))
            for number, time in enumerate(times)
        ]
        now, after = NOON + timedelta(days=2), None
        seen: list[str] = []
        while page := await store.forgettable_sessions(now, limit=2, after=after):
            seen += [one.id for one in page]
            assert page[-1].purge_at is not None
            after = Cursor(page[-1].purge_at, page[-1].id)
        assert seen == [one.id for one in sorted(sessions, key=lambda one: (one.purge_at, one.id))]
        keys: list[str] = []
        after = None
        while old := await store.expired_requests(now, limit=2, after=after):
            keys += [one.key for one in old]
            after = Cursor(old[-1].expires_at, old[-1].key)
        assert keys == [one.key for one in sorted(records, key=lambda one: (one.expires_at, one.key))]

    async def test_a_look_that_failed_is_kept_and_moves_the_time_of_the_next(self, store: Store) -> None:
        session = await moved(store, await store.create(a_session(idle_seconds=600)), S.RUNNING)
        now = NOON + timedelta(seconds=600)
        later = await store.update(session.look_failed(now, timedelta(hours=1)))
        assert await store.get(session.id) == later
        assert await store.due_sessions(now + timedelta(seconds=59), limit=5, after=None) == []
        assert await store.due_sessions(now + timedelta(seconds=60), limit=5, after=None) == [later]

    async def test_a_session_is_removed_if_nobody_has_changed_it(self, store: Store) -> None:
        session = await store.create(a_session())
        changed = await store.update(session)
        await store.remove_session(session)
        assert await store.get(session.id) == changed
        await store.remove_session(changed)
        assert await store.get(session.id) is None
        await store.remove_session(changed)

    async def test_expired_requests_are_found_and_removed_if_nobody_took_them_over(
        self, store: Store, clock: SetClock
    ) -> None:
        old = await store.begin_request(a_record(key="old", expires_at=NOON + timedelta(seconds=5)))
        await store.begin_request(a_record(key="new"))
        clock.pass_seconds(10)
        assert await store.expired_requests(clock.now(), limit=5) == [old]
        taken = await store.begin_request(a_record(key="old", expires_at=NOON + timedelta(seconds=60)))
        await store.remove_request(old)
        assert await store.begin_request(a_record(key="old")) == taken
        clock.pass_seconds(60)
        await store.remove_request(taken)
        assert await store.expired_requests(clock.now(), limit=5) == []


class TestVariables:
    """Variables may be long, and are secrets: who asks for one session has them, who lists has not."""

    async def test_no_list_has_them(self, store: Store) -> None:
        env = {"TOKEN": "x" * 60_000}
        changes = {"state": S.RUNNING, "purge_at": NOON, "look_after": NOON, "ready_at": NOON}
        made = await store.create(a_session(env=env, credentials_choice=("oauth2.txt",), **changes))
        listed = dataclasses.replace(made, env={})
        assert await store.list_sessions(made.owner, state=None, limit=5, after=None) == [listed]
        assert await store.list_sessions(None, state=S.RUNNING, limit=5, after=None) == [listed]
        assert await store.due_sessions(LATE, limit=5, after=None) == [listed]
        assert await store.forgettable_sessions(LATE, limit=5) == [listed]
        assert await store.sessions_on_cluster(*ONE_AND_ALL, limit=5) == [listed]
        assert await store.get(made.id) == made


class TestUnreadable:
    """A document of a newer release, or one that somebody has changed, is left out of every list."""

    async def test_due_sessions_and_those_that_can_be_forgotten(self, store: Store) -> None:
        good: list[Session] = []
        bad: list[Session] = []
        for number in range(9):
            session = await store.create(
                a_session(purge_at=NOON, created_at=NOON - timedelta(seconds=number))
            )
            (bad if number % 3 else good).append(session)
        for one in bad:
            await store.update(spoiled(one))
        for limit in (1, 2, 3, 9):
            unreadable: set[str] = set()
            seen: list[str] = []
            old: list[str] = []
            due_after = old_after = None
            while page := await store.due_sessions(LATE, limit=limit, after=due_after, unreadable=unreadable):
                assert len(page) == limit or len(seen) + len(page) == len(good)
                seen += [one.id for one in page]
                assert page[-1].check_at is not None
                due_after = Cursor(page[-1].check_at, page[-1].id)
            while forgettable := await store.forgettable_sessions(LATE, limit=limit, after=old_after):
                old += [one.id for one in forgettable]
                old_after = Cursor(NOON, old[-1])
            assert seen == [one.id for one in reversed(good)]
            assert sorted(old) == sorted(seen)
            assert unreadable == {one.id for one in bad}

    async def test_many_before_one_that_is_due(self, store: Store) -> None:
        for number in range(260):
            one = await store.create(a_session(created_at=NOON - timedelta(hours=1, seconds=number)))
            await store.update(spoiled(one))
        session = await store.create(a_session())
        assert await store.due_sessions(LATE, limit=1, after=None) == [session]
        assert (
            await store.due_sessions(LATE, limit=1, after=Cursor(session.check_at or LATE, session.id)) == []
        )

    async def test_sessions_and_jobs_of_an_owner(self, store: Store) -> None:
        sessions = [
            await store.create(a_session(created_at=NOON - timedelta(seconds=age))) for age in range(4)
        ]
        await store.update(spoiled(sessions[0]))
        await store.update(spoiled(sessions[2]))
        for whose in ("alice@example.com", None):
            assert await store.list_sessions(whose, state=None, limit=1, after=None) == [sessions[1]]
            assert await store.list_sessions(whose, state=None, limit=9, after=None) == sessions[1::2]
        with pytest.raises(InternalError) as caught:
            await store.get(sessions[0].id)
        assert caught.value.reason == Reason.DOCUMENT_INVALID
        jobs = [
            await store.create_job(a_job(session_id="s1", created_at=NOON - timedelta(seconds=age)))
            for age in range(4)
        ]
        await store.update_job(dataclasses.replace(jobs[0], state=cast("JobState", "resting")))
        assert await store.list_jobs("s1", limit=2, after=None) == jobs[1:3]

    async def test_sessions_on_the_cluster(self, store: Store) -> None:
        made = sorted([await store.create(a_session()) for _ in range(5)], key=lambda one: one.id)
        for one in made[::2]:
            await store.update(spoiled(one))
        assert await store.count_on_cluster(*ONE_AND_ALL) == 5
        assert await store.sessions_on_cluster(*ONE_AND_ALL, limit=1) == [made[1]]
        assert await store.sessions_on_cluster(*ONE_AND_ALL, limit=9) == [made[1], made[3]]

    async def test_expired_requests(self, store: Store) -> None:
        records = [await store.begin_request(a_record(key=f"k{number}")) for number in range(3)]
        await store.update_request(dataclasses.replace(records[0], lease_until=cast("datetime", "yesterday")))
        assert await store.expired_requests(LATE, limit=1) == [records[1]]
        assert await store.expired_requests(LATE, limit=9) == records[1:]


class TestLive:
    async def test_sessions_on_cluster_are_counted_and_listed_by_ranges_of_ids(self, store: Store) -> None:
        made = [await store.create(a_session()) for _ in range(6)]
        gone = await moved(store, await store.create(a_session()), S.DELETING)
        live = sorted(made, key=lambda one: one.id)
        assert await store.count_on_cluster(*ONE_AND_ALL) == 6
        assert await store.sessions_on_cluster(*ONE_AND_ALL, limit=9) == live
        assert await store.sessions_on_cluster(*ONE_AND_ALL, limit=2) == live[:2]
        assert gone not in live
        for first in range(6):
            for end in range(first, 6):
                place = live[first].id, live[end].id
                assert await store.count_on_cluster(*place) == end - first
                assert await store.sessions_on_cluster(*place, limit=9) == live[first:end]
            assert await store.count_on_cluster(live[first].id, "") == 6 - first


class TestOwnerUse:
    """When an owner had sessions; times of one store are its own, those of the other the tests'."""

    async def test_nothing_is_known_of_who_never_had_one(self, store: Store) -> None:
        await store.create(a_session(owner="bob@example.com"))
        assert await store.owner_use(owner_hash("alice@example.com")) == OwnerUse(live=False, at=None)

    async def test_a_live_session_is_one_until_it_ends(self, store: Store) -> None:
        owner = owner_hash("alice@example.com")
        first, second = await store.create(a_session()), await store.create(a_session())
        made = await store.owner_use(owner)
        assert made.live and made.at is not None
        await moved(store, first, S.RUNNING, S.DELETING, S.DELETED)
        assert (await store.owner_use(owner)).live
        await store.update(second.to(S.FAILED, NOON + timedelta(days=2)))
        ended = await store.owner_use(owner)
        assert not ended.live and ended.at is not None and ended.at > made.at

    async def test_it_is_known_when_the_sessions_are_forgotten(self, store: Store) -> None:
        owner = owner_hash("alice@example.com")
        session = await moved(store, await store.create(a_session()), S.RUNNING, S.DELETING, S.DELETED)
        before = await store.owner_use(owner)
        await store.remove_session(session)
        assert await store.owner_use(owner) == before
