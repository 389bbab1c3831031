"""How much of a long proof is run: in ``make test`` a part of it, in ``make prove-NAME`` all.

``PROVE_PART=10`` makes that a tenth, and ``PROVE_SEED`` decides which: ``.ci/run`` takes another one for
each commit, and prints both.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import TypeVar

import pytest

_Item = TypeVar("_Item")


def seed() -> str:
    """Begins what is random in a proof."""
    return os.environ.get("PROVE_SEED", "20260301")


def times(full: int, part: int) -> int:
    """How many repetitions.

    Args:
        full: With ``PROVE=1`` (``make prove-NAME``), and on a real cluster.
        part: In ``make test``, which has six minutes for everything.
    """
    proving = os.environ.get("PROVE") == "1" or os.environ.get("CONTRACT_CLUSTER") == "real"
    return max(1, full // _part()) if proving else part


def share(part: int) -> int:
    """One of how many cases is run.

    Args:
        part: In ``make test``; with ``PROVE=1`` all are, or one of each PROVE_PART.
    """
    return _part() if os.environ.get("PROVE") == "1" else part


def some(items: Sequence[_Item], one_of: int) -> list[_Item]:
    """One of each ``one_of`` items, by the seed and by what they are."""
    return [item for item in items if zlib.crc32(f"{seed()} {item}".encode()) % one_of == 0]


def chosen(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests of a proof that consists of tests (``PROVE=tests``): one of each PROVE_PART, by the seed."""
    if os.environ.get("PROVE") != "tests":
        return items
    kept = set(some([item.nodeid for item in items], _part()))
    return [item for item in items if item.nodeid in kept]


def _part() -> int:
    return int(os.environ.get("PROVE_PART", "1"))
