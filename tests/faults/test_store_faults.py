"""Whatever Firestore answers, or does not: an operation says the truth, and cleanup finds the right end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from tests.faults.cleanups import CleanupOfWhatIsLeft
from tests.faults.line import Fault, Kind
from tests.faults.operations import Create, Delete
from tests.faults.sweep import cancelled, crashes, sweep_all, with_fault
from tests.faults.world import Place

pytestmark = pytest.mark.timeout(1800)  # hundreds of operations, some of which wait for half a minute


def faults(calls: Sequence[str]) -> list[Fault]:
    """All kinds at each call of the store, before it acted and after; passing ones, and one that lasts."""
    found = []
    for at in range(1, len(calls) + 1):
        for kind in (Kind.ABORTED, Kind.UNAVAILABLE, Kind.TOO_LATE, Kind.HANG):
            found += [Fault(kind, at), Fault(kind, at, acted=True)]
        found += [Fault(kind, at, acted=True, lasting=True) for kind in (Kind.UNAVAILABLE, Kind.HANG)]
    return found


def lost_answers(calls: Sequence[str]) -> list[Fault]:
    """Answers that are lost once and for all, and those that come at the second try."""
    return [
        Fault(kind, at, acted=True, lasting=lasting)
        for at in range(1, len(calls) + 1)
        for kind, lasting in ((Kind.ABORTED, False), (Kind.UNAVAILABLE, True))
    ]


# Counted by hand: a create reads the owner and commits twice, a delete reads the session, commits
# twice and looks for jobs, a cleanup calls the store at least twenty times.
Count = Callable[[str, Mapping[str, int]], None]


async def test_cancelled_at_any_call(firestore_place: Place, count: Count) -> None:
    operations = [(Create(), 2 * 3), (Delete(), 2 * 4)]
    count("store cancelled", await sweep_all(operations, firestore_place, crashes, cancelled))


async def test_a_store_that_fails_at_any_call(firestore_place: Place, count: Count) -> None:
    operations = [(Create(), 3 * 10), (Delete(), 4 * 10)]
    count("store", await sweep_all(operations, firestore_place, faults, with_fault))


async def test_a_store_that_fails_at_any_call_of_cleanup(firestore_place: Place, count: Count) -> None:
    operations = [(CleanupOfWhatIsLeft(), 20 * 2)]
    count("store", await sweep_all(operations, firestore_place, lost_answers, with_fault))
