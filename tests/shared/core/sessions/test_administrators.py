"""What administrators may do with others' sessions, what not, and that it is recorded."""

from __future__ import annotations

import dataclasses

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.audit import SessionAudit
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.states import SessionStates
from shared.errors import GamguiError, NotFound, PermissionDenied
from tests.shared.core.sessions.test_service import NEW, TRUE, World, make_world
from tests.shared.store.samples import RETENTION, SetClock
from tests.support.clusters import pods_of
from tests.support.people import ALICE, BOB, ROOT
from tests.support.stores import SqliteStore

AS = {"as": "administrator"}


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock)


def audit_of(world: World) -> SessionAudit:
    access = SessionAccess(
        audit=Auditor(world.audit, world.clock),
        store=world.store,
        pods=pods_of(world.store, world.runtime),
        states=SessionStates(world.store, world.clock, RETENTION),
        clock=world.clock,
        administrators=[ROOT.email],
    )
    return SessionAudit(access=access, store=world.sqlite.audit, audit=Auditor(world.audit, world.clock))


def last(world: World) -> tuple[str, str, str, object]:
    record = world.audit.records[-1]
    return record.actor, record.action, record.outcome, dict(record.detail)


async def listed(world: World, caller: Person, owner: str) -> list[Session]:
    page, _ = await world.service.list_sessions(caller, owner=owner, state=None, limit=10, after=None)
    return list(page)


async def test_an_administrator_gets_another_owners_session_and_it_is_recorded(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    assert await world.service.get(ROOT, session.id) == session
    assert last(world) == (ROOT.email, "session.get", "read", AS)
    assert world.audit.records[-1].session_id == session.id


async def test_an_administrator_deletes_another_owners_session_and_it_is_recorded(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    assert (await world.service.delete(ROOT, session.id)).state is SessionState.DELETED
    assert last(world) == (ROOT.email, "session.delete", "deleted", AS)
    assert (await world.stored(session)).owner == ALICE.email


async def test_an_administrator_lists_anothers_sessions_and_everybodys_and_it_is_recorded(
    world: World,
) -> None:
    hers = await world.service.create(ALICE, NEW)
    world.clock.pass_seconds(1)
    his = await world.service.create(BOB, NEW)
    hers, his = dataclasses.replace(hers, env={}), dataclasses.replace(his, env={})  # no list has variables
    assert await listed(world, ROOT, ALICE.email) == [hers]
    assert last(world) == (ROOT.email, "session.list", "read", {"owner": ALICE.email, **AS})
    assert await listed(world, ROOT, "*") == [his, hers]
    assert last(world) == (ROOT.email, "session.list", "read", {"owner": "*", **AS})


async def test_who_is_no_administrator_lists_nobody_elses_sessions(world: World) -> None:
    await world.service.create(ALICE, NEW)
    for owner in (ALICE.email, "*", ROOT.email):
        with pytest.raises(PermissionDenied) as caught:
            await listed(world, BOB, owner)
        assert (caught.value.status, caught.value.reason) == (403, "NOT_AN_ADMINISTRATOR")
    assert await listed(world, BOB, BOB.email) == []


async def test_nobody_runs_commands_in_anothers_session(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    for caller in (ROOT, BOB):
        with pytest.raises(NotFound):
            await anext(world.service.execute(caller, session.id, TRUE))
    assert "runtime.execute" not in world.journal


async def test_what_an_administrator_does_with_his_own_sessions_is_nothing_special(world: World) -> None:
    session = await world.service.create(ROOT, NEW)
    await world.service.get(ROOT, session.id)
    await listed(world, ROOT, ROOT.email)
    await world.service.delete(ROOT, session.id)
    assert world.audit.outcomes == [("session.create", "running"), ("session.delete", "deleted")]
    assert last(world)[3] == {}


@pytest.mark.parametrize("session_id", ["", "x", "saaaaaaaaaaaaaaaa"])
async def test_what_does_not_exist_does_not_for_administrators_either(world: World, session_id: str) -> None:
    for act in (
        world.service.get(ROOT, session_id),
        world.service.delete(ROOT, session_id),
        audit_of(world).records(ROOT, session_id, limit=5, after=None),
    ):
        with pytest.raises(NotFound):
            await act


async def test_a_sessions_records_are_its_owners_and_administrators_to_read(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    audit = audit_of(world)
    kept = world.audit.records[0]
    await world.sqlite.audit.put(kept)
    before = list(world.audit.records)
    assert await audit.records(ALICE, session.id, limit=5, after=None) == ([kept], None)
    assert world.audit.records == before
    assert await audit.records(ROOT, session.id, limit=5, after=None) == ([kept], None)
    assert last(world) == (ROOT.email, "session.audit", "read", AS)
    with pytest.raises(GamguiError) as caught:
        await audit.records(BOB, session.id, limit=5, after=None)
    assert (caught.value.status, caught.value.reason) == (404, "SESSION_NOT_FOUND")


async def test_pages_of_records_follow_on_each_other(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    for _ in range(3):
        world.clock.pass_seconds(1)
        await world.run(session)
    for record in world.audit.records:
        await world.sqlite.audit.put(record)
    audit = audit_of(world)
    seen: list[AuditRecord] = []
    after: Cursor | None = None
    while True:
        page, after = await audit.records(ALICE, session.id, limit=3, after=after)
        seen += page
        if after is None:
            break
    assert seen == world.audit.records[::-1]
