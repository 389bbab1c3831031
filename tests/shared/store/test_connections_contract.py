"""What every store of connections does: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from shared.core.clusters.model import ClusterIdentity, KnownConnection
from shared.core.clusters.ports import ConnectionStore
from shared.errors import InternalError, VersionConflict
from shared.reasons import Reason
from shared.store.connections import CONNECTIONS, connection_document
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


async def test_what_a_newer_release_has_noted_is_passed_over(
    connections: ConnectionStore, new_store: Callable[[], Store]
) -> None:
    document = {**connection_document(KNOWN), "colour": "green"}
    await new_store().engine.put(CONNECTIONS, "default", document)
    found = await connections.get("default")
    assert found is not None and dataclasses.replace(found, version="") == KNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"met": None},
        {"met": 7},
        {"met": "a-1"},
        {"met": "a-1 b-2 c-3"},
        {"met": "a-1 b-2\n\nc-3 d-4"},
        {"met_at": None},
        {"met_at": "yesterday"},
    ],
    ids=str,
)
async def test_a_document_that_cannot_be_read_is_told_and_stays(
    connections: ConnectionStore, new_store: Callable[[], Store], change: dict[str, Any]
) -> None:
    await new_store().engine.put(CONNECTIONS, "default", {**connection_document(KNOWN), **change})
    with pytest.raises(InternalError) as caught:
        await connections.get("default")
    assert caught.value.reason == Reason.DOCUMENT_INVALID
    assert "yesterday" not in caught.value.detail
    with pytest.raises(VersionConflict):
        await connections.put(KNOWN)  # as nobody knows its version


@pytest.mark.parametrize("field", ["id", "cluster", "met", "met_at"])
async def test_a_document_that_lacks_a_field_is_told(
    connections: ConnectionStore, new_store: Callable[[], Store], field: str
) -> None:
    document = connection_document(KNOWN)
    del document[field]
    await new_store().engine.put(CONNECTIONS, "default", document)
    with pytest.raises(InternalError) as caught:
        await connections.get("default")
    assert caught.value.reason == Reason.DOCUMENT_INVALID


@pytest.mark.parametrize("uid", ["a b", "a\nb", "\u2028", " "])
async def test_what_could_not_be_read_again_is_not_stored(connections: ConnectionStore, uid: str) -> None:
    for identity in ClusterIdentity(kube_system=uid), ClusterIdentity(namespace=uid):
        with pytest.raises(ValueError, match="uid"):
            await connections.put(dataclasses.replace(KNOWN, met=(identity,)))
    assert await connections.get("default") is None
