"""Replaces mounted paths in text, where there are no mounts."""

import os
import re
from pathlib import Path


class Rewriter:
    """Replaces mounted paths by their paths on this machine.

    Args:
        mounts: Path on this machine of each mounted path.
    """

    def __init__(self, mounts: dict[str, Path]) -> None:
        self._mounts = {path.rstrip("/"): str(source) for path, source in mounts.items()}
        longest_first = sorted(self._mounts, key=len, reverse=True)
        alternatives = "|".join(map(re.escape, longest_first))
        # Only whole path components are replaced, and only at the start of a path.
        self._pattern = re.compile(rf"(?<![\w.\-/])({alternatives})(?![\w.\-])") if alternatives else None

    def __call__(self, text: str) -> str:
        """Return the text with every mounted path replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._mounts[match[1]], text)

    def in_bytes(self, text: bytes) -> bytes:
        """Return text of any encoding with every mounted path replaced."""
        return os.fsencode(self(os.fsdecode(text)))
