"""What one run of cleanup did, left and why."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter

MAX_NAMED = 1000
"""So many things are named in a report; the counts are of all."""


class Action(enum.StrEnum):
    """What becomes of something that cleanup looks at."""

    DELETED = "deleted"
    FAILED = "failed"
    STARTED = "started"
    IN_USE = "in_use"
    WAITING = "waiting"
    LEFT = "left"
    LOST = "lost"
    FORGOTTEN = "forgotten"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one thing, or in a dry run what would.

    Attributes:
        kind: ``session``, ``pod``, ``secret`` or ``credentials``.
        name: Its id or name.
        because: Why, for people.
    """

    kind: str
    name: str
    action: Action
    because: str


class Report:
    """What one run did. In a dry run: what it would have done.

    Args:
        dry_run: Nothing is changed.

    Attributes:
        decisions: The first of them.
        faults: What could not be looked at, and why: it is for the next run.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.decisions: list[Decision] = []
        self.faults: list[str] = []
        self._counts: Counter[tuple[str, Action]] = Counter()
        self._left: set[str] = set()

    def note(self, kind: str, name: str, action: Action, because: str) -> None:
        """Notes what became of something."""
        self.add(kind, action)
        if len(self.decisions) < MAX_NAMED:
            self.decisions.append(Decision(kind=kind, name=name, action=action, because=because))

    def leave(self, session_id: str, because: str) -> None:
        """Notes a session that is left alone, once: several steps may meet it."""
        if session_id not in self._left:
            self._left.add(session_id)
            self.note("session", session_id, Action.LEFT, because)

    def add(self, kind: str, action: Action) -> None:
        """Counts what is not worth naming."""
        self._counts[kind, action] += 1

    def count(self, kind: str, action: Action) -> int:
        """How many of one kind met one end."""
        return self._counts[kind, action]
