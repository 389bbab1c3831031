"""Where a page of a list ended."""

from __future__ import annotations

import dataclasses
from datetime import datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended, in a list that is ordered by a time and then by id."""

    at: datetime
    id: str
