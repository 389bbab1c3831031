"""Credentials that nobody uses go; those that may be in use, or of which it is not known, stay."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.audit.auditor import CLEANUP
from shared.core.cleanup.ports import KeptCredentials, OwnerUse
from shared.core.cleanup.report import Action, Report
from shared.core.sessions.model import SessionState
from shared.core.sessions.names import credentials_name, owner_hash
from shared.errors import StoreUnavailable
from shared.kube.credentials.secret import last_change
from shared.web.api.cleanup import report_json
from tests.shared.core.cleanup.test_service import CREDENTIALS_RETENTION, World, make_world
from tests.shared.store.samples import NOON, SetClock
from tests.support.stores import SqliteStore

S = SessionState
ALICE = "alice@example.com"
LONG = CREDENTIALS_RETENTION + timedelta(seconds=1)


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock, seconds=20)


def keep(world: World, owner: str = ALICE, changed_at: datetime | None = NOON) -> str:
    """Credentials of this owner; answers their name."""
    name = credentials_name(owner)
    world.cluster.kept[name] = KeptCredentials(
        name=name, uid="1", version="1", owner=owner_hash(owner), changed_at=changed_at
    )
    return name


def expired(report: Report) -> list[str]:
    found = [one for one in report.decisions if one.kind == "credentials" and one.action is Action.DELETED]
    assert report.count("credentials", Action.DELETED) == len(found)
    return [one.name for one in found]


async def test_what_is_unused_for_so_long_goes_audited_and_a_dry_run_says_so(world: World) -> None:
    name = keep(world)
    world.clock.time = NOON + LONG
    assert expired(await world.run(dry_run=True)) == [name]
    assert list(world.cluster.kept) == [name] and world.audit.records == []
    report = await world.run()
    assert expired(report) == [name]
    assert report_json(report)["credentials"] == {"deleted": 1}
    assert world.cluster.kept == {}
    (record,) = world.audit.records
    assert (record.actor, record.action, record.session_id) == (CLEANUP.email, "credentials.expire", "-")
    assert record.detail["name"] == name
    assert expired(await world.run()) == []


@given(days=st.integers(0, 400), changed=st.integers(0, 400))
def test_the_time_since_the_last_change_decides(days: int, changed: int) -> None:
    """Without sessions; a change in the future counts as one."""
    before = NOON + timedelta(days=days) - CREDENTIALS_RETENTION
    notes = {"gamgui.io/updated-oauth2.txt": (NOON + timedelta(days=changed)).isoformat()}
    at = last_change(notes)
    assert at is not None and (at <= before) is (days - changed >= 90)


@pytest.mark.parametrize("states", [(), (S.RUNNING,)], ids=str)
async def test_a_live_session_keeps_them(world: World, states: tuple[SessionState, ...]) -> None:
    keep(world)
    long = 400 * 86400
    await world.has(*states, expires_at=NOON + timedelta(days=400), idle_seconds=long)
    world.clock.time = NOON + LONG
    assert expired(await world.run()) == []


async def test_a_session_of_another_owner_does_not_keep_them(world: World) -> None:
    name = keep(world)
    await world.has(S.RUNNING, owner="bob@example.com", expires_at=NOON + timedelta(days=400))
    world.clock.time = NOON + LONG
    assert expired(await world.run()) == [name]


async def test_the_last_session_counts_until_its_end_also_when_it_is_forgotten(world: World) -> None:
    name = keep(world)
    session = await world.has(S.RUNNING, expires_at=NOON + timedelta(days=60))
    ended = NOON + timedelta(days=50)
    for state in (S.DELETING, S.DELETED):
        session = await world.store.update(session.to(state, ended))
    await world.store.remove_session(session)
    world.clock.time = NOON + LONG
    assert expired(await world.run()) == []
    world.clock.time = ended + LONG
    assert expired(await world.run()) == [name]


async def test_what_is_put_while_cleanup_runs_stays(world: World) -> None:
    keep(world)
    world.clock.time = NOON + LONG

    async def used(owner: str) -> OwnerUse:
        for name, kept in world.cluster.kept.items():
            world.cluster.kept[name] = dataclasses.replace(kept, version="2")
        return OwnerUse(live=False, at=None)

    world.store.owner_use = used  # type: ignore[method-assign] # takes the method's place
    report = await world.run()
    assert expired(report) == [] and len(world.cluster.kept) == 1
    assert world.audit.records == []


async def test_one_that_cannot_be_removed_holds_up_no_other_and_is_told(world: World) -> None:
    names = [keep(world, f"{n}@example.com") for n in range(40)]
    world.cluster.stuck = set(names[:20])
    world.clock.time = NOON + LONG
    report = await world.run()
    assert sorted(expired(report)) == sorted(names[20:])
    assert report.count("credentials", Action.LEFT) == 20
    assert report_json(report)["complete"] is False


async def test_a_store_that_does_not_answer_keeps_them(world: World) -> None:
    keep(world)
    world.clock.time = NOON + LONG

    async def fails(owner: str) -> OwnerUse:
        raise StoreUnavailable("The session store does not answer.")

    world.store.owner_use = fails  # type: ignore[method-assign] # takes the method's place
    report = await world.run()
    assert expired(report) == [] and report.count("credentials", Action.LEFT) == 1


async def test_of_which_it_is_not_known_stay(world: World) -> None:
    keep(world, changed_at=None)
    world.clock.time = NOON + timedelta(days=10_000)
    assert expired(await world.run()) == []


@pytest.mark.parametrize("unreadable", ["", "yesterday", "2026-03-01T12:00:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_read_is_not_known(unreadable: str) -> None:
    assert last_change({"gamgui.io/updated-oauth2.txt": unreadable}) is None
    good = {"gamgui.io/updated-oauth2service.json": NOON.isoformat()}
    assert last_change({**good, "gamgui.io/updated-oauth2.txt": unreadable}) is None
    assert last_change({}) is None
    assert last_change({**good, "gamgui.io/subject": unreadable}) == NOON


@given(notes=st.dictionaries(st.sampled_from(["gamgui.io/updated-a", "gamgui.io/updated-b"]), st.text()))
def test_whatever_the_annotations_say_nothing_is_raised(notes: dict[str, str]) -> None:
    last_change(notes)
