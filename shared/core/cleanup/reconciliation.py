"""Which of two sets of sessions, one here and one in the store, lacks what the other has.

To read all sessions at every run would cost what exists, not what is wrong. To count them costs
next to nothing: so the ids are cut into ranges, the store counts its own in each, and only
where the numbers differ a range is halved and at last read.

One that is missing here and another that is missing there, in one range, give the same number.
The cuts are random ids: at the next run the two are in different ranges.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence
from typing import Protocol

from shared.core.ids import new_session_id
from shared.core.sessions.model import Session

_FEW = 32
"""So many are read at once, without counting first."""

_RANGES = 32
_LOWEST = "s"
"""No session id comes before it."""


class SessionsOnCluster(Protocol):
    """The part of the store that this needs; see ``DueSessionStore``."""

    async def count_on_cluster(self, first: str, end: str) -> int:
        """See ``CleanupStore``."""
        ...

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """See ``CleanupStore``."""
        ...


@dataclasses.dataclass(slots=True)
class Differences:
    """What differs.

    Attributes:
        unknown: Ids that are here, and no session's that should be.
        missing: Sessions whose ids are not here.
    """

    unknown: set[str] = dataclasses.field(default_factory=set)
    missing: list[Session] = dataclasses.field(default_factory=list)


async def differences(here: Sequence[str], store: SessionsOnCluster) -> Differences:
    """Compares.

    Args:
        here: Ids of sessions, in any order.
        store: Which sessions should be here.
    """
    ids = sorted(set(here))
    found = Differences()
    cuts = sorted(new_session_id() for _ in range(_RANGES - 1)) if len(ids) > _FEW else []
    for first, end in zip([_LOWEST, *cuts], [*cuts, ""], strict=True):
        await _compare(_within(ids, first, end), first, end, store, found)
    return found


async def _compare(
    ids: list[str], first: str, end: str, store: SessionsOnCluster, found: Differences
) -> None:
    if len(ids) > _FEW:
        count = await store.count_on_cluster(first, end)
        if count == len(ids):
            return
        if count:
            middle = ids[len(ids) // 2]
            await _compare(_within(ids, first, middle), first, middle, store, found)
            await _compare(_within(ids, middle, end), middle, end, store, found)
            return
    elif (first, end) != (_LOWEST, "") and await store.count_on_cluster(first, end) == len(ids):
        return
    live = await _read(first, end, store)
    known = {session.id for session in live}
    present = set(ids)
    found.unknown |= present - known
    found.missing += [session for session in live if session.id not in present]


async def _read(first: str, end: str, store: SessionsOnCluster) -> list[Session]:
    live: list[Session] = []
    while True:
        page = await store.sessions_on_cluster(first, end, limit=_FEW)
        live += page
        if len(page) < _FEW:
            return live
        first = page[-1].id + "0"  # ids are all of one length: this comes behind it, before the next


def _within(ids: list[str], first: str, end: str) -> list[str]:
    return ids[bisect.bisect_left(ids, first) : bisect.bisect_left(ids, end) if end else len(ids)]
