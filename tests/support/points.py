"""Counts the points at which tests made something go wrong, and says so at the end of the run."""

from __future__ import annotations

from collections import Counter
from typing import Any

PROPERTY = "fault points"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What all tests of this run have counted, whichever process they ran in."""
    points: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and getattr(report, "when", "") == "call":
                    points[value[0]] += value[1]
    if points:
        parts = ", ".join(f"{what} {number}" for what, number in sorted(points.items()))
        terminalreporter.write_line(f"faults: {points.total()} points ({parts})")
