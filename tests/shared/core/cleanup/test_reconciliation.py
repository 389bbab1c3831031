"""Two sets are compared exactly, and at a cost of what differs."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.cleanup.reconciliation import differences
from shared.core.ids import new_session_id
from shared.core.sessions.model import Session
from tests.shared.store.samples import a_session


@dataclasses.dataclass
class Counted:
    """The sessions that should be there, and what it costs to ask for them."""

    ids: list[str]
    counts: int = 0
    reads: int = 0

    async def count_on_cluster(self, first: str, end: str) -> int:
        self.counts += 1
        return len(self._between(first, end))

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        found = self._between(first, end)[:limit]
        self.reads += max(1, len(found))
        return [a_session(id=one) for one in found]

    def _between(self, first: str, end: str) -> list[str]:
        return sorted(one for one in self.ids if first <= one and (not end or one < end))


def some_ids(count: int) -> list[str]:
    return [new_session_id() for _ in range(count)]


_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_MOST_RUNS = 1000


def spaced_ids(count: int) -> list[str]:
    """Ids with the same distance from each to the next: a cut lies between any two in one run of seven."""
    places = [(2 * number + 1) * 32**16 // (2 * count) for number in range(count)]
    return [
        "s" + "".join(_DIGITS[place // 32**digit % 32] for digit in range(15, -1, -1)) for place in places
    ]


async def found_at_last(
    here: list[str], store: Counted, expected: tuple[set[str], set[str]]
) -> tuple[set[str], set[str]]:
    """What several runs find together: two faults that look like none in one of them do not in all."""
    unknown: set[str] = set()
    missing: set[str] = set()
    for run in range(_MOST_RUNS):
        found = await differences(here, store)
        unknown |= found.unknown
        missing |= {session.id for session in found.missing}
        if run >= 20 and (unknown, missing) == expected:
            break
    return unknown, missing


@given(st.integers(0, 200), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=40)
async def test_whatever_differs_is_found_and_nothing_else(common: int, extra: int, lacking: int) -> None:
    ids = spaced_ids(common + extra + lacking)
    random.shuffle(ids)
    both, only_here, only_there = ids[:common], ids[common : common + extra], ids[common + extra :]
    store = Counted(both + only_there)
    expected = set(only_here), set(only_there)
    assert await found_at_last(both + only_here, store, expected) == expected


async def test_two_side_by_side_that_look_like_none_are_found_by_a_later_run() -> None:
    ids = spaced_ids(206)
    here, there = ids[:101] + ids[102:], ids[:100] + ids[101:]
    expected = {ids[100]}, {ids[101]}
    assert await found_at_last(here, Counted(there), expected) == expected


async def test_a_few_are_compared_at_once_and_exactly() -> None:
    both, stranger, lost = some_ids(20), new_session_id(), new_session_id()
    found = await differences([*both, stranger], Counted([*both, lost]))
    assert (found.unknown, [session.id for session in found.missing]) == ({stranger}, [lost])


async def test_when_nothing_differs_no_session_is_read() -> None:
    ids = some_ids(5000)
    store = Counted(ids)
    found = await differences(random.sample(ids, len(ids)), store)
    assert (found.unknown, found.missing, store.reads) == (set(), [], 0)
    assert store.counts <= 32


async def test_one_that_is_missing_is_found_for_little() -> None:
    ids = some_ids(5000)
    store = Counted(ids)
    found = await differences(ids[1:], store)
    assert [session.id for session in found.missing] == ids[:1]
    assert store.reads <= 64
    assert store.counts <= 32 + 2 * 12


async def test_when_all_is_missing_all_is_found() -> None:
    ids = some_ids(500)
    found = await differences([], Counted(ids))
    assert sorted(session.id for session in found.missing) == sorted(ids)
