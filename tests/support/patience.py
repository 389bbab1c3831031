"""How long a test waits for what must come: only what hangs takes longer, however busy the machine is."""

from __future__ import annotations

PATIENCE = 300.0
"""Seconds. No test asserts that something is fast: `make bench` measures that."""
