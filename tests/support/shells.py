"""The POSIX shells of this machine, each once."""

from __future__ import annotations

import shutil
from pathlib import Path


def _distinct() -> list[list[str]]:
    found: dict[Path, list[str]] = {}
    for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["sh"]):
        program = shutil.which(shell[0])
        if program is not None:
            found.setdefault(Path(program).resolve(), shell)
    return list(found.values())


SHELLS = _distinct()
NAMES = [shell[0] for shell in SHELLS]
