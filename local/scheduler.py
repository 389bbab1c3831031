"""The laptop edition's replacement for Cloud Scheduler: runs cleanup at intervals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Protocol

from shared.core.cleanup.report import Report

log = logging.getLogger(__name__)

SECONDS = 300.0


class Cleanup(Protocol):
    """The service to run; see ``CleanupService``."""

    async def run(self, *, dry_run: bool) -> Report:
        """See ``CleanupService``."""
        ...


@contextlib.asynccontextmanager
async def scheduled(cleanup: Cleanup, seconds: float = SECONDS) -> AsyncGenerator[None]:
    """Runs cleanup at intervals while the block runs.

    Args:
        cleanup: The service to run.
        seconds: The pause before each run.
    """

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await cleanup.run(dry_run=False)
            except Exception:
                log.exception("cleanup failed")

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
