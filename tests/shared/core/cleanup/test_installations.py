"""Several installations in one namespace: each sweeps its own objects only, and notes the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.core.cleanup.report import Action
from shared.core.clusters.installation import Neighbours
from shared.core.clusters.model import ClusterIdentity, KnownConnection
from shared.core.ids import new_session_id
from shared.core.sessions.model import SessionState
from shared.core.sessions.names import (
    INSTALLATION_LABEL,
    credentials_name,
    credentials_name_of,
    owner_hash,
    owner_labels,
    pod_labels,
)
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.store.installation import StoredInstallation
from tests.shared.core.cleanup.test_service import GRACE, READY, make_world
from tests.shared.store.samples import NOON, SetClock, a_session
from tests.support.stores import SqliteStore


async def test_an_installations_id_is_made_once_and_stays(tmp_path: Path, clock: SetClock) -> None:
    stores = [SqliteStore(tmp_path / "sessions.db", clock=clock) for _ in range(3)]
    ids = {await StoredInstallation(store.engine).id() for store in stores for _ in range(2)}
    other = SqliteStore(tmp_path / "other.db", clock=clock)
    assert len(ids) == 1
    assert await StoredInstallation(other.engine).id() not in ids
    for store in (*stores, other):
        await store.close()


def test_what_is_made_carries_the_installation_and_secrets_have_it_in_their_names() -> None:
    session_id, owner = new_session_id(), "ann@example.com"
    assert pod_labels(session_id, owner, "a1")[INSTALLATION_LABEL] == "a1"
    assert owner_labels(owner, "a1")[INSTALLATION_LABEL] == "a1"
    assert INSTALLATION_LABEL not in pod_labels(session_id, owner)
    names = {credentials_name(owner, one) for one in ("", "a1", "b2")}
    assert len(names) == 3
    assert credentials_name_of(owner_hash(owner), "a1") in names


@pytest.mark.parametrize(
    ("met", "noted"),
    [
        ({"b2", "a1"}, ("a1", "b2")),
        (set(), ()),
        ({"x" * 64, "A b", "", "c3"}, ("c3",)),
        ({f"i{number:02}" for number in range(99)}, tuple(f"i{number:02}" for number in range(16))),
    ],
)
async def test_others_are_noted_as_they_are_now(
    met: set[str], noted: tuple[str, ...], sqlite: SqliteStore
) -> None:
    neighbours = Neighbours(sqlite.connections)
    await neighbours.note(met)  # nobody has met the cluster: there is nothing to note it in
    here = ClusterIdentity(kube_system="here")
    known = KnownConnection(id="default", cluster="c", met=(here,), met_at=NOON, other_installations=("old",))
    await sqlite.connections.put(known)
    for _ in range(2):
        await neighbours.note(met)
        stored = await sqlite.connections.get("default")
        assert stored is not None
        assert (stored.other_installations, stored.met) == (noted, (here,))


OWN, OTHER = "a1", "b2"


class Fixed:
    """An installation whose id the test chooses."""

    async def id(self) -> str:
        return OWN


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_sweep_touches_its_own_objects_only_and_notes_the_others(
    dry_run: bool, sqlite: SqliteStore, clock: SetClock
) -> None:
    here = ClusterIdentity(kube_system="here")
    await sqlite.connections.put(KnownConnection(id="default", cluster="c", met=(here,), met_at=NOON))
    world = make_world(sqlite, clock, 20, installation=Fixed(), neighbours=Neighbours(sqlite.connections))
    failed = PodStatus(PodPhase.FAILED, "Error: it ended")
    names = {}
    for kind in ("pod", "secret"):
        for made_by in (OWN, OTHER, ""):
            for status in (READY, failed):
                for deleted in (False, True):  # whether this installation knows the session
                    session = a_session(created_at=NOON)
                    if deleted:
                        ended = await sqlite.create(session)
                        for state in (SessionState.DELETING, SessionState.DELETED):
                            ended = await sqlite.update(ended.to(state, NOON))
                    name = f"{kind}-{session.id}"
                    world.cluster.has(session, kind=kind, name=name, installation=made_by, status=status)
                    names[name] = made_by == OWN or (made_by == "" and deleted)
    clock.pass_seconds(GRACE.total_seconds() + 1)
    report = await world.run(dry_run=dry_run)
    assert report.faults == []
    own = {name for name, is_own in names.items() if is_own}
    assert {one.name for one in report.decisions if one.action is Action.DELETED} == own
    assert set(world.cluster.deleted) == (set() if dry_run else own)
    known = await sqlite.connections.get("default")
    assert known is not None
    assert known.other_installations == (() if dry_run else (OTHER,))
