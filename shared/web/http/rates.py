"""How many requests one owner may make: a token bucket for each owner and function, in memory.

A count that all instances share would cost one write to the store for each request. So each
instance has its own count, and N instances let through N times as much: the count keeps one
caller's loop from crowding out the others, and is no quota.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from shared.errors import TooManyRequests

MAX_BUCKETS = 10_000
"""Most buckets that are kept, at some 200 bytes each; beyond that, the least recently used go."""

_MINUTE = 60_000_000_000
_SECOND = 1_000_000_000


class RequestRates:
    """Refuses requests that come too fast.

    It uses the generic cell rate algorithm (ITU-T I.371): of each bucket only the moment is kept
    at which it will be full again. Times are whole nanoseconds, so that nothing is rounded.

    Args:
        per_minute: Requests that a bucket gets back in a minute.
        burst: Requests that a full bucket holds.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(self, *, per_minute: int, burst: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._interval = math.ceil(_MINUTE / per_minute)
        self._tolerance = self._interval * (burst - 1)
        self._clock = clock
        self._full_at: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take(self, owner: str, function: str) -> None:
        """Takes one request out of the bucket. A refused request takes nothing.

        Args:
            owner: Subject of the verified caller.
            function: Name of the function that is called.

        Raises:
            TooManyRequests: The bucket is empty; the error says after how many seconds to try again.
        """
        key, now = (owner, function), self._clock()
        full_at = max(self._full_at.get(key, now), now)
        wait = full_at - self._tolerance - now
        if wait > 0:
            raise TooManyRequests(
                "these are too many requests at once; send them more slowly",
                retry_after_seconds=wait / _SECOND,
            )
        self._full_at[key] = full_at + self._interval
        self._full_at.move_to_end(key)
        if len(self._full_at) > MAX_BUCKETS:
            self._full_at.popitem(last=False)
