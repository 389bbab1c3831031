"""An operation that dies at any call - cancelled, or killed - leaves what cleanup brings to the right end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.faults.cleanups import CleanupOfPods, CleanupOfWhatIsLeft
from tests.faults.killing import forks
from tests.faults.operations import CREDENTIALS, Create, Delete, Refresh
from tests.faults.sweep import cancelled, crashes, sweep_all
from tests.faults.world import Place

pytestmark = pytest.mark.timeout(1800)  # hundreds of operations, some of which wait for half a minute

# Counted by hand, each before and after. A create calls for the Secret, its own document, the
# template, the pod, the watch and the document again; a delete for its document twice, the jobs,
# the pod, what became of it, the watch, and the document.
OPERATIONS = [
    (Create(), 2 * 6),
    (Delete(), 2 * 6),
    *((change, 2 * 2) for change in CREDENTIALS),
    (Refresh(), 2 * 4),
    (CleanupOfWhatIsLeft(), 2 * 30),
    (CleanupOfPods(), 2 * 14),
]
Count = Callable[[str, Mapping[str, int]], None]


async def test_cancelled_at_any_call(gated_place: Place, count: Count) -> None:
    count("cancelled", await sweep_all(OPERATIONS, gated_place, crashes, cancelled))


async def test_killed_at_any_call(gated_place: Place, count: Count) -> None:
    async with forks() as functions:
        count("killed", await sweep_all(OPERATIONS, gated_place, crashes, functions.killed))
