"""What every session store does: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings

from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.ports import RequestRecord
from shared.errors import Conflict, StoreUnavailable, VersionConflict
from shared.reasons import Reason
from tests.shared.store.samples import NOON, SetClock, a_record, a_session, records, sessions
from tests.support.stores import Store

T = TypeVar("T")

many = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def succeeded(results: Sequence[T | BaseException]) -> list[T]:
    return [result for result in results if not isinstance(result, BaseException)]


def failures(results: Sequence[object]) -> set[type]:
    return {type(result) for result in results if isinstance(result, BaseException)}


class TestSessions:
    async def test_created_session_is_read_back_with_its_version(self, store: Store) -> None:
        created = await store.create(a_session())
        assert created.version
        assert await store.get(created.id) == created

    async def test_second_create_of_an_id_is_a_conflict_and_changes_nothing(self, store: Store) -> None:
        created = await store.create(a_session())
        with pytest.raises(Conflict) as caught:
            await store.create(dataclasses.replace(created, owner="mallory@example.com"))
        assert caught.value.reason == Reason.SESSION_EXISTS
        assert await store.get(created.id) == created

    @pytest.mark.parametrize(
        "session_id", ["saaaaaaaaaaaaaaaa", "", ".", "..", "a/b", "__x__", "x" * 1501, "\ud800"]
    )
    async def test_absent_session_is_none_whatever_the_id(self, store: Store, session_id: str) -> None:
        assert await store.get(session_id) is None

    async def test_update_replaces_everything_and_gives_a_new_version(self, store: Store) -> None:
        created = await store.create(a_session(reason="Pending: no node"))
        running = created.to(SessionState.RUNNING, NOON + timedelta(seconds=3))
        updated = await store.update(dataclasses.replace(running, labels={"only": "this"}))
        assert updated.version != created.version
        assert await store.get(created.id) == updated
        assert updated.reason is None
        assert updated.labels == {"only": "this"}

    async def test_update_without_a_difference_still_uses_the_version_up(self, store: Store) -> None:
        created = await store.create(a_session())
        await store.update(created)
        with pytest.raises(VersionConflict):
            await store.update(created)

    async def test_update_with_an_old_version_is_refused(self, store: Store) -> None:
        created = await store.create(a_session())
        current = await store.update(created)
        with pytest.raises(VersionConflict):
            await store.update(dataclasses.replace(created, name="late"))
        assert await store.get(created.id) == current

    @pytest.mark.parametrize("version", ["", "nonsense", "2026-03-01T12:00:00Z", "0123456789abcdef"])
    async def test_update_with_a_version_never_given_is_refused(self, store: Store, version: str) -> None:
        created = await store.create(a_session())
        with pytest.raises(VersionConflict):
            await store.update(dataclasses.replace(created, version=version))

    async def test_update_of_an_absent_session_is_refused(self, store: Store) -> None:
        created = await store.create(a_session())
        with pytest.raises(VersionConflict):
            await store.update(dataclasses.replace(created, id="saaaaaaaaaaaaaaaa"))

    async def test_two_instances_see_the_same_sessions(self, new_store: Callable[[], Store]) -> None:
        one, other = new_store(), new_store()
        created = await one.create(a_session())
        assert await other.get(created.id) == created
        updated = await other.update(created)
        with pytest.raises(VersionConflict):
            await one.update(created)
        assert await one.get(created.id) == updated

    async def test_time_in_another_zone_is_kept_as_the_same_moment_in_utc(self, store: Store) -> None:
        moment = datetime(2026, 3, 1, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        created = await store.create(a_session(expires_at=moment))
        found = await store.get(created.id)
        assert found is not None
        assert found.expires_at == moment
        assert found.expires_at.tzinfo is UTC
        assert type(found.expires_at) is datetime

    async def test_time_without_a_zone_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="zone"):
            await store.create(a_session(expires_at=NOON.replace(tzinfo=None)))

    @given(session=sessions)
    @many
    async def test_every_session_survives_the_store_exactly(self, store: Store, session: Session) -> None:
        created = await store.create(session)
        assert dataclasses.replace(created, version="") == session
        assert await store.get(session.id) == created
        updated = await store.update(created)
        assert await store.get(session.id) == updated
        assert dataclasses.replace(updated, version="") == session


class TestListing:
    async def test_lists_the_newest_first(self, store: Store) -> None:
        made = [
            await store.create(a_session(created_at=NOON + timedelta(microseconds=n))) for n in (2, 0, 3, 1)
        ]
        listed = await store.list_sessions("alice@example.com", state=None, limit=10, after=None)
        assert listed == sorted(made, key=lambda session: session.created_at, reverse=True)

    async def test_sessions_of_the_same_moment_are_listed_by_id(self, store: Store) -> None:
        made = [await store.create(a_session()) for _ in range(8)]
        listed = await store.list_sessions("alice@example.com", state=None, limit=10, after=None)
        assert [one.id for one in listed] == sorted((one.id for one in made), reverse=True)

    @pytest.mark.parametrize("page_size", [1, 2, 3, 7, 20])
    async def test_pages_give_every_session_once(self, store: Store, page_size: int) -> None:
        made = [
            await store.create(a_session(created_at=NOON + timedelta(microseconds=n // 4))) for n in range(11)
        ]
        expected = sorted(((one.created_at, one.id) for one in made), reverse=True)
        seen: list[tuple[datetime, str]] = []
        after: Cursor | None = None
        for _ in range(len(made) + 1):
            page = await store.list_sessions("alice@example.com", state=None, limit=page_size, after=after)
            if not page:
                break
            assert len(page) <= page_size
            seen += [(one.created_at, one.id) for one in page]
            after = Cursor(page[-1].created_at, page[-1].id)
        assert seen == expected

    async def test_page_goes_on_behind_a_session_that_is_gone(self, store: Store) -> None:
        older = await store.create(a_session(created_at=NOON - timedelta(seconds=1)))
        page = await store.list_sessions(
            older.owner, state=None, limit=5, after=Cursor(NOON, "saaaaaaaaaaaaaaaa")
        )
        assert page == [older]

    async def test_state_selects(self, store: Store) -> None:
        pending = await store.create(a_session())
        running = await store.update((await store.create(a_session())).to(SessionState.RUNNING, NOON))
        for state, expected in (
            (SessionState.PENDING, [pending]),
            (SessionState.RUNNING, [running]),
            (SessionState.DELETED, []),
        ):
            assert await store.list_sessions(pending.owner, state=state, limit=5, after=None) == expected

    async def test_state_and_page_work_together(self, store: Store) -> None:
        made = sorted([(await store.create(a_session())).id for _ in range(5)], reverse=True)
        await store.create(a_session(state=SessionState.FAILED))
        page = await store.list_sessions(
            "alice@example.com", state=SessionState.PENDING, limit=2, after=Cursor(NOON, made[1])
        )
        assert [one.id for one in page] == made[2:4]

    @pytest.mark.parametrize(
        "owner", ["bob@example.com", "", "alice@example.co", "ALICE@example.com", "%", "*"]
    )
    async def test_other_owners_see_nothing(self, store: Store, owner: str) -> None:
        await store.create(a_session())
        assert await store.list_sessions(owner, state=None, limit=5, after=None) == []

    async def test_change_of_state_moves_the_session_at_once(self, store: Store) -> None:
        created = await store.create(a_session())
        await store.update(created.to(SessionState.DELETING, NOON))
        assert await store.list_sessions(created.owner, state=SessionState.PENDING, limit=5, after=None) == []


class TestConcurrency:
    async def test_of_50_creates_of_one_id_one_succeeds(self, new_store: Callable[[], Store]) -> None:
        one, other = new_store(), new_store()
        session = a_session()
        results = await asyncio.gather(
            *((one, other)[n % 2].create(dataclasses.replace(session, name=str(n))) for n in range(50)),
            return_exceptions=True,
        )
        (winner,) = succeeded(results)
        assert failures(results) == {Conflict}
        assert await one.get(session.id) == winner

    async def test_of_20_updates_of_one_version_one_succeeds(self, new_store: Callable[[], Store]) -> None:
        one, other = new_store(), new_store()
        created = await one.create(a_session())
        results = await asyncio.gather(
            *((one, other)[n % 2].update(dataclasses.replace(created, name=str(n))) for n in range(20)),
            return_exceptions=True,
        )
        (winner,) = succeeded(results)
        assert failures(results) == {VersionConflict}
        assert await other.get(created.id) == winner

    async def test_updates_that_try_again_all_count(self, new_store: Callable[[], Store]) -> None:
        store = new_store()
        created = await store.create(a_session(idle_seconds=0))

        async def increment() -> None:
            while True:
                current = await store.get(created.id)
                assert current is not None
                try:
                    await store.update(dataclasses.replace(current, idle_seconds=current.idle_seconds + 1))
                    return
                except VersionConflict:
                    continue

        await asyncio.gather(*(increment() for _ in range(8)))
        final = await store.get(created.id)
        assert final is not None
        assert final.idle_seconds == 8

    async def test_distinct_creates_do_not_disturb_each_other(self, store: Store) -> None:
        made = await asyncio.gather(*(store.create(a_session()) for _ in range(50)))
        listed = await store.list_sessions("alice@example.com", state=None, limit=100, after=None)
        assert {one.id for one in listed} == {one.id for one in made}


async def is_first(store: Store, record: RequestRecord) -> bool:
    """Whether the record was stored: then it is the one that is there, with a version."""
    found = await store.begin_request(record)
    assert found.version
    if found.resource_id != record.resource_id:
        return False
    assert dataclasses.replace(found, version="") == record
    return True


class TestRequests:
    async def test_first_request_is_told_so(self, store: Store) -> None:
        assert await is_first(store, a_record())

    async def test_second_request_gets_the_first_ones_record(self, store: Store) -> None:
        first = a_record()
        await store.begin_request(first)
        found = await store.begin_request(a_record(fingerprint="other"))
        assert found.version
        assert dataclasses.replace(found, version="") == first

    async def test_keys_are_independent(self, store: Store) -> None:
        assert await is_first(store, a_record(key="a"))
        assert await is_first(store, a_record(key="b"))

    async def test_answer_is_kept_for_the_next(self, store: Store) -> None:
        first = a_record()
        begun = await store.begin_request(first)
        answered = await store.update_request(dataclasses.replace(begun, response='{"größe": 1}', status=201))
        assert answered.version
        assert await store.begin_request(a_record()) == answered

    async def test_record_is_taken_over_by_one_of_those_who_saw_the_same_version(self, store: Store) -> None:
        await store.begin_request(a_record())
        seen = await store.begin_request(a_record())
        later = dataclasses.replace(seen, lease_until=NOON + timedelta(minutes=9))
        results = await asyncio.gather(
            *(store.update_request(later) for _ in range(10)), return_exceptions=True
        )
        assert len(succeeded(results)) == 1
        assert failures(results) == {VersionConflict}

    @pytest.mark.parametrize("version", ["", "nonsense"])
    async def test_update_of_an_absent_record_is_refused(self, store: Store, version: str) -> None:
        with pytest.raises(VersionConflict):
            await store.update_request(a_record(version=version))

    async def test_of_20_requests_with_one_key_one_is_first(self, new_store: Callable[[], Store]) -> None:
        one, other = new_store(), new_store()
        offered = [a_record() for _ in range(20)]
        results = await asyncio.gather(
            *((one, other)[n % 2].begin_request(record) for n, record in enumerate(offered))
        )
        assert [
            found.resource_id == own.resource_id for found, own in zip(results, offered, strict=True)
        ].count(True) == 1
        assert len({found.resource_id for found in results}) == 1

    async def test_expired_record_counts_as_none(self, store: Store, clock: SetClock) -> None:
        await store.begin_request(a_record())
        clock.pass_seconds(86_400)
        fresh = a_record(expires_at=clock.now() + timedelta(days=1))
        assert await is_first(store, fresh)
        found = await store.begin_request(a_record())
        assert found.resource_id == fresh.resource_id

    async def test_record_counts_until_it_expires(self, store: Store, clock: SetClock) -> None:
        await store.begin_request(a_record())
        clock.pass_seconds(86_399.999999)
        assert not await is_first(store, a_record())

    async def test_expired_record_is_taken_over_once(
        self, new_store: Callable[[], Store], clock: SetClock
    ) -> None:
        one, other = new_store(), new_store()
        await one.begin_request(a_record())
        clock.pass_seconds(90_000)
        offered = [a_record(expires_at=clock.now() + timedelta(days=1)) for _ in range(20)]
        results = await asyncio.gather(
            *((one, other)[n % 2].begin_request(record) for n, record in enumerate(offered))
        )
        assert [
            found.resource_id == own.resource_id for found, own in zip(results, offered, strict=True)
        ].count(True) == 1
        assert len({found.resource_id for found in results}) == 1

    async def test_late_owner_of_an_expired_record_cannot_answer_for_the_new_one(
        self, store: Store, clock: SetClock
    ) -> None:
        await store.begin_request(a_record())
        seen = await store.begin_request(a_record())
        clock.pass_seconds(90_000)
        assert await is_first(store, a_record(expires_at=clock.now() + timedelta(days=1)))
        with pytest.raises(VersionConflict):
            await store.update_request(dataclasses.replace(seen, response="late", status=201))

    @given(record=records)
    @many
    async def test_every_record_survives_the_store_exactly(
        self, store: Store, clock: SetClock, record: RequestRecord
    ) -> None:
        clock.time = datetime(1, 1, 1, tzinfo=UTC)
        assert await is_first(store, record)
        found = await store.begin_request(record)
        assert dataclasses.replace(found, version="") == record


class TestLife:
    async def test_ping_of_an_empty_store_returns(self, store: Store) -> None:
        await store.ping()

    async def test_close_may_come_first_and_twice(self, new_store: Callable[[], Store]) -> None:
        unused = new_store()
        await unused.close()
        await unused.close()

    async def test_closed_store_is_unavailable(self, store: Store) -> None:
        await store.ping()
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.ping()

    async def test_first_calls_at_once_share_one_connection(self, store: Store) -> None:
        await asyncio.gather(*(store.ping() for _ in range(20)))

    async def test_cancelled_calls_leave_the_store_usable(self, store: Store) -> None:
        calls = [asyncio.create_task(store.create(a_session())) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        created = await store.create(a_session())
        assert await store.get(created.id) == created
