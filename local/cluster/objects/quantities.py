"""Parses and formats Kubernetes quantities: ``500m``, ``2``, ``128Mi``, ``1e3``.

Syntax: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal

from . import Object

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?")
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    letter: Decimal(10) ** exponent
    for letter, exponent in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_SCALES = {**_BINARY, **_DECIMAL}


def parse_quantity(text: object) -> Decimal:
    """Return the value of a quantity in base units (cores, bytes, pieces).

    Raises:
        ValueError: The text is not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text)) if isinstance(text, str | int | float) else None
    if match is None or isinstance(text, bool):
        raise ValueError(f"not a quantity: {text!r}")
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _SCALES.get(suffix, Decimal(1))


def format_quantity(value: Decimal, like: str) -> str:
    """Return a value as text, with a suffix of the same family as that of ``like``.

    Args:
        value: The value in base units.
        like: A quantity whose suffix gives the family (``Mi``, ``m``, none).
    """
    if like.endswith("i"):
        return _scaled(value, _BINARY) or _plain(value)
    if value == value.to_integral_value():
        return _scaled(value, {unit: _DECIMAL[unit] for unit in "kMGTPE"}) or _plain(value)
    return f"{_plain(value * 1000)}m"


def total_requests(spec: Object) -> dict[str, Decimal]:
    """Return what a pod requests: its containers together, or its largest init container if that is more.

    Args:
        spec: The pod's spec, with its defaults.
    """
    totals: dict[str, Decimal] = {}
    for container in spec["containers"]:
        for key, amount in (container["resources"].get("requests") or {}).items():
            totals[key] = totals.get(key, Decimal(0)) + parse_quantity(amount)
    for container in spec.get("initContainers") or []:
        for key, amount in (container["resources"].get("requests") or {}).items():
            totals[key] = max(totals.get(key, Decimal(0)), parse_quantity(amount))
    return totals


def _scaled(value: Decimal, scales: dict[str, Decimal]) -> str | None:
    for unit, scale in reversed(scales.items()):
        if value and value % scale == 0:
            return f"{_plain(value / scale)}{unit}"
    return None


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
