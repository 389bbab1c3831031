"""Whatever the cluster answers, or does not: an operation says the truth, and cleanup finds the right end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from tests.faults.cleanups import CleanupOfPods, CleanupOfWhatIsLeft
from tests.faults.line import Fault, Kind
from tests.faults.operations import CREDENTIALS, Create, Delete, Refresh
from tests.faults.sweep import sweep_all, with_fault
from tests.faults.world import Place

pytestmark = pytest.mark.timeout(1800)  # hundreds of operations, some of which wait for half a minute

_ONCE = (
    Kind.TOO_MANY,
    Kind.FAULT,
    Kind.UNAVAILABLE,
    Kind.CONFLICT,
    Kind.EXPIRED_TOKEN,
    Kind.GARBAGE,
    Kind.HANG,
    Kind.RESET,
    Kind.TORN,
)
_ACTED = (Kind.FAULT, Kind.UNAVAILABLE, Kind.CONFLICT, Kind.HANG, Kind.RESET)
_LASTING = (Kind.EXPIRED_TOKEN, Kind.UNAVAILABLE, Kind.HANG, Kind.RESET)


def faults(calls: Sequence[str]) -> list[Fault]:
    """All kinds at each call; what is lost after the server acted, only where it acts."""
    found = []
    for at, call in enumerate(calls, 1):
        method = call.split()[0]
        found += [Fault(kind, at) for kind in _ONCE]
        found += [Fault(kind, at, lasting=True) for kind in _LASTING]
        if method in ("watch", "GET"):
            found.append(Fault(Kind.GONE, at))
        if method != "GET":
            found += [Fault(kind, at, acted=True) for kind in _ACTED]
    return found


# Counted by hand: a create calls for the Secret, the pod and the watch, a delete for the pod and
# what became of it, a change of credentials for the Secret twice.
OPERATIONS = [
    (Create(), 3 * 14),
    (Delete(), 2 * 14),
    *((change, 2 * 14) for change in CREDENTIALS),
    (Refresh(), 2 * 14),
    (CleanupOfWhatIsLeft(), 100),
]


def of_streams(calls: Sequence[str]) -> list[Fault]:
    """Those at calls that only pods which run are asked."""
    return [fault for fault in faults(calls) if calls[fault.at - 1].split()[0] in ("exec", "watch")]


async def test_a_cluster_that_fails_at_any_call(
    place: Place, count: Callable[[str, Mapping[str, int]], None]
) -> None:
    async with asyncio.TaskGroup() as group:
        everything = group.create_task(sweep_all(OPERATIONS, place, faults, with_fault))
        # Counted by hand: the one exec. A pod may be gone before anybody watches it.
        pods = [(CleanupOfPods(), 18)]
        streams = group.create_task(sweep_all(pods, place, of_streams, with_fault))
    count("cluster", {**everything.result(), **streams.result()})
