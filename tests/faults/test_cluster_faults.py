"""Whatever the cluster answers, or does not: an operation says the truth, and cleanup finds the right end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.faults.line import Fault, Kind
from tests.faults.operations import CREDENTIALS, Create, Delete
from tests.faults.sweep import Point, sweep, with_fault
from tests.faults.world import Place

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
OPERATIONS = [(Create(), 3 * 14), (Delete(), 2 * 14), *((change, 2 * 14) for change in CREDENTIALS)]


async def test_a_cluster_that_fails_at_any_call(
    place: Place, count: Callable[[str, Sequence[Point]], None]
) -> None:
    # All at once: it is waiting that takes the time.
    swept = await asyncio.gather(*(sweep(one, place, faults, with_fault) for one, _ in OPERATIONS))
    assert [what for _, wrong in swept for what in wrong] == []
    for (operation, least), (points, _) in zip(OPERATIONS, swept, strict=True):
        assert len(points) >= least, operation.name
        count(operation.name, points)
