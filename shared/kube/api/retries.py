"""When a request to the Kubernetes API is repeated, and after which pause.

Three rules bound every sequence of answers. A pause is never shorter than a backoff that grows, whatever
the server asks for. A pause that the server asks for is kept, or not begun at all: if it does not fit into
the time that is left, the caller gets the answer at once, and with it the wait. No attempt begins after
the time is over.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import ClusterUnavailable
from shared.kube.api.decoding import TOO_LARGE
from shared.kube.api.errors import ApiError
from shared.reasons import Reason

_T = TypeVar("_T")

_FIRST_SECONDS = 0.1
_MAX_SECONDS = 2.0
_MAX_DOUBLINGS = 10
_LASTING = (Reason.CLUSTER_CERTIFICATE, TOO_LARGE)


def passes(error: ClusterUnavailable) -> bool:
    """Whether a repetition of the request may succeed."""
    return error.passes if isinstance(error, ApiError) else error.reason not in _LASTING


def untouched(error: ClusterUnavailable) -> bool:
    """Whether a repetition may succeed, and the server certainly did nothing of what was asked."""
    return isinstance(error, ApiError) and error.passes and error.code < 500


def least_pause(failures: int, asked: float | None) -> float:
    """Seconds to wait after so many failures in a row.

    Args:
        failures: Number of failures, at least 1.
        asked: Seconds that the server asks for; None: it says nothing.

    Returns:
        What the server asks for, but at least a backoff of 0.1 s, doubled with each failure up to 2 s. Half
        of the backoff is random, so that many clients do not come back all at once.
    """
    backoff = min(_MAX_SECONDS, _FIRST_SECONDS * float(2 ** min(failures - 1, _MAX_DOUBLINGS)))
    return max(backoff * random.uniform(0.5, 1.0), asked or 0.0)  # noqa: S311 - no secret


async def repeated(
    attempt: Callable[[], Awaitable[_T]], again: Callable[[ClusterUnavailable], bool], seconds: float
) -> _T:
    """Repeats an attempt while that is of use and time is left.

    Args:
        attempt: One request. It bounds its own time.
        again: Whether to repeat after an error.
        seconds: No attempt begins later than this after the first.

    Returns:
        What the first successful attempt returned.

    Raises:
        ClusterUnavailable: The last attempt's error. Its ``retry_after_seconds`` is the server's.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    for failures in itertools.count(1):
        try:
            return await attempt()
        except ClusterUnavailable as error:
            pause, left = least_pause(failures, error.retry_after_seconds), end - loop.time()
            if pause > left or not again(error):
                raise
            asked = error.retry_after_seconds
        # Those that a server asked to come back at the same moment do not all come at once.
        extra = 0.0 if asked is None else random.uniform(0.0, min(_FIRST_SECONDS * 5, left - pause))  # noqa: S311
        await asyncio.sleep(pause + extra)
    raise AssertionError("the loop returns or raises")


async def patiently(
    attempt: Callable[[], Awaitable[_T]],
    again: Callable[[ClusterUnavailable], bool],
    *,
    repeat_seconds: float,
    timeout_seconds: float,
) -> _T:
    """As ``repeated``, with a bound for the time of the attempts as well.

    Args:
        attempt: One request.
        again: See ``repeated``.
        repeat_seconds: See ``repeated``.
        timeout_seconds: Longest time for everything.

    Raises:
        ClusterUnavailable: The last attempt's error; if the time is over in the first, ``CLUSTER_TIMEOUT``.
    """
    failure = ClusterUnavailable("the Kubernetes API did not answer in time", reason=Reason.CLUSTER_TIMEOUT)

    async def noted() -> _T:
        nonlocal failure
        try:
            return await attempt()
        except ClusterUnavailable as error:
            failure = error
            raise

    try:
        async with asyncio.timeout(timeout_seconds):
            return await repeated(noted, again, min(timeout_seconds, repeat_seconds))
    except TimeoutError as error:
        raise failure from error
