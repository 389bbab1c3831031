"""A value that expires is renewed ahead of time, once for all, and not more often than needed."""

from __future__ import annotations

import asyncio
import gc
import math

import pytest

from shared.errors import ConnectionFailed
from shared.kube.connect.access.renewal import Lease, Renewal, lease_until


class Source:
    """Gives 1, 2, 3, ...; waits while ``hold`` is cleared and fails while ``broken``."""

    def __init__(self) -> None:
        self.count = 0
        self.now = 1000.0
        self.life = 3600.0
        self.broken = False
        self.started = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def fetch(self) -> Lease[int]:
        self.count += 1
        value = self.count
        self.started.set()
        await self.hold.wait()
        if self.broken:
            raise ConnectionFailed("broken")
        return lease_until(value, self.now + self.life, margin_seconds=60, now=self.now)

    def renewal(self, grace_seconds: float = 0.0) -> Renewal[int]:
        return Renewal(self.fetch, what="value", grace_seconds=grace_seconds, now=lambda: self.now)


async def test_value_is_kept_until_shortly_before_it_ends() -> None:
    source = Source()
    renewal = source.renewal()
    assert await renewal.get() == 1
    source.now += 3539
    assert await renewal.get() == 1
    source.now += 1
    assert await renewal.get() == 2


async def test_all_who_wait_share_one_renewal() -> None:
    source = Source()
    renewal = source.renewal()
    assert await asyncio.gather(*(renewal.get() for _ in range(50))) == [1] * 50
    assert await asyncio.gather(*(renewal.get(refused=True) for _ in range(50))) == [2] * 50


async def test_all_who_wait_share_one_failure_and_the_next_tries_again() -> None:
    source = Source()
    source.broken = True
    renewal = source.renewal()
    results = await asyncio.gather(*(renewal.get() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, ConnectionFailed) for result in results)
    assert source.count == 1
    source.broken = False
    assert await renewal.get() == 2


async def test_refusal_right_after_the_first_value_renews_it() -> None:
    renewal = Source().renewal(grace_seconds=5)
    assert await renewal.get() == 1
    assert await renewal.get(refused=True) == 2


async def test_late_refusals_of_the_old_value_do_not_renew_the_new_one() -> None:
    source = Source()
    renewal = source.renewal(grace_seconds=5)
    await renewal.get()
    await renewal.get(refused=True)
    source.now += 4
    assert await renewal.get(refused=True) == 2
    source.now += 1
    assert await renewal.get(refused=True) == 3


async def test_failed_early_renewal_leaves_the_old_value_and_pauses(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    renewal = source.renewal()
    await renewal.get()
    source.broken = True
    source.now += 3550
    assert [await renewal.get(), await renewal.get()] == [1, 1]
    assert source.count == 2
    assert "not renewed" in caplog.text
    source.now += 5
    assert await renewal.get() == 1
    assert source.count == 3
    source.now += 45
    with pytest.raises(ConnectionFailed):
        await renewal.get()


async def test_failed_renewal_of_a_refused_value_is_an_error() -> None:
    source = Source()
    renewal = source.renewal()
    await renewal.get()
    source.broken = True
    with pytest.raises(ConnectionFailed):
        await renewal.get(refused=True)


async def test_cancelled_caller_does_not_take_the_renewal_with_it() -> None:
    source = Source()
    source.hold.clear()
    renewal = source.renewal()
    first = asyncio.create_task(renewal.get())
    await source.started.wait()
    second = asyncio.create_task(renewal.get())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.hold.set()
    assert await second == 1


async def test_failure_that_nobody_waits_for_any_more_is_silent() -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    source = Source()
    source.hold.clear()
    source.broken = True
    renewal = source.renewal()
    caller = asyncio.create_task(renewal.get())
    await source.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    source.hold.set()
    await asyncio.wait(running)
    del running, caller
    gc.collect()
    assert complaints == []
    source.broken = False
    assert await renewal.get() == 2


async def test_value_of_short_life_is_renewed_at_its_half() -> None:
    lease = lease_until("x", 110.0, margin_seconds=60, now=100.0)
    assert (lease.renew_at, lease.expires_at) == (105.0, 110.0)


async def test_value_without_end_is_never_renewed() -> None:
    lease = lease_until("x", None, margin_seconds=60, now=100.0)
    assert (lease.renew_at, lease.expires_at) == (math.inf, math.inf)
    assert "x" not in repr(lease).replace("expires", "")
