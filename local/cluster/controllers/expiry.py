"""Removes Events whose time is over, as the API server does by a lease."""

import asyncio
import heapq

from ..objects.resources import EVENTS
from ..store import Change, Store


async def expire_events(store: Store, ttl_s: float) -> None:
    """Follow the store until cancelled, and remove each Event some time after it was last written.

    Args:
        store: The store.
        ttl_s: The time in seconds for which an Event is kept.
    """
    loop = asyncio.get_running_loop()
    due: list[tuple[float, str, str, str]] = []

    def note(change: Change) -> None:
        if change.resource is EVENTS and change.type != "DELETED":
            metadata = change.object["metadata"]
            written = (metadata["namespace"], metadata["name"], metadata["resourceVersion"])
            heapq.heappush(due, (loop.time() + ttl_s, *written))

    with store.subscribe() as changes:
        while True:
            try:
                left = max(due[0][0] - loop.time(), 0) if due else None
                # wait_for may lose a cancellation that comes together with a change.
                async with asyncio.timeout(left):
                    change = await changes.get()
                note(change)
            except TimeoutError:
                _, namespace, name, version = heapq.heappop(due)
                found = store.get(EVENTS, namespace, name)
                # What was written again has a later time of its own.
                if found is not None and found["metadata"]["resourceVersion"] == version:
                    store.remove(EVENTS, namespace, name)
