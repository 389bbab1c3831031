"""Settings for all tests."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

from tests.support import points
from tests.support.needs import pytest_collection_finish, pytest_configure, pytest_runtest_setup, summary

__all__ = ["pytest_collection_finish", "pytest_configure", "pytest_runtest_setup", "pytest_terminal_summary"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What went wrong on purpose, and what was skipped for want of what."""
    points.pytest_terminal_summary(terminalreporter)
    for line in summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


# How long an example takes says something about the machine, not about the code.
settings.register_profile("fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A test that passed passes again: what nobody has looked for yet is looked for with `make fuzz`.
settings.register_profile("repeatable", settings.get_profile("fuzz"), derandomize=True)
settings.load_profile("repeatable")
