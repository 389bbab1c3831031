"""What administrators do about an address that has changed hands: pass its things on, or remove them."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.credentials.owners import OwnerService, PassedOn
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, PermissionDenied, VersionConflict
from tests.shared.core.sessions.test_service import NEW, World, make_world
from tests.shared.store.samples import RETENTION, SetClock, a_session
from tests.support.clusters import pods_of
from tests.support.people import ALICE, BOB, ROOT, person
from tests.support.stores import SqliteStore

NEXT = Person(subject="google:42", email=ALICE.email)
"""Who has Alice's address now."""

AS = {"as": "administrator"}
NOTHING = PassedOn(0, (), complete=True)


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock)


def service_of(world: World) -> OwnerService:
    auditor = Auditor(world.audit, world.clock)
    access = SessionAccess(
        store=world.sqlite,
        pods=pods_of(world.sqlite, world.runtime),
        states=SessionStates(world.sqlite, world.clock, RETENTION),
        clock=world.clock,
        audit=auditor,
        administrators=[ROOT.email],
    )
    return OwnerService(store=world.sqlite, credentials=world.credentials, access=access, audit=auditor)


async def test_who_has_the_address_now_has_its_sessions_and_credentials_and_who_had_it_does_not(
    world: World,
) -> None:
    await world.put_credentials(ALICE)
    live, ended = await world.service.create(ALICE, NEW), await world.service.create(ALICE, NEW)
    await world.service.delete(ALICE, ended.id)
    bobs = await world.service.create(BOB, NEW)
    with pytest.raises(Conflict) as caught:
        await world.service.get(NEXT, live.id)
    assert f"to google:42 (POST /v1/owners/{ALICE.email}/rebind)" in caught.value.detail
    passed = await service_of(world).rebind(ROOT, ALICE.email, NEXT.subject)
    assert passed == PassedOn(2, ("oauth2.txt",), complete=True)
    for session in (live, ended):
        assert (await world.service.get(NEXT, session.id)).subject == NEXT.subject
        with pytest.raises(Conflict):
            await world.service.get(ALICE, session.id)
    assert (await world.credentials.get(NEXT)).names == ("oauth2.txt",)
    with pytest.raises(Conflict):
        await world.credentials.get(ALICE)
    assert await world.stored(bobs) == bobs


async def test_all_else_of_a_session_stays(world: World) -> None:
    new = dataclasses.replace(NEW, env={"TOKEN": "secret"}, credentials=())
    before = await world.stored(await world.service.create(ALICE, new))
    assert (await service_of(world).rebind(ROOT, ALICE.email, NEXT.subject)).sessions == 1
    after = await world.stored(before)
    assert after == dataclasses.replace(before, subject=NEXT.subject, version=after.version)
    assert after.env == {"TOKEN": "secret"}


async def test_each_session_and_the_act_have_a_record_and_a_repetition_does_nothing(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.audit.records.clear()
    service = service_of(world)
    assert (await service.rebind(ROOT, ALICE.email, NEXT.subject)).sessions == 1
    of_session, of_act = world.audit.records
    assert (of_session.session_id, of_session.action) == (session.id, "owner.rebind")
    assert of_session.detail == {"subject": NEXT.subject, **AS}
    assert (of_act.session_id, of_act.action, of_act.outcome) == ("-", "owner.rebind", "done")
    assert of_act.detail == {"owner": ALICE.email, "subject": NEXT.subject, "files": "", "sessions": 1, **AS}
    assert {(record.actor, record.actor_subject) for record in world.audit.records} == {
        (ROOT.email, ROOT.subject)
    }
    version = (await world.stored(session)).version
    assert await service.rebind(ROOT, ALICE.email, NEXT.subject) == NOTHING
    assert (await world.stored(session)).version == version


async def test_what_an_earlier_release_stored_is_passed_on_too(world: World) -> None:
    session = await world.sqlite.create(a_session(state=SessionState.RUNNING, subject=""))
    assert (await service_of(world).rebind(ROOT, ALICE.email, NEXT.subject)).sessions == 1
    assert (await world.stored(session)).subject == NEXT.subject


async def test_nobody_but_an_administrator_does_either_whatever_there_is(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    await world.put_credentials(ALICE)
    service = service_of(world)
    for caller in (ALICE, BOB, NEXT, person("root@example.org")):
        for email in (ALICE.email, "nobody@example.com"):
            for act in (
                service.rebind(caller, email, caller.subject),
                service.remove_credentials(caller, email),
            ):
                with pytest.raises(PermissionDenied) as caught:
                    await act
                assert (caught.value.status, caught.value.reason) == (403, "NOT_AN_ADMINISTRATOR")
    assert (await world.stored(session)).subject == ALICE.subject
    assert (await world.credentials.get(ALICE)).names == ("oauth2.txt",)


async def test_an_unknown_address_is_a_success_with_nothing_done(world: World) -> None:
    service = service_of(world)
    assert await service.rebind(ROOT, "nobody@example.com", NEXT.subject) == NOTHING
    assert await service.remove_credentials(ROOT, "nobody@example.com") == ()


async def test_credentials_are_removed_whosever_they_are_audited_and_the_next_may_put_his(
    world: World,
) -> None:
    await world.put_credentials(ALICE)
    service = service_of(world)
    assert await service.remove_credentials(ROOT, ALICE.email) == ("oauth2.txt",)
    assert await service.remove_credentials(ROOT, ALICE.email) == ()
    records = [record for record in world.audit.records if record.action == "credentials.delete"]
    assert [record.detail for record in records] == [
        {"owner": ALICE.email, "file": "all", "files": files, **AS} for files in ("oauth2.txt", "")
    ]
    await world.put_credentials(NEXT)


async def test_a_session_that_others_change_meanwhile_is_passed_on_with_their_change(world: World) -> None:
    session = await world.sqlite.create(a_session(state=SessionState.RUNNING))
    update = world.sqlite.update
    waiting = [dataclasses.replace(session, name="renamed")]

    async def late(changed: Session) -> Session:
        if waiting:
            await update(waiting.pop())
        return await update(changed)

    world.sqlite.update = late  # type: ignore[method-assign,assignment] # takes the method's place
    assert (await service_of(world).rebind(ROOT, ALICE.email, NEXT.subject)).sessions == 1
    stored = await world.stored(session)
    assert (stored.name, stored.subject) == ("renamed", NEXT.subject)


async def test_a_call_is_bounded_and_the_next_goes_on(world: World) -> None:
    for _ in range(570):
        await world.sqlite.create(a_session(state=SessionState.RUNNING))
    service = service_of(world)
    first = await service.rebind(ROOT, ALICE.email, NEXT.subject)
    assert (first.sessions, first.complete) == (500, False)
    second = await service.rebind(ROOT, ALICE.email, NEXT.subject)
    assert (second.sessions, second.complete) == (70, True)


async def test_two_operators_at_once_leave_one_owner_and_one_record_a_session(world: World) -> None:
    sessions = [await world.sqlite.create(a_session(state=SessionState.RUNNING)) for _ in range(5)]
    service = service_of(world)
    await asyncio.gather(*(service.rebind(ROOT, ALICE.email, NEXT.subject) for _ in range(4)))
    for session in sessions:
        assert (await world.stored(session)).subject == NEXT.subject
        assert [record.session_id for record in world.audit.records].count(session.id) == 1


async def test_a_session_that_never_stands_still_is_an_error_that_says_so(world: World) -> None:
    busy, other = [await world.sqlite.create(a_session(state=SessionState.RUNNING)) for _ in range(2)]
    update = world.sqlite.update

    async def never(changed: Session) -> Session:
        if changed.id == busy.id:
            raise VersionConflict("changed meanwhile", session=changed.id)
        return await update(changed)

    world.sqlite.update = never  # type: ignore[method-assign,assignment] # takes the method's place
    with pytest.raises(VersionConflict):
        await service_of(world).rebind(ROOT, ALICE.email, NEXT.subject)
    assert (await world.stored(other)).subject == NEXT.subject
    assert world.audit.outcomes[-1] == ("owner.rebind", "VERSION_CONFLICT")
