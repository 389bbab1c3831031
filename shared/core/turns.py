"""Work of many owners, done in turns, so that no owner can hold up the others."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def in_turns(
    work: Iterable[tuple[str, _T]],
    do: Callable[[_T], Awaitable[None]],
    *,
    at_once: int,
    of_one_owner: int,
) -> None:
    """Does all the work, several items at once.

    The next turn is for the owner with the fewest turns; among equal owners, for the first of ``work``. So
    an owner's item waits for at most one turn of each other owner, however much work the others have.

    Args:
        work: Pairs of an owner and one of the owner's items.
        do: Handles one item. It must limit its own time.
        at_once: Maximum number of items in work at the same time.
        of_one_owner: Maximum number of these that belong to the same owner.

    Raises:
        Exception: The first error that ``do`` raised; it is raised after all items were handled.
    """
    faults: list[Exception] = []

    async def done(one: _T) -> None:
        try:
            await do(one)
        except Exception as fault:  # noqa: BLE001 - it is raised after all items
            faults.append(fault)

    waiting: dict[str, deque[_T]] = {}
    for owner, one in work:
        waiting.setdefault(owner, deque()).append(one)
    ready = [(0, place, owner) for place, owner in enumerate(waiting)]
    resting: dict[str, tuple[int, int, str]] = {}
    running: Counter[str] = Counter()
    owners: dict[asyncio.Task[None], str] = {}
    async with asyncio.TaskGroup() as group:
        while ready or owners:
            while ready and len(owners) < at_once:
                turns, place, owner = heapq.heappop(ready)
                owners[group.create_task(done(waiting[owner].popleft()))] = owner
                running[owner] += 1
                next_turn = (turns + 1, place, owner)
                if not waiting[owner]:
                    continue
                if running[owner] < of_one_owner:
                    heapq.heappush(ready, next_turn)
                else:
                    resting[owner] = next_turn
            over, _ = await asyncio.wait(owners, return_when=asyncio.FIRST_COMPLETED)
            for task in over:
                owner = owners.pop(task)
                running[owner] -= 1
                if owner in resting:
                    heapq.heappush(ready, resting.pop(owner))
    if faults:
        raise faults[0]
