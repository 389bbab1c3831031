"""An e-mail address that is given to another person: what was kept under it stays its first owner's."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.credentials.model import CredentialFile, Credentials
from shared.core.credentials.service import CredentialService
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict
from shared.virtual.credentials import MemoryCredentials, VirtualCredentials
from shared.virtual.runtime import VirtualRuntime
from tests.shared.core.sessions.test_service import NEW, TRUE, World, make_world
from tests.shared.store.samples import SetClock, a_session
from tests.support.clusters import each, pods_of
from tests.support.gam_files import gam_files
from tests.support.people import ALICE, ROOT
from tests.support.stores import SqliteStore

NEXT = Person(subject="dev:next", email=ALICE.email)
"""Who has Alice's address now."""

FILE = CredentialFile("oauth2.txt", b"{}", None)


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock)


async def changed(act: Any) -> None:
    with pytest.raises(Conflict) as caught:
        await act
    assert (caught.value.reason, caught.value.status) == ("OWNER_CHANGED", 409)
    assert "ask the operator" in caught.value.detail


async def unbound(world: World, session: Session) -> Session:
    return await world.sqlite.update(dataclasses.replace(await world.stored(session), subject=""))


def binds(world: World) -> list[tuple[str, str]]:
    return [(one.actor, one.session_id) for one in world.audit.records if one.action == "owner.bind"]


async def test_a_session_stays_its_first_owners(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    assert session.subject == ALICE.subject
    await changed(world.service.get(NEXT, session.id))
    await changed(world.service.delete(NEXT, session.id))
    await changed(anext(world.service.execute(NEXT, session.id, TRUE)))
    assert await world.service.list_sessions(NEXT, owner=NEXT.email, state=None, limit=9, after=None) == (
        [],
        None,
    )
    assert (await world.service.get(ALICE, session.id)).state is SessionState.RUNNING
    assert (await world.service.delete(ROOT, session.id)).state is SessionState.DELETED
    assert binds(world) == []


async def test_what_an_earlier_release_stored_is_bound_at_the_first_call_audited(
    world: World,
) -> None:
    session = await unbound(world, await world.service.create(ALICE, NEW))
    (listed,), _ = await world.service.list_sessions(
        ALICE, owner=ALICE.email, state=None, limit=9, after=None
    )
    assert listed.id == session.id
    await world.service.get(ROOT, session.id)
    assert (await world.stored(session)).subject == ""
    for _ in range(2):
        assert (await world.service.get(ALICE, session.id)).subject == ALICE.subject
    assert binds(world) == [(ALICE.email, session.id)]
    await changed(world.service.get(NEXT, session.id))


async def test_two_first_calls_at_once_leave_one_record(world: World) -> None:
    session = await unbound(world, await world.service.create(ALICE, NEW))
    found = await asyncio.gather(*(world.service.get(ALICE, session.id) for _ in range(8)))
    assert {one.subject for one in found} == {ALICE.subject}
    assert binds(world) == [(ALICE.email, session.id)]


async def test_of_two_who_come_first_one_is_the_owner(world: World) -> None:
    session = await unbound(world, await world.service.create(ALICE, NEW))
    await world.service.get(NEXT, session.id)
    await changed(world.service.get(ALICE, session.id))


async def test_a_create_does_not_mount_anothers_credentials(world: World) -> None:
    await world.put_credentials(ALICE)
    await changed(world.service.create(NEXT, NEW))
    assert await world.sqlite.list_sessions(NEXT.email, state=None, limit=9, after=None) == []


async def test_credentials_stay_their_first_owners(world: World, clock: SetClock) -> None:
    store, auditor = MemoryCredentials(), Auditor(world.audit, clock)
    virtual = VirtualRuntime()
    access = SessionAccess(
        store=world.sqlite,
        pods=pods_of(world.sqlite, virtual),
        states=SessionStates(world.sqlite, clock, timedelta(days=1)),
        clock=clock,
        audit=auditor,
    )
    service = CredentialService(
        store=store,
        runtimes=each(VirtualCredentials(), VirtualCredentials()),
        sessions=world.sqlite,
        access=access,
        audit=auditor,
        clock=clock,
    )
    old = Person(subject="", email=ALICE.email)
    await store.replace(old, Credentials({FILE.name: FILE}))  # as an earlier release did
    assert (await service.get(ALICE)).subject == ALICE.subject
    assert binds(world) == [(ALICE.email, "-")]
    session = await world.sqlite.create(
        a_session(state=SessionState.RUNNING, owner=NEXT.email, subject="dev:next")
    )
    for act in (
        service.get(NEXT),
        service.put(NEXT, "oauth2.txt", gam_files("old")["oauth2.txt"]),
        service.delete(NEXT, None),
        service.refresh(NEXT, session.id),
    ):
        await changed(act)
    assert (await service.get(ALICE)).names == ("oauth2.txt",)
