"""Sends pending telemetry when the process may end soon. Nobody waits for it for long."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
EXIT_SECONDS = 2.0
"""Of the ten between SIGTERM and SIGKILL on Cloud Run, commands and their answers may take eight."""


_Call: TypeAlias = Callable[[], object]


class Flusher:
    """Runs blocking calls in a thread that was started early: an interpreter that ends starts none.

    Args:
        flush: Sends what there is.
        end: Sends what there is, and is the last that is called.
    """

    def __init__(self, flush: _Call, end: _Call) -> None:
        self._flush = flush
        self._end = end
        self._ended = False
        self._asked: queue.SimpleQueue[tuple[_Call, _Call]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="gamgui-flusher", daemon=True).start()
        atexit.register(self._at_exit)

    async def flush(self) -> None:
        """Sends what there is, and waits a short time for that."""
        await self._do(self._flush)

    async def flush_after(self, event: asyncio.Event) -> None:
        """Waits for the event, then does as ``flush``."""
        await event.wait()
        await self.flush()

    async def close(self) -> None:
        """Does as ``flush``. Afterwards it sends nothing more."""
        atexit.unregister(self._at_exit)
        await self._do(self._last)

    async def _do(self, work: _Call) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._asked.put((work, lambda: loop.call_soon_threadsafe(done.set)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await done.wait()

    def _at_exit(self) -> None:
        done = threading.Event()
        self._asked.put((self._last, done.set))
        done.wait(EXIT_SECONDS)

    def _last(self) -> None:
        self._ended = True
        self._end()

    def _run(self) -> None:
        while not self._ended:
            work, tell = self._asked.get()
            try:
                work()
            except Exception:
                log.exception("what was recorded could not be sent")
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                tell()
