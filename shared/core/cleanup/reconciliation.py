"""The differences between two sets of sessions: those found in the cluster, and those in the store.

The cost should depend on the differences, not on the number of sessions, so not all sessions are read
at every run. To count them costs next to nothing. So the ids are cut into ranges and the store counts
its sessions in each; only a range whose numbers differ is halved, and its parts are read at last.

A session that is missing in the cluster and another that is missing in the store give equal numbers if
they are in the same range. The cuts are random ids, so at the next run they are likely in different ranges.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence
from typing import Protocol

from shared.core.ids import new_session_id
from shared.core.sessions.model import Session

_FEW = 32
"""So many sessions are read at once, without counting first."""

_RANGES = 32
_LOWEST = "s"
"""No session id sorts before it."""


class SessionsOnCluster(Protocol):
    """The part of ``DueSessionStore`` that this module needs."""

    async def count_on_cluster(self, first: str, end: str) -> int:
        """See ``DueSessionStore``."""
        ...

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """See ``DueSessionStore``."""
        ...


@dataclasses.dataclass(slots=True)
class Differences:
    """The differences.

    Attributes:
        unknown: Ids found in the cluster that belong to no session that should be there.
        missing: Sessions that should be in the cluster and whose ids were not found there.
    """

    unknown: set[str] = dataclasses.field(default_factory=set)
    missing: list[Session] = dataclasses.field(default_factory=list)


async def differences(here: Sequence[str], store: SessionsOnCluster) -> Differences:
    """Compares the cluster with the store.

    Args:
        here: Session ids found in the cluster, in any order.
        store: Knows which sessions should be in the cluster.
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
        first = page[-1].id + "0"  # all ids have one length: this sorts after the last id, before the next


def _within(ids: list[str], first: str, end: str) -> list[str]:
    return ids[bisect.bisect_left(ids, first) : bisect.bisect_left(ids, end) if end else len(ids)]
