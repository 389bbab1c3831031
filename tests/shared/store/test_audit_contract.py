"""What every store of audit records does: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.audit.model import AuditRecord
from shared.core.audit.ports import AuditStore
from shared.core.ids import new_record_id, new_session_id
from shared.core.paging import Cursor
from shared.errors import StoreUnavailable
from tests.shared.store.samples import NOON, a_session
from tests.shared.store.test_contract import many
from tests.support.stores import Store

SESSION = "saaaaaaaaaaaaaaaa"


def a_record(**changes: Any) -> AuditRecord:
    record = AuditRecord(
        id=new_record_id(),
        at=NOON,
        actor="alice@example.com",
        action="session.exec",
        session_id=SESSION,
        outcome="exited",
        detail={"command": "gam info user größe", "size": 7, "nothing": None},
    )
    return dataclasses.replace(record, **changes)


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_records = st.builds(
    AuditRecord,
    id=st.builds(new_record_id),
    at=st.datetimes(timezones=st.just(UTC)),
    actor=_text,
    action=_text,
    session_id=st.builds(new_session_id),
    outcome=_text,
    detail=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
        _text | st.integers(-(2**63), 2**63 - 1) | st.none(),
        max_size=5,
    ),
)


@pytest.fixture
def audit(new_store: Callable[[], Store]) -> AuditStore:
    return new_store().audit


@pytest.fixture
def other(new_store: Callable[[], Store]) -> AuditStore:
    return new_store().audit


async def everything(audit: AuditStore, session_id: str = SESSION) -> list[AuditRecord]:
    return list(await audit.list_records(session_id, limit=500, after=None))


async def test_a_record_is_read_back_by_another_instance(audit: AuditStore, other: AuditStore) -> None:
    record = a_record()
    await audit.put(record)
    assert await everything(other) == [record]


async def test_a_record_takes_the_place_of_the_one_with_its_id(audit: AuditStore, other: AuditStore) -> None:
    started = a_record(outcome="started")
    await audit.put(started)
    ended = dataclasses.replace(started, outcome="exited", detail={"command": "gam version", "size": 1})
    for _ in range(2):
        await other.put(ended)
        assert await everything(audit) == [ended]


@pytest.mark.parametrize("page_size", [1, 2, 3, 20])
async def test_pages_hold_every_record_once_newest_first(audit: AuditStore, page_size: int) -> None:
    made = [a_record(at=NOON + timedelta(microseconds=n // 3)) for n in range(7)]
    await asyncio.gather(*(audit.put(record) for record in made))
    await audit.put(a_record(session_id="sbbbbbbbbbbbbbbbb"))
    seen: list[AuditRecord] = []
    after: Cursor | None = None
    for _ in range(len(made) + 1):
        page = await audit.list_records(SESSION, limit=page_size, after=after)
        if not page:
            break
        assert len(page) <= page_size
        seen += page
        after = Cursor(page[-1].at, page[-1].id)
    assert seen == sorted(made, key=lambda record: (record.at, record.id), reverse=True)


async def test_a_page_goes_on_behind_a_record_that_is_gone(audit: AuditStore) -> None:
    older = a_record(at=NOON - timedelta(seconds=1))
    await audit.put(older)
    assert await audit.list_records(SESSION, limit=5, after=Cursor(NOON, new_record_id())) == [older]


async def test_records_of_a_session_are_forgotten_in_bounded_batches_and_no_others(audit: AuditStore) -> None:
    kept = a_record(session_id="sbbbbbbbbbbbbbbbb")
    await asyncio.gather(audit.put(kept), *(audit.put(a_record()) for _ in range(7)))
    assert [await audit.forget(SESSION, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert await everything(audit) == []
    assert await everything(audit, kept.session_id) == [kept]


async def test_two_who_forget_at_once_do_not_hinder_each_other(audit: AuditStore, other: AuditStore) -> None:
    await asyncio.gather(*(audit.put(a_record()) for _ in range(20)))
    await asyncio.gather(*(one.forget(SESSION, limit=500) for one in (audit, other)))
    assert await everything(audit) == []


async def test_a_time_in_another_zone_is_kept_as_the_same_moment_in_utc(audit: AuditStore) -> None:
    moment = datetime(2026, 3, 1, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await audit.put(a_record(at=moment))
    (found,) = await everything(audit)
    assert (found.at, found.at.tzinfo) == (moment, UTC)


async def test_text_that_is_no_unicode_is_kept_escaped(audit: AuditStore) -> None:
    await audit.put(a_record(detail={"path": "a\udcffb"}))
    (found,) = await everything(audit)
    assert found.detail == {"path": "a\\udcffb"}


async def test_a_closed_store_takes_no_records(new_store: Callable[[], Store]) -> None:
    store = new_store()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.audit.put(a_record())


@given(record=_records)
@many
async def test_every_record_survives_the_store_exactly(audit: AuditStore, record: AuditRecord) -> None:
    await audit.put(record)
    assert await everything(audit, record.session_id) == [record]


# What administrators ask of the sessions' store.


async def test_everybodys_sessions_are_listed_newest_first_in_pages(new_store: Callable[[], Store]) -> None:
    store = new_store()
    made = [
        await store.create(a_session(owner=owner, created_at=NOON + timedelta(microseconds=n)))
        for n, owner in enumerate(["a@example.com", "b@example.com", "a@example.com", "c@example.com"])
    ]
    first = await store.list_sessions(None, state=None, limit=3, after=None)
    after = Cursor(first[-1].created_at, first[-1].id)
    rest = await store.list_sessions(None, state=None, limit=3, after=after)
    assert [*first, *rest] == made[::-1]


async def test_everybodys_sessions_are_selected_by_state(new_store: Callable[[], Store]) -> None:
    store = new_store()
    pending = await store.create(a_session(owner="a@example.com"))
    failed = await store.create(
        a_session(owner="b@example.com", state=type(pending.state)("failed"), created_at=NOON)
    )
    assert await store.list_sessions(None, state=failed.state, limit=5, after=None) == [failed]
    assert await store.list_sessions(None, state=pending.state, limit=5, after=None) == [pending]


async def test_the_first_key_for_digests_is_kept_by_all(audit: AuditStore, other: AuditStore) -> None:
    keys = await asyncio.gather(
        *(store.digest_key(bytes([n] * 32)) for n in range(4) for store in (audit, other))
    )
    assert len(set(keys)) == 1
    assert await other.digest_key(b"z" * 32) == keys[0]
