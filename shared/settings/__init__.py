"""The settings of an operator: one frozen group for each concern, and one reader of the environment.

A module takes the group that it needs. ``Settings`` holds all groups and is for the composition root.
"""

from __future__ import annotations

from shared.settings.environment import Settings

__all__ = ["Settings"]
