"""A limit of time that holds for work that does not end when it is told to.

``asyncio.timeout`` cancels and then waits for the end of what it has cancelled. A command in a pod
ends its process group first, by a second command in that pod: so a pod that hangs would decide
how long the wait is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_given_up: set[asyncio.Task[Any]] = set()
"""Cancelled and not over yet; the event loop itself keeps only weak references to tasks."""


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """What the work returns or raises, if that takes no longer.

    When the time is over, or the caller is cancelled, the work is cancelled too. Nobody waits for it.

    Args:
        seconds: Longest wait.
        work: Runs as a task of its own.

    Raises:
        TimeoutError: The time is over.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_ended)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            _given_up.add(task)
            task.cancel()


def _ended(task: asyncio.Task[Any]) -> None:
    _given_up.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio would log it as one that nobody has seen
