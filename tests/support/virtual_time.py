"""An event loop whose time passes only while everybody waits, and then at once.

A test of limits of time takes none, and says exactly what happened when, however slow the machine is.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop.

    Attributes:
        outside: So many calls wait for something outside of the loop, during which no time passes.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.outside = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._loop.outside:
            return super().select(None)
        events = super().select(0)
        if not events:
            self._loop.now += timeout
        return events


class Outside:
    """Something whose calls other threads answer: while they do, no time passes.

    Args:
        inner: What is called.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """An attribute; a coroutine function is counted."""
        attribute = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def counted(*arguments: Any, **options: Any) -> Any:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.outside += 1
            try:
                return await attribute(*arguments, **options)
            finally:
                loop.outside -= 1

        return counted


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
