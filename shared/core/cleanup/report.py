"""The report of one run of cleanup: what it did, what it left, and why."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter

MAX_NAMED = 1000
"""Maximum number of items that a report names; its counts include all items."""


class Action(enum.StrEnum):
    """What cleanup decides about an item that it looks at."""

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
    """What a run did with one item; in a dry run, what it would have done.

    Attributes:
        kind: ``session``, ``pod``, ``secret`` or ``credentials``.
        name: The item's id or name.
        because: The reason, for people.
    """

    kind: str
    name: str
    action: Action
    because: str


class Report:
    """What one run did; in a dry run, what it would have done.

    Args:
        dry_run: The run changes nothing.

    Attributes:
        dry_run: The argument.
        decisions: The first ``MAX_NAMED`` decisions.
        faults: What the run could not look at, and why. It is left to the next run.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.decisions: list[Decision] = []
        self.faults: list[str] = []
        self._counts: Counter[tuple[str, Action]] = Counter()
        self._left: set[str] = set()

    def note(self, kind: str, name: str, action: Action, because: str) -> None:
        """Counts a decision about one item, and keeps it while there are fewer than ``MAX_NAMED``."""
        self.add(kind, action)
        if len(self.decisions) < MAX_NAMED:
            self.decisions.append(Decision(kind=kind, name=name, action=action, because=because))

    def leave(self, session_id: str, because: str) -> None:
        """Notes that a session is left alone; only once, as several steps may meet the same session."""
        if session_id not in self._left:
            self._left.add(session_id)
            self.note("session", session_id, Action.LEFT, because)

    def add(self, kind: str, action: Action) -> None:
        """Counts an item that the report does not name."""
        self._counts[kind, action] += 1

    def count(self, kind: str, action: Action) -> int:
        """Number of items of a kind with this decision."""
        return self._counts[kind, action]
