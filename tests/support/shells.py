"""The POSIX shells of this machine, each once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs


def _distinct() -> list[Any]:
    found: dict[Path, list[str]] = {}
    for shell in (["dash"], ["bash", "--posix"], ["sh"]):
        program = shutil.which(shell[0])
        if program is not None:
            found.setdefault(Path(program).resolve(), shell)
    made = [pytest.param(shell, id=shell[0]) for shell in found.values()]
    return [*made, pytest.param(["busybox", "sh"], id="busybox", marks=needs("busybox"))]


SHELLS = _distinct()
"""Parameters of tests. Where busybox is missing, its tests are skipped, not forgotten."""
