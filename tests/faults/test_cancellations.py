"""An operation that is cancelled at any call leaves what cleanup brings to the right end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.faults.operations import CREDENTIALS, Create, Delete, Operation
from tests.faults.sweep import Point, cancelled, crashes, sweep
from tests.faults.world import Place

# Counted by hand, each before and after: what a create calls is the owner's document, a commit,
# the Secret, the pod, the watch, a commit.
OPERATIONS = [(Create(), 12), (Delete(), 12), *((change, 4) for change in CREDENTIALS)]


@pytest.mark.parametrize(("operation", "least"), OPERATIONS, ids=lambda value: getattr(value, "name", ""))
async def test_cancelled_at_any_call(
    operation: Operation,
    least: int,
    firestore_place: Place,
    count: Callable[[str, Sequence[Point]], None],
) -> None:
    points, wrong = await sweep(operation, firestore_place, crashes, cancelled)
    assert wrong == []
    assert len(points) >= least
    count(operation.name, points)
