"""The laptop edition cleans up as a deployment does."""

from __future__ import annotations

import asyncio

from local.scheduler import scheduled
from shared.core.cleanup.report import Report
from tests.support.patience import PATIENCE


class Runs:
    """A cleanup that counts, and fails the first time."""

    def __init__(self) -> None:
        self.count = 0
        self.twice = asyncio.Event()

    async def run(self, *, dry_run: bool) -> Report:
        assert not dry_run
        self.count += 1
        if self.count == 1:
            raise RuntimeError("the first one fails")
        self.twice.set()
        return Report(dry_run=False)


async def test_cleanup_runs_again_after_a_failure_and_no_more_at_the_end() -> None:
    runs = Runs()
    async with scheduled(runs, seconds=0.001), asyncio.timeout(PATIENCE):
        await runs.twice.wait()
    count = runs.count
    await asyncio.sleep(0.02)
    assert runs.count == count
