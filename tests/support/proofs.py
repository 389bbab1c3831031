"""How much of a long proof is run: in ``make test`` a part of it, in ``make prove-NAME`` all.

``PROVE_PART=10`` makes that a tenth, and ``PROVE_SEED`` decides which: ``.ci/run`` takes another one for
each commit, and prints both.
"""

from __future__ import annotations

import os
import zlib

import pytest

SEED = os.environ.get("PROVE_SEED", "20260301")
"""Begins what is random in a proof."""


def times(full: int, part: int) -> int:
    """How many repetitions.

    Args:
        full: With ``PROVE=1`` (``make prove-NAME``), and on a real cluster.
        part: In ``make test``, which has six minutes for everything.
    """
    proving = os.environ.get("PROVE") == "1" or os.environ.get("CONTRACT_CLUSTER") == "real"
    return max(1, full // _part()) if proving else part


def chosen(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests of a proof that consists of tests (``PROVE=tests``): one of each PROVE_PART, by the seed."""
    if os.environ.get("PROVE") != "tests":
        return items
    return [item for item in items if zlib.crc32(f"{SEED} {item.nodeid}".encode()) % _part() == 0]


def _part() -> int:
    return int(os.environ.get("PROVE_PART", "1"))
