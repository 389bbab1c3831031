"""How much all the JSON answers of one instance may keep together of what their commands say."""

from __future__ import annotations

from shared.core.held import Held

MAX_ALL_KEPT_BYTES = 128 * 1024 * 1024
"""A quarter of the 512 MiB that an instance has, which answers need until their callers have read them."""


class AnswerRoom:
    """Is shared by all answers of an instance.

    Args:
        size: Bytes that may be taken.
        held: Counts what is kept in fact; None: nobody asks.
    """

    def __init__(self, size: int = MAX_ALL_KEPT_BYTES, held: Held | None = None) -> None:
        self.held = held or Held()
        self._left = size

    def take(self, size: int) -> bool:
        """Takes so many bytes; False: there is no room for them."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Gives bytes back that were taken."""
        self._left += size
