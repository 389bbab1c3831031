"""What was measured: samples, the ratios made of them, and the table that is printed."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """One thing measured several times, in ``unit``."""

    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Median, least and greatest."""
        digits = 0 if self.median >= 100 else 1
        low, middle, high = (
            f"{value:.{digits}f}" for value in (min(self.values), self.median, max(self.values))
        )
        return f"{middle} {self.unit} ({low}..{high}, n={len(self.values)})"


@dataclasses.dataclass(frozen=True, slots=True)
class Ratio:
    """A number and the bound that it is to hold.

    Attributes:
        value: The ratio, or a plain number when ``unit`` is set.
        sense: Whether the bound is the most or the least that is good.
        bound: None for what is shown for information only.
        detail: What the ratio is made of.
    """

    name: str
    value: float
    sense: Literal["<=", ">="] = "<="
    bound: float | None = None
    unit: str = ""
    detail: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None when there is none."""
        if self.bound is None:
            return None
        return self.value <= self.bound if self.sense == "<=" else self.value >= self.bound


def table(rows: Iterable[Ratio]) -> str:
    """The rows under each other."""
    cells = [("what", "measured", "bound", "holds", "made of")]
    for row in rows:
        unit = f" {row.unit}" if row.unit else ""
        bound = "" if row.bound is None else f"{row.sense} {row.bound:g}{unit}"
        holds = {True: "yes", False: "NO", None: ""}[row.holds]
        cells.append((row.name, f"{row.value:.2f}{unit}", bound, holds, row.detail))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        "  ".join([*(line[column].ljust(widths[column]) for column in range(4)), line[4]]).rstrip()
        for line in cells
    )
