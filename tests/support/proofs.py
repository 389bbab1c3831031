"""How often a proof repeats what it tries: in every run a part, with ``PROVE=1`` all of it."""

from __future__ import annotations

import os


def times(full: int, part: int) -> int:
    """How many repetitions.

    Args:
        full: With ``PROVE=1`` (``make prove-NAME``), and on a real cluster.
        part: In ``make test``, which has six minutes for everything.
    """
    proving = os.environ.get("PROVE") == "1" or os.environ.get("CONTRACT_CLUSTER") == "real"
    return full if proving else part
