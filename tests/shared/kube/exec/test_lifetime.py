"""The life of an exec's socket: what ends it, when, and what is known then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from shared.core.sessions.pod import PodPhase, PodStatus
from shared.errors import ClusterUnavailable
from shared.kube.exec.lifetime import SocketLifetime
from shared.kube.exec.socket import ExecSocket
from shared.reasons import Reason
from tests.support import virtual_time

LOST = PodStatus(PodPhase.GONE, "Deleted: it is gone", Reason.POD_GONE)


class Line:
    """A connection whose other end says nothing. Notes when it is closed."""

    def __init__(self) -> None:
        self.closed_at: float | None = None
        self._closed = asyncio.Event()

    async def receive(self) -> aiohttp.WSMessage:
        await self._closed.wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    async def close(self) -> None:
        self.closed_at = self.closed_at or asyncio.get_running_loop().time()
        self._closed.set()


class World:
    """A life on that line.

    Args:
        pod_lost: What the cluster says of the pod.
        stop_seconds: How long it takes to end what runs.
    """

    def __init__(self, pod_lost: Callable[[bool], Awaitable[PodStatus]], stop_seconds: float = 0) -> None:
        self.line = Line()
        self.shutdown = asyncio.Event()
        self.stopped_at: list[float] = []
        self.life = SocketLifetime(
            ExecSocket(self.line),  # type: ignore[arg-type] # a stand-in for a WebSocket
            pod_lost=pod_lost,
            shutdown=self.shutdown,
        )
        self._stop_seconds = stop_seconds

    async def stop(self) -> None:
        self.stopped_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._stop_seconds)

    async def lived(self, seconds: float) -> tuple[bool, bool, PodStatus | None, float | None]:
        """Reads to the end of a life of so many seconds at most."""
        self.life.attend(seconds, self.stop)
        assert await self.life.socket.receive(10_000) is None
        self.life.leave()
        return self.life.timed_out, self.life.interrupted, self.life.lost, self.line.closed_at


async def lives(_grace: bool) -> PodStatus:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(("limit", "stop"), [(1, 0), (7, 2), (3600, 60)])
def test_what_takes_too_long_is_stopped_and_may_still_say_its_end(limit: float, stop: float) -> None:
    async def go() -> None:
        world = World(lives, stop)
        assert await world.lived(limit) == (True, False, None, limit + stop + 3)
        assert world.stopped_at == [limit]

    virtual_time.run(go())


@pytest.mark.parametrize(("stop", "closed"), [(0, 5 + 3), (4, 5 + 4 + 3), (100, 5 + 8)])
def test_a_shutdown_ends_it_in_eight_seconds_however_long_it_takes_to_stop(
    stop: float, closed: float
) -> None:
    async def go() -> None:
        world = World(lives, stop)
        asyncio.get_running_loop().call_later(5, world.shutdown.set)
        assert await world.lived(3600) == (False, True, None, closed)
        assert world.stopped_at == [5]

    virtual_time.run(go())


@pytest.mark.parametrize("faults", [0, 1, 5])
def test_a_lost_pod_ends_it_though_its_stream_stays_open_and_the_cluster_was_away(faults: int) -> None:
    asked: list[bool] = []

    async def pod_lost(grace: bool) -> PodStatus:
        asked.append(grace)
        if len(asked) <= faults:
            raise ClusterUnavailable("away")
        await asyncio.sleep(20)
        return LOST

    async def go() -> None:
        world = World(pod_lost)
        # A second before the first look and after each fault, and one for what is still on its way.
        assert await world.lived(3600) == (False, False, LOST, 1 + faults + 20 + 1)
        assert (asked, world.stopped_at) == ([True] * (faults + 1), [])

    virtual_time.run(go())


@pytest.mark.parametrize(("answer_seconds", "known"), [(0.5, LOST), (2, None)])
def test_whoever_asks_whether_the_pod_is_lost_waits_a_second_at_most(
    answer_seconds: float, known: PodStatus | None
) -> None:
    async def pod_lost(grace: bool) -> PodStatus:
        assert grace is False
        await asyncio.sleep(answer_seconds)
        return LOST

    async def go() -> None:
        world = World(pod_lost)
        await world.life.ask_whether_lost()
        assert world.life.lost == known
        assert asyncio.get_running_loop().time() == min(answer_seconds, 1)

    virtual_time.run(go())


def test_who_has_left_closes_the_socket_himself() -> None:
    async def go() -> None:
        world = World(lives)
        world.life.attend(5, world.stop)
        await asyncio.sleep(4)
        world.life.leave()
        await asyncio.sleep(100)
        assert (world.line.closed_at, world.stopped_at, world.life.timed_out) == (None, [], False)

    virtual_time.run(go())


def test_after_its_end_it_has_no_time_limit_and_a_shutdown_still_ends_it() -> None:
    async def go() -> None:
        world = World(lives)
        loop = asyncio.get_running_loop()
        loop.call_later(4, world.life.no_limit)
        loop.call_later(100, world.shutdown.set)
        assert await world.lived(5) == (False, True, None, 100 + 3)
        assert world.stopped_at == [100]

    virtual_time.run(go())


def test_a_time_limit_that_has_come_already_stands() -> None:
    async def go() -> None:
        world = World(lives, stop_seconds=2)
        asyncio.get_running_loop().call_later(6, world.life.no_limit)
        assert await world.lived(5) == (True, False, None, 5 + 2 + 3)

    virtual_time.run(go())
