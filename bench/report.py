"""The results: samples, the ratios made from them, and the table that is printed."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """Several measurements of one thing, in ``unit``."""

    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        """The median of the measurements."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Median, smallest and largest measurement."""
        digits = 0 if self.median >= 100 else 1
        low, middle, high = (
            f"{value:.{digits}f}" for value in (min(self.values), self.median, max(self.values))
        )
        return f"{middle} {self.unit} ({low}..{high}, n={len(self.values)})"


@dataclasses.dataclass(frozen=True, slots=True)
class Ratio:
    """A measured number and its bound.

    Attributes:
        value: The ratio, or a plain number when ``unit`` is set.
        sense: Whether the bound is the largest or the smallest good value.
        bound: The bound; None for a number that is shown for information only.
        detail: The numbers from which the ratio is made.
    """

    name: str
    value: float
    sense: Literal["<=", ">="] = "<="
    bound: float | None = None
    unit: str = ""
    detail: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None when there is no bound."""
        if self.bound is None:
            return None
        return self.value <= self.bound if self.sense == "<=" else self.value >= self.bound


def table(rows: Iterable[Ratio]) -> str:
    """The rows as lines of text in columns."""
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
