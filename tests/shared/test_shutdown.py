"""Signals reach the event, and whoever handled them before."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from shared.kube.exec import lifetime
from shared.shutdown import shutdown_event
from shared.telemetry import flusher
from tests.support.patience import PATIENCE


@contextlib.contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event_and_reaches_the_server(number: signal.Signals) -> None:
    seen: list[int] = []

    def server(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    with handled_by(server):
        event = shutdown_event()
        assert not event.is_set()
        signal.raise_signal(number)
        await asyncio.wait_for(event.wait(), PATIENCE)
    assert seen == [number]


async def test_a_handler_of_the_event_loop_is_called_too() -> None:
    called = asyncio.Event()
    loop = asyncio.get_running_loop()
    with handled_by(signal.SIG_DFL):
        loop.add_signal_handler(signal.SIGTERM, called.set)
        event = shutdown_event()
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(event.wait(), called.wait()), PATIENCE)
        loop.remove_signal_handler(signal.SIGTERM)
    assert called.is_set()


async def test_a_process_without_a_handler_ends_by_the_signal_as_before() -> None:
    with handled_by(signal.SIG_DFL):
        assert not shutdown_event().is_set()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_outside_the_main_thread_no_handler_is_touched() -> None:
    async def elsewhere() -> bool:
        return shutdown_event().is_set()

    before = signal.getsignal(signal.SIGINT)
    assert await asyncio.to_thread(asyncio.run, elsewhere()) is False
    assert signal.getsignal(signal.SIGINT) is before


def test_the_times_of_an_end_fit_into_what_cloud_run_gives() -> None:
    """It kills ten seconds after SIGTERM: https://cloud.google.com/run/docs/container-contract."""
    assert lifetime._SHUTDOWN_SECONDS + flusher.EXIT_SECONDS <= 10
    assert flusher.EXIT_SECONDS < flusher.CLOSE_SECONDS < lifetime._SHUTDOWN_SECONDS
