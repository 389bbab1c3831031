"""Changes of live sessions: what they change, what they depend on, whom they meet."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Because, Session, SessionState
from shared.core.sessions.states import SessionStates
from shared.core.sessions.update import Changes, SessionUpdate, etag_of
from shared.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from shared.reasons import Reason
from shared.virtual.runtime import VirtualRuntime
from tests.shared.store.samples import NOON, RETENTION, SetClock, a_session
from tests.support.clusters import pods_of
from tests.support.people import ALICE, BOB
from tests.support.scripted_runtime import JournalingStore, KeptAudit
from tests.support.stores import SqliteStore

ANY: frozenset[str] = frozenset()
S = SessionState


@pytest.fixture
def store(sqlite: SqliteStore) -> JournalingStore:
    return JournalingStore(sqlite, [])


@pytest.fixture
def audit() -> KeptAudit:
    return KeptAudit()


@pytest.fixture
def update(store: JournalingStore, clock: SetClock, audit: KeptAudit) -> SessionUpdate:
    pods = pods_of(store, VirtualRuntime())
    states = SessionStates(store, clock, RETENTION)
    access = SessionAccess(store=store, pods=pods, states=states, clock=clock, audit=Auditor(audit, clock))
    return SessionUpdate(store=store, access=access, audit=Auditor(audit, clock), clock=clock)


@pytest.fixture
async def session(sqlite: SqliteStore) -> Session:
    pending = await sqlite.create(a_session())
    return await sqlite.update(pending.to(S.RUNNING, NOON))


async def test_keepalive_begins_the_idle_time_anew_and_not_the_life(
    update: SessionUpdate, session: Session, clock: SetClock
) -> None:
    clock.pass_seconds(3000)
    kept = await update.keepalive(ALICE, session.id)
    assert kept.idle_at == session.idle_at + timedelta(seconds=3000)
    assert kept.expires_at == session.expires_at
    assert etag_of(kept) == etag_of(session)


async def test_what_is_not_sent_stays(update: SessionUpdate, session: Session, audit: KeptAudit) -> None:
    changed = await update.change(ALICE, session.id, Changes(name="B", labels={"a": "b"}), ANY)
    assert changed == dataclasses.replace(session, name="B", labels={"a": "b"}, version=changed.version)
    changed = await update.change(ALICE, session.id, Changes(ttl_seconds=7200, idle_seconds=600), ANY)
    assert (changed.expires_at, changed.idle_seconds) == (session.created_at + timedelta(hours=2), 600)
    assert (changed.name, changed.labels) == ("B", {"a": "b"})
    assert audit.outcomes == [("session.change", "done")] * 2
    assert audit.records[0].detail == {"name": "changed", "labels": "changed"}


async def test_a_shorter_life_cuts_the_idle_limit(update: SessionUpdate, session: Session) -> None:
    changed = await update.change(ALICE, session.id, Changes(ttl_seconds=1800), ANY)
    assert changed.idle_seconds == 1800
    assert changed.cleanup is not None
    assert changed.cleanup.because is Because.EXPIRED


async def test_an_empty_name_is_the_id(update: SessionUpdate, session: Session) -> None:
    assert (await update.change(ALICE, session.id, Changes(name=""), ANY)).name == session.id


async def test_a_life_that_is_over_already_is_refused(
    update: SessionUpdate, session: Session, clock: SetClock
) -> None:
    clock.pass_seconds(600)
    with pytest.raises(InvalidRequest) as caught:
        await update.change(ALICE, session.id, Changes(ttl_seconds=600), ANY)
    assert caught.value.fields["field"] == "ttl_seconds"


async def test_a_change_can_depend_on_what_was_seen(update: SessionUpdate, session: Session) -> None:
    seen = frozenset({etag_of(session)})
    await update.keepalive(ALICE, session.id)
    changed = await update.change(ALICE, session.id, Changes(name="B"), seen)
    with pytest.raises(PreconditionFailed) as caught:
        await update.change(ALICE, session.id, Changes(name="C"), seen)
    assert caught.value.fields["etag"] == etag_of(changed) != etag_of(session)


async def test_a_change_that_meets_another_one_looks_at_it_first(
    update: SessionUpdate, session: Session, sqlite: SqliteStore, store: JournalingStore
) -> None:
    async def renamed(_: Session) -> None:
        current = await sqlite.get(session.id)
        assert current is not None
        if current.name == session.name:
            await sqlite.update(dataclasses.replace(current, name="theirs"))

    store.before_update = renamed
    with pytest.raises(PreconditionFailed):
        await update.change(ALICE, session.id, Changes(name="ours"), frozenset({etag_of(session)}))
    assert (await update.change(ALICE, session.id, Changes(idle_seconds=60), ANY)).name == "theirs"


@pytest.mark.parametrize("states", [[S.FAILED], [S.DELETING], [S.DELETING, S.DELETED]], ids=str)
async def test_what_is_over_is_not_changed(
    update: SessionUpdate, session: Session, sqlite: SqliteStore, states: list[SessionState]
) -> None:
    for state in states:
        session = await sqlite.update(session.to(state, NOON))
    for change in (
        update.keepalive(ALICE, session.id),
        update.change(ALICE, session.id, Changes(name="B"), ANY),
    ):
        with pytest.raises(Conflict) as caught:
            await change
        assert caught.value.reason == Reason.SESSION_NOT_RUNNING


async def test_an_expired_session_comes_to_life_no_more(
    update: SessionUpdate, session: Session, clock: SetClock
) -> None:
    clock.time = session.expires_at
    with pytest.raises(Conflict):
        await update.change(ALICE, session.id, Changes(ttl_seconds=86400), ANY)


async def test_others_sessions_do_not_exist(update: SessionUpdate, session: Session) -> None:
    with pytest.raises(NotFound):
        await update.keepalive(BOB, session.id)
    with pytest.raises(NotFound):
        await update.change(BOB, session.id, Changes(name="B"), frozenset({"guess"}))
