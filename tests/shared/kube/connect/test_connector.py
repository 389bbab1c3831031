"""One look-up serves an instance, however many ask, until it fails."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.access.authorization import FixedAuthorization
from shared.kube.connect.connector import ClusterConnector
from shared.settings.cluster import ClusterSettings


class Lookup:
    """Finds server 1, 2, 3, ...; fails while ``broken``."""

    def __init__(self) -> None:
        self.count = 0
        self.broken = False
        self.seconds = 0.0
        self.started = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, settings: ClusterSettings) -> Connection:
        self.count += 1
        number = self.count
        self.started.set()
        await self.hold.wait()
        if self.broken:
            raise ConnectionFailed(f"failure {number}")
        return Connection(
            method="kubeconfig",
            cluster="c",
            server=f"https://server-{number}",
            credentials=FixedAuthorization(),
        )

    def connector(self) -> ClusterConnector:
        return ClusterConnector(ClusterSettings(), lookup=self, clock=lambda: self.seconds)


async def test_concurrent_first_callers_share_one_look_up() -> None:
    lookup = Lookup()
    connector = lookup.connector()
    first, *others = await asyncio.gather(*(connector.connection() for _ in range(50)))
    assert all(other is first for other in others)
    assert await connector.connection() is first
    assert lookup.count == 1


async def test_invalidated_connection_is_looked_up_once_by_all() -> None:
    lookup = Lookup()
    connector = lookup.connector()
    old = await connector.connection()
    for _ in range(50):
        connector.invalidate(old)
    new, *others = await asyncio.gather(*(connector.connection() for _ in range(50)))
    assert new.server == "https://server-2"
    assert all(other is new for other in others)
    connector.invalidate(old)
    assert await connector.connection() is new, "what was replaced already is not replaced again"
    assert lookup.count == 2


async def test_failure_is_shared_for_a_moment_and_then_tried_again() -> None:
    lookup = Lookup()
    lookup.broken = True
    connector = lookup.connector()
    results = await asyncio.gather(*(connector.connection() for _ in range(20)), return_exceptions=True)
    assert {str(result) for result in results} == {"failure 1"}
    lookup.seconds = 0.9
    with pytest.raises(ConnectionFailed, match="failure 1"):
        await connector.connection()
    lookup.seconds = 1.0
    with pytest.raises(ConnectionFailed, match="failure 2"):
        await connector.connection()
    lookup.broken = False
    lookup.seconds = 2.0
    assert (await connector.connection()).server == "https://server-3"


async def test_failure_before_a_success_does_not_haunt_the_next_look_up() -> None:
    lookup = Lookup()
    lookup.broken = True
    connector = lookup.connector()
    with pytest.raises(ConnectionFailed):
        await connector.connection()
    lookup.broken, lookup.seconds = False, 1.0
    connector.invalidate(await connector.connection())
    assert (await connector.connection()).server == "https://server-3"


async def test_cancelled_first_caller_does_not_take_the_look_up_with_it() -> None:
    lookup = Lookup()
    lookup.hold.clear()
    connector = lookup.connector()
    first = asyncio.create_task(connector.connection())
    await lookup.started.wait()
    second = asyncio.create_task(connector.connection())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    lookup.hold.set()
    assert (await second).server == "https://server-1"
    assert lookup.count == 1
