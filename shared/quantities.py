"""Kubernetes quantities: ``500m`` of a CPU, ``512Mi`` of memory.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(m|Ki|Mi|Gi|Ti|k|M|G|T)?")
_SCALE = {"": "1", "m": "0.001", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"} | {
    f"{unit}i": str(1024**power) for power, unit in enumerate("KMGT", start=1)
}


def quantity(text: str) -> Decimal:
    """The number that a quantity stands for.

    Raises:
        ValueError: It is none, or one beyond what a session could ask for.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a Kubernetes quantity")
    return Decimal(match[1]) * Decimal(_SCALE[match[2] or ""])
