"""Settings for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.points import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# How long an example takes says something about the machine, not about the code.
settings.register_profile("fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A test that passed passes again: what nobody has looked for yet is looked for with `make fuzz`.
settings.register_profile("repeatable", settings.get_profile("fuzz"), derandomize=True)
settings.load_profile("repeatable")
