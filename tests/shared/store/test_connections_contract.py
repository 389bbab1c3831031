"""What every store of connections does: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from shared.core.clusters.model import ClusterIdentity, KnownConnection
from shared.core.clusters.ports import ConnectionStore
from shared.errors import VersionConflict
from tests.shared.store.samples import NOON
from tests.support.stores import Store

KNOWN = KnownConnection(
    id="default",
    cluster="europe, größe",
    met=(
        ClusterIdentity(kube_system="a-1", namespace="b-2"),
        ClusterIdentity(namespace="c"),
        ClusterIdentity(kube_system="d"),
    ),
    met_at=NOON,
)


@pytest.fixture
def connections(new_store: Callable[[], Store]) -> ConnectionStore:
    return new_store().connections


async def test_what_is_put_is_there_for_others(
    connections: ConnectionStore, new_store: Callable[[], Store]
) -> None:
    assert await connections.get("default") is None
    stored = await connections.put(KNOWN)
    assert stored.version
    assert dataclasses.replace(stored, version="") == KNOWN
    assert await new_store().connections.get("default") == stored
    assert await connections.get("another") is None
    assert await connections.get("no/id") is None


@pytest.mark.parametrize("met", [(), KNOWN.met[:1], KNOWN.met])
async def test_a_change_is_a_compare_and_set(
    connections: ConnectionStore, met: tuple[ClusterIdentity, ...]
) -> None:
    first = await connections.put(KNOWN)
    second = await connections.put(dataclasses.replace(first, met=met))
    assert second.version != first.version
    for old in (first, KNOWN, dataclasses.replace(first, version="nobody's")):
        with pytest.raises(VersionConflict):
            await connections.put(old)
    with pytest.raises(VersionConflict):
        await connections.put(dataclasses.replace(first, id="absent"))
    assert await connections.get("default") == second


async def test_of_many_who_put_at_once_one_wins(connections: ConnectionStore) -> None:
    put = await asyncio.gather(*(connections.put(KNOWN) for _ in range(5)), return_exceptions=True)
    (won,) = [one for one in put if isinstance(one, KnownConnection)]
    assert await connections.get("default") == won
    assert {type(one) for one in put if one is not won} == {VersionConflict}
