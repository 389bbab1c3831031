"""The position in a list where a page ended."""

from __future__ import annotations

import dataclasses
from datetime import datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Cursor:
    """The time and id of a page's last item, in a list that is ordered by a time and then by id."""

    at: datetime
    id: str
