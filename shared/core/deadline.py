"""A time limit that also holds for work that does not end when it is cancelled.

``asyncio.timeout`` cancels the work and then waits until the work has ended. When a command in a pod is
cancelled, it first ends its process group by a second command in the same pod. So with
``asyncio.timeout``, a pod that hangs would decide how long the wait is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_given_up: set[asyncio.Task[Any]] = set()
"""Tasks that are cancelled but have not ended. The event loop itself keeps only weak references to tasks."""


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Runs work within a time limit.

    When the time is over, or the caller is cancelled, the work is cancelled too; this function does not
    wait for its end.

    Args:
        seconds: Longest wait.
        work: Runs as a task of its own.

    Returns:
        What the work returned.

    Raises:
        TimeoutError: The time is over.
        Exception: What the work raised.
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
        task.exception()  # asyncio logs an exception that is never retrieved
